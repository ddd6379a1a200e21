"""The annotator: asks a language model for the sub-goals of demonstrations, and writes down only what holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from wean.annotation.alignment import Layout, lay_out
from wean.annotation.answer import read_answer
from wean.annotation.question import annotation_question, rest_question
from wean.annotation.repair import chunks_of, close_single_gaps, fill_gaps
from wean.annotation.segmentation import Example
from wean.data.annotations import Annotation
from wean.data.trajectories import Key, Trajectory
from wean.llm.answers import Message
from wean.llm.model import LanguageModel

_MAX_TOKENS = 2048

Request = tuple[Trajectory, Example | None]
"""A demonstration, and the annotated one that is shown with it."""


class Outcome(NamedTuple):
    """What came of one demonstration.

    Attributes:
        annotation: Its sub-goals; None where there was no answer, or none that holds.
        questions: How many questions were asked about it.
        faults: What had to be put right, by kind.
        answers: What the model said, for people to read.
    """

    annotation: Annotation | None
    questions: int
    faults: Mapping[str, int]
    answers: tuple[str, ...]


@dataclass
class QueryStats:
    """How many demonstrations needed what.

    Attributes:
        demonstrations: Asked about.
        questions: Asked, second ones included.
        at_once: Answers that held as they were.
        repaired: Answers that were put right without asking again.
        second: Demonstrations with a second question.
        refused: Demonstrations whose answers did not hold even so.
        unanswered: Demonstrations for which there is no recorded answer.
        faults: How often what had to be put right.
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
    """Whoever gives demonstrations their sub-goals."""

    name: str

    def annotate(self, requests: Sequence[Request], most: int | None = None) -> list[Outcome]:
        """One outcome for each request; `most` questions, at least one for each request; None for no limit."""
        ...


class Annotator:
    """Asks a language model, at most twice about a demonstration.

    The first question is about the whole demonstration. Where its answer leaves two or more actions in a row without
    a sub-goal, a second one is about these. What is incomplete even then is refused.

    Args:
        model: Any model behind the door.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.name = model.name
        self._model = model

    def annotate(self, requests: Sequence[Request], most: int | None = None) -> list[Outcome]:
        """Asks about demonstrations, in one batch for first and one for second questions.

        Args:
            requests: The demonstrations.
            most: Most questions, at least one for each; None for no limit.

        Raises:
            WeanError: The model failed, or its budget is used up.
        """
        chats = [annotation_question(trajectory, example) for trajectory, example in requests]
        answers = self._ask(chats)
        layouts: list[Layout | None] = []
        again: dict[int, list[Message]] = {}
        for index, ((trajectory, _), answer) in enumerate(zip(requests, answers, strict=True)):
            layout = None if answer is None else _read(answer, trajectory)
            layouts.append(layout)
            allowed = most is None or len(requests) + len(again) < most
            if answer is not None and layout is not None and layout.gaps and allowed:
                left = [(first + 1, end) for first, end in layout.gaps]
                again[index] = rest_question(chats[index], answer, left)
        seconds = dict(zip(again, self._ask(list(again.values())), strict=True))
        outcomes = []
        for index, ((trajectory, _), answer) in enumerate(zip(requests, answers, strict=True)):
            said = [text for text in (answer, seconds.get(index)) if text is not None]
            outcomes.append(self._outcome(trajectory, layouts[index], said, 1 + (index in again)))
        return outcomes

    def _ask(self, chats: Sequence[list[Message]]) -> list[str | None]:
        if not chats:
            return []
        return [row[0].text for row in self._model.generate(chats, temperature=0.0, max_tokens=_MAX_TOKENS)]

    def _outcome(self, trajectory: Trajectory, layout: Layout | None, said: list[str], questions: int) -> Outcome:
        if layout is None:
            return Outcome(None, questions, {}, ())
        if len(said) > 1:
            layout = fill_gaps(layout, read_answer(said[1]).claims, trajectory.actions)
            close_single_gaps(layout)
        chunks = chunks_of(layout)
        faults = {kind: count for kind, count in layout.faults.items() if count}
        annotation = None
        if chunks is not None:
            day = datetime.now(UTC).date().isoformat()
            annotation = Annotation(*trajectory.key, chunks, "asked", self.name, recorded=day, digest=trajectory.digest)
        return Outcome(annotation, questions, faults, tuple(said))


class RecordedAnnotator:
    """Gives recorded annotations; nobody is asked.

    Args:
        name: Where they come from.
        annotations: By demonstration; they fit their paths.
        trajectories: These paths. A demonstration with other actions has no recorded annotation.
    """

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


def _read(answer: str, trajectory: Trajectory) -> Layout:
    reading = read_answer(answer)
    layout = lay_out(reading.claims, trajectory.actions)
    layout.faults["form"] += len(reading.unreadable)
    close_single_gaps(layout)
    return layout
