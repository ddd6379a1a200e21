"""The teacher: asks once per distinct situation, and turns plans through skills into action probabilities.

`source_of` and `AnswerMemory` serve priors and ratings too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError, WeanError, own_code, shown
from wean.files import is_number
from wean.llm.model import LanguageModel, open_model
from wean.tasks.situation import Situation
from wean.tasks.vector import Tasks
from wean.teachers.elicitation import (
    Advice,
    AdviceConfig,
    Proposals,
    plan_question,
    sampled_plans,
    scored_plans,
    verbalized_plans,
)
from wean.teachers.reading import Plan

Answer = TypeVar("Answer")
_SOURCES = "give the name of a language model, a mapping from situations' texts to answers, or a function"
Words = tuple[Any, ...]
Ask = Callable[[Sequence[Situation]], Sequence[Answer]]
Written = Mapping[str, Mapping[str, float]]
"""Answers by the texts of situations: plans or choices with their probabilities."""


def source_of(
    model: str | LanguageModel | Written | Ask[Answer],
    elicit: Callable[[LanguageModel, Sequence[Situation]], Sequence[Answer]],
    look_up: Callable[[Written, Sequence[Situation]], Sequence[Answer]],
) -> tuple[LanguageModel | None, Ask[Answer]]:
    """Opens a source of answers: (the language model, if there is one, a function from new situations to answers).

    Args:
        model: The name of a language model as in `wean.llm.open_model`, an open one, a mapping from the texts of
            situations to plans or choices with their probabilities, or a function from the list of new situations to
            one such mapping (or an `Advice` or `Proposals`) each.
        elicit: How a language model is asked.
        look_up: How a mapping is read.
    """
    opened = open_model(model) if isinstance(model, str) else model
    if isinstance(opened, LanguageModel):
        return opened, partial(elicit, opened)
    if isinstance(opened, Mapping):
        return None, partial(look_up, opened)
    if not callable(opened):
        raise UsageError(f"{shown(opened)} answers nothing; {_SOURCES}")

    def ask(situations: Sequence[Situation]) -> list[Answer]:
        with own_code("the function that answers"):
            given = opened(situations)
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != len(situations):
            raise WeanError(
                f"the function that answers gave {shown(given)} for {len(situations)} situations; let it return a list "
                "with one answer each"
            )
        return [answer_of(situation, one) for situation, one in zip(situations, given, strict=True)]

    def answer_of(situation: Situation, given: Any) -> Answer:
        if isinstance(given, Mapping):
            return look_up({situation.text: given}, [situation])[0]
        if not isinstance(given, Advice | Proposals):
            raise WeanError(
                f"the function that answers gave {shown(given)} for {shown(situation.text)}; let it be a mapping from "
                "choices to probabilities, empty for no advice"
            )
        return cast("Answer", given)

    return None, ask


class AnswerMemory(Generic[Answer]):
    """Answers about situations; each distinct one is asked about once, in batches.

    Args:
        ask: Maps new situations to answers.
        words: What makes situations one question, its text first; it identifies a situation in a resumed run, too.
    """

    def __init__(
        self,
        ask: Ask[Answer],
        words: Callable[[Situation], Words] = lambda situation: (situation.text,),
    ) -> None:
        self._ask, self._write = ask, words
        self._words: dict[Hashable, Words] = {}  # by the situations' keys, so that words are built once
        self._answers: dict[Words, Answer] = {}
        self._met: Counter[Words] = Counter()

    def answers(self, situations: Sequence[Situation]) -> list[Answer]:
        """The answer for each situation; asks about the new ones among them."""
        new = [situation for situation in situations if situation.key not in self._words]
        if new:
            written = {situation.key: self._write(situation) for situation in new}
            unasked = {written[s.key]: s for s in new if written[s.key] not in self._answers}
            if unasked:
                self._answers |= zip(unasked, self._ask(list(unasked.values())), strict=True)
            self._words |= written
        return [self._answers[self._words[situation.key]] for situation in situations]

    def count(self, situations: Sequence[Situation]) -> None:
        """Counts a meeting with each situation, after `answers`."""
        self._met.update(self._words[situation.key] for situation in situations)

    def rows(self) -> list[tuple[Words, Answer, int]]:
        """Words, answer and number of meetings of each situation, most often met first."""
        rows = [(words, answer, self._met[words]) for words, answer in self._answers.items()]
        return sorted(rows, key=lambda row: (-row[2], row[0][0]))

    def restore(self, rows: Iterable[tuple[Words, Answer, int]]) -> None:
        """Continues from `rows`, without asking again: its counts replace those since this memory was made."""
        self._met.clear()
        for words, answer, met in rows:
            self._answers[words] = answer
            self._met[words] = met


class Guidance(NamedTuple):
    """Action probabilities (N, A) float32 for N members, and (N,) where there is advice; zeros elsewhere."""

    probabilities: NDArray[np.float32]
    advised: NDArray[np.bool_]


class Teacher:
    """Guides a student by plans, which skills carry out.

    Each distinct situation is asked about once per teacher; later ones are answered from memory (and, over runs, from
    the ledger behind the model).

    Example:
        >>> teacher = Teacher({"You see a key.": {"pick up key": 0.9, "explore": 0.1}})
        >>> teacher.advise([Situation("Open the door.", "You see a key.", ("pick up key", "explore"))])[0].plans
        ((('pick up key',), 0.9), (('explore',), 0.1))

    Args:
        model: The source of answers; see `source_of`.
        config: How a language model is asked, and the mode. `soft` keeps all plans with their probabilities; `sampled`
            draws one plan at every step (the same target in expectation, noisier); `argmax` keeps the most probable
            action only.
        seed: Seeds the draws of `sampled`.

    Attributes:
        model: The language model behind it, if there is one.
    """

    def __init__(
        self,
        model: str | LanguageModel | Written | Ask[Advice],
        config: AdviceConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.config = config = config or AdviceConfig()
        elicit = {"verbalized": verbalized_plans, "samples": sampled_plans, "logprobs": scored_plans}
        self.model, ask = source_of(model, partial(elicit[config.elicitation], temperature=config.temperature), look_up)
        self._random = np.random.default_rng(seed)
        self._memory = AnswerMemory(ask)
        self.unadvised = 0

    def advise(self, situations: Sequence[Situation]) -> list[Advice]:
        """The advice for each situation; asks about the new ones among them, in one batch."""
        advices = self._memory.answers(situations)
        self._memory.count(situations)
        return advices

    def guide(
        self, tasks: Tasks, which: Sequence[int], num_actions: int, student: NDArray[np.float64] | None = None
    ) -> Guidance:
        """Guidance for the members `which` of tasks in their current situations.

        `num_actions` is the size A of the action space; the student's probabilities are not used here (see
        `GatedTeacher.guide`).
        """
        guidance = self.ground(tasks, which, self.advise(tasks.situations(which)), num_actions)
        self.unadvised += int((~guidance.advised).sum())
        return guidance

    def ground(self, tasks: Tasks, which: Sequence[int], advices: Sequence[Advice], num_actions: int) -> Guidance:
        """Turns the advice for members into probabilities of primitive actions, through the tasks' skills.

        A plan that can do nothing in the agent's state is left out and the others are scaled up; where no plan can do
        anything there is no advice.
        """
        chosen: list[list[Plan]] = []
        for advice in advices:
            plans = [plan for plan, _ in advice.plans]
            if self.config.mode == "sampled" and plans:
                weights = np.cumsum([weight for _, weight in advice.plans])
                drawn = int(np.searchsorted(weights, self._random.random() * weights[-1], side="right"))
                plans = [plans[min(drawn, len(plans) - 1)]]
            chosen.append(plans)
        actions = tasks.first_actions(which, chosen)
        probabilities = np.zeros((len(which), num_actions), np.float32)
        for row, (advice, plans, firsts) in enumerate(zip(advices, chosen, actions, strict=True)):
            weight = dict(advice.plans)
            for plan, action in zip(plans, firsts, strict=True):
                if action is not None and 0 <= action < num_actions:
                    probabilities[row, action] += weight[plan]
        totals = probabilities.sum(1, keepdims=True)
        advised = totals[:, 0] > 0
        if self.config.mode == "argmax":
            best = probabilities.argmax(1)
            probabilities[:] = 0
            probabilities[np.arange(len(best)), best] = advised
        else:
            np.divide(probabilities, totals, out=probabilities, where=totals > 0)
        return Guidance(probabilities, advised)

    def table(self) -> list[dict[str, Any]]:
        """Every situation met, most often first, with its plans."""
        return [
            {
                "text": text,
                "plans": [{"skills": list(plan), "probability": weight} for plan, weight in advice.plans],
                "met": met,
                "answer": "\n\n".join(advice.answers),
                "tokens": advice.tokens,
                "advised": bool(advice.plans),
            }
            for (text,), advice, met in self._memory.rows()
        ]

    def state(self) -> dict[str, Any]:
        """What a resumed run needs: the draws, and the table with every answer."""
        return {"random": self._random.bit_generator.state, "unadvised": self.unadvised, "rows": self.table()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from `state`, without asking again."""
        self._random.bit_generator.state = state["random"]
        self.unadvised = state["unadvised"]
        self._memory.restore(((row["text"],), _advice_of(row), row["met"]) for row in state["rows"])


def _advice_of(row: Mapping[str, Any]) -> Advice:
    """The advice of a row of the table."""
    plans = tuple((tuple(plan["skills"]), plan["probability"]) for plan in row["plans"])
    return Advice(plans, (row["answer"],) if row["answer"] else (), row["tokens"])


def look_up(answers: Mapping[str, Mapping[str, float]], situations: Sequence[Situation]) -> list[Advice]:
    """Advice from a mapping of situations' texts to plans with their probabilities, written as in `write_answers`.

    Raises:
        UsageError: If a plan begins with something that is not among the situation's choices.
    """
    found = []
    for situation in situations:
        plans = _plans(situation, answers.get(situation.text, {}))
        total = sum(plans.values())
        found.append(Advice(tuple((plan, weight / total) for plan, weight in plans.items() if weight > 0)))
    return found


def write_answers(path: str | Path, answers: Mapping[Situation, Mapping[str, float]]) -> None:
    """Writes a JSONL file that `recorded:PATH` opens as a language model, for the elicitation `verbalized`.

    Each situation has plans with probabilities. A plan is an action, or skills with commas between them: `{"north":
    0.8, "east": 0.2}`, `{"go to key, pick up key": 1.0}`. An existing file is replaced.

    Raises:
        UsageError: If a plan begins with something that is not among the situation's choices.
        WeanError: If the file cannot be written.
    """
    lines = []
    for situation, weighted in answers.items():
        written = _plans(situation, weighted)
        plans = [{"skills": list(plan), "probability": probability} for plan, probability in written.items()]
        lines.append(json.dumps({"messages": plan_question(situation), "answer": json.dumps({"plans": plans})}) + "\n")
    try:
        Path(path).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise WeanError(f"cannot write {path} ({error.strerror}); name another file") from None


def _plans(situation: Situation, weighted: Mapping[str, float]) -> dict[Plan, float]:
    """Splits plans at their commas.

    Raises:
        UsageError: See `write_answers`.
    """
    plans: dict[Plan, float] = {}
    for plan, probability in weights_of(situation, weighted).items():
        skills = tuple(skill.strip() for skill in plan.split(","))
        place_of(situation, skills[0])
        plans[skills] = probability
    return plans


def weights_of(situation: Situation, answer: Any) -> Mapping[str, float]:
    """An answer from texts to weights, checked.

    Raises:
        UsageError: It is another thing, or a weight is no number from 0.
    """
    right = isinstance(answer, Mapping) and all(isinstance(name, str) for name in answer)
    if not right or not all(is_number(weight) and weight >= 0 for weight in answer.values()):
        raise UsageError(
            f"the answer for {shown(situation.text)} is {shown(answer)}; let it be a mapping from choices to "
            "probabilities, numbers from 0"
        )
    found: Mapping[str, float] = answer
    return found


def place_of(situation: Situation, name: str) -> int:
    """The place of a name among a situation's choices, in any case.

    Raises:
        UsageError: If it is not among them.
    """
    names = [choice.lower() for choice in situation.choices]
    if name.lower() not in names:
        choices = ", ".join(situation.choices)
        raise UsageError(f"{name!r} is no choice in {shown(situation.text)}; there are {choices}")
    return names.index(name.lower())
