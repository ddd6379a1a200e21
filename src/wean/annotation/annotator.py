"""The annotator: asks a language model for the sub-goals of demonstrations, and keeps only what holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple, Protocol

from wean.annotation.alignment import Alignment, align, parse_answer
from wean.data.annotations import AnnotatedTrajectory, Annotation, Chunk
from wean.data.trajectories import Key, Trajectory
from wean.llm.answers import Message
from wean.llm.model import LanguageModel
from wean.llm.reading import without_thoughts

_MAX_TOKENS = 2048

_SYSTEM = """\
You split demonstrations into sub-goals. A demonstration is a task and the numbered actions that solved it. A sub-goal \
says what a few consecutive actions achieve together: a verb and its arguments, written verb(argument, argument).

Rules:
- Begin a new sub-goal where the purpose changes: going somewhere, finding a thing, picking it up, bringing it \
somewhere, using it, measuring, waiting.
- Passing through several places on the way to one is one sub-goal. Doing the same again and again for one purpose \
(waiting, watching, measuring) is one sub-goal.
- Every action belongs to exactly one sub-goal, in the given order: none is left out and none is added.
- The verb is one word, or words joined by underscores, in lower case: navigate_to, find, pick_up, move, open, use, \
wait_for and the like.
- Arguments are the things and places that matter, in lower case, named as the task and the actions name them, \
without articles and without where a thing lies.
- Where an example is given, cut and name in its way: the same purpose gets the same verb.

Answer with one line for each sub-goal and nothing else: the numbers of its first and last action, a colon, the \
sub-goal. For example:
1-3: navigate_to(kitchen)
4-4: pick_up(thermometer)"""

_REST = """\
These actions have no sub-goal yet: {ranges}. Say which sub-goals they form, in the same way, with the same numbers, \
and leave out all other actions."""

Request = tuple[Trajectory, AnnotatedTrajectory | None]
"""A demonstration, and the annotated one that is shown with it."""


class Outcome(NamedTuple):
    """The result for one demonstration.

    Attributes:
        annotation: Its sub-goals; None without an answer, or without one that holds.
        questions: Number of questions.
        faults: Repairs by kind.
        answers: The model's raw answers.
    """

    annotation: Annotation | None
    questions: int
    faults: Mapping[str, int]
    answers: tuple[str, ...]


@dataclass
class QueryStats:
    """Counts over demonstrations and questions, second questions included.

    Attributes:
        at_once: Answers that needed no repair.
        repaired: Answers that were repaired without asking again.
        second: Demonstrations with a second question.
        refused: Demonstrations whose answers stayed incomplete.
        unanswered: Demonstrations for which there is no recorded answer.
        faults: Repairs by kind.
    """

    demonstrations: int = 0
    questions: int = 0
    at_once: int = 0
    repaired: int = 0
    second: int = 0
    refused: int = 0
    unanswered: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Counts one outcome."""
        self.demonstrations += 1
        self.questions += outcome.questions
        self.second += outcome.questions > 1
        self.faults.update(outcome.faults)
        if not outcome.answers:
            self.unanswered += 1
        elif outcome.annotation is None:
            self.refused += 1
        elif outcome.questions == 1:
            self.repaired += bool(outcome.faults)
            self.at_once += not outcome.faults


class Annotates(Protocol):
    """A source of sub-goals for demonstrations: a language model, or a record of one."""

    name: str

    def annotate(self, requests: Sequence[Request], most: int | None = None) -> list[Outcome]:
        """One outcome for each request; `most` questions, at least one for each request; None for no limit."""
        ...


class Annotator:
    """Asks a language model, at most twice about a demonstration.

    Where the first answer leaves two or more actions in a row without a sub-goal, a second question is about these. An
    annotation that is incomplete even then is refused.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.name = model.name
        self._model = model

    def annotate(self, requests: Sequence[Request], most: int | None = None) -> list[Outcome]:
        """Asks about demonstrations, in one batch for first and one for second questions; see `Annotates.annotate`.

        Raises:
            WeanError: The model failed, or its budget is used up.
        """
        chats = [annotation_question(trajectory, example) for trajectory, example in requests]
        answers = self._ask(chats)
        alignments = [
            None if answer is None else _first_alignment(answer, trajectory)
            for (trajectory, _), answer in zip(requests, answers, strict=True)
        ]
        again: dict[int, list[Message]] = {}
        for index, (answer, alignment) in enumerate(zip(answers, alignments, strict=True)):
            allowed = most is None or len(requests) + len(again) < most
            if answer is not None and alignment is not None and alignment.gaps and allowed:
                again[index] = rest_question(chats[index], answer, alignment.gaps)
        second = dict(zip(again, self._ask(list(again.values())), strict=True))
        outcomes = []
        for index, ((trajectory, _), answer) in enumerate(zip(requests, answers, strict=True)):
            given = [text for text in (answer, second.get(index)) if text is not None]
            outcomes.append(self._outcome(trajectory, alignments[index], given, 1 + (index in again)))
        return outcomes

    def _ask(self, chats: Sequence[list[Message]]) -> list[str | None]:
        if not chats:
            return []
        return [row[0].text for row in self._model.generate(chats, temperature=0.0, max_tokens=_MAX_TOKENS)]

    def _outcome(
        self, trajectory: Trajectory, alignment: Alignment | None, answers: list[str], questions: int
    ) -> Outcome:
        if alignment is None:
            return Outcome(None, questions, {}, ())
        if len(answers) > 1:
            alignment.fill_gaps(align(parse_answer(answers[1]).claims, trajectory.actions))
            alignment.close_single_gaps()
        chunks = alignment.chunks()
        faults = {kind: count for kind, count in alignment.faults.items() if count}
        annotation = None
        if chunks is not None:
            day = datetime.now(UTC).date().isoformat()
            annotation = Annotation(*trajectory.key, chunks, "asked", self.name, recorded=day, digest=trajectory.digest)
        return Outcome(annotation, questions, faults, tuple(answers))


def _first_alignment(answer: str, trajectory: Trajectory) -> Alignment:
    parsed = parse_answer(answer)
    alignment = align(parsed.claims, trajectory.actions)
    alignment.faults["form"] += len(parsed.unreadable)
    alignment.close_single_gaps()
    return alignment


class RecordedAnnotator:
    """Recorded annotations of demonstrations; one with other actions than the recorded path has none."""

    def __init__(self, name: str, annotations: Mapping[Key, Annotation], trajectories: Sequence[Trajectory]) -> None:
        self.name = name
        self._known = {
            (trajectory.key, trajectory.digest): annotations[trajectory.key]
            for trajectory in trajectories
            if trajectory.key in annotations
        }

    def annotate(self, requests: Sequence[Request], most: int | None = None) -> list[Outcome]:
        """Looks demonstrations up."""
        outcomes = []
        for trajectory, _ in requests:
            found = self._known.get((trajectory.key, trajectory.digest))
            outcomes.append(Outcome(found, 1, {}, ("recorded",)) if found else Outcome(None, 0, {}, ()))
        return outcomes


# --- the prompt ---------------------------------------------------------------------------------------------------


def annotation_question(trajectory: Trajectory, example: AnnotatedTrajectory | None = None) -> list[Message]:
    """The question about a demonstration: a chat, with an annotated example as an earlier answer."""
    messages: list[Message] = [{"role": "system", "content": _SYSTEM}]
    if example is not None:
        shown, annotation = example
        messages.append({"role": "user", "content": _describe(shown)})
        messages.append({"role": "assistant", "content": answer_text(annotation.chunks)})
    messages.append({"role": "user", "content": _describe(trajectory)})
    return messages


def rest_question(messages: Sequence[Message], answer: str, gaps: Sequence[tuple[int, int]]) -> list[Message]:
    """The second question, about the gaps, (first, end) from 0, that the first answer left."""
    ranges = ", ".join(f"{first + 1}-{end}" for first, end in gaps)
    rest: Message = {"role": "user", "content": _REST.format(ranges=ranges)}
    return [*messages, {"role": "assistant", "content": without_thoughts(answer)}, rest]


def answer_text(chunks: Sequence[Chunk]) -> str:
    """Sub-goals in the form in which the annotator wants its answer."""
    lines, first = [], 1
    for subgoal, actions in chunks:
        lines.append(f"{first}-{first + actions - 1}: {subgoal}")
        first += actions
    return "\n".join(lines)


def _describe(trajectory: Trajectory) -> str:
    """The task and its actions; an action that is repeated at once takes one line."""
    lines, first = [], 1
    for action, same in groupby(trajectory.actions):
        last = first + len(list(same)) - 1
        lines.append(f"{first}. {action}" if first == last else f"{first}-{last}. {action}")
        first = last + 1
    return f"Task: {trajectory.description}\n\nThe {len(trajectory.actions)} actions:\n" + "\n".join(lines)
