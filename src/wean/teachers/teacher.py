"""The teacher: asks once per distinct situation, and turns plans through skills into action probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.llm.model import LanguageModel
from wean.llm.opening import open_model
from wean.tasks.situation import Situation
from wean.tasks.vector import Tasks
from wean.teachers.config import AdviceConfig
from wean.teachers.elicitation import logprobs, samples, verbalized
from wean.teachers.handwritten import look_up
from wean.teachers.plans import Advice, Plan

Ask = Callable[[Sequence[Situation]], Sequence[Advice]]


class Guidance(NamedTuple):
    """What the teacher says of N moments, as a target for a student.

    Attributes:
        probabilities: (N, A) float32 over primitive actions; a row of zeros where there is no advice.
        advised: (N,) bool, True where the teacher really advised.
    """

    probabilities: NDArray[np.float32]
    advised: NDArray[np.bool_]


class Teacher:
    """Guides a student by the plans that a language model proposes.

    Each distinct situation is asked about once per teacher; every later meeting is answered from memory (and, over
    runs, from the ledger behind the model).

    Example:
        >>> teacher = Teacher({"You see a key.": {"pick up key": 0.9, "explore": 0.1}})
        >>> teacher.advise([Situation("Open the door.", "You see a key.", ("pick up key", "explore"))])[0].plans
        ((('pick up key',), 0.9), (('explore',), 0.1))

    Args:
        model: What answers: the name of a language model as in `wean.llm.open_model` (`openai:...`, a URL, `hf:...`,
            `recorded:...`); one that is open; a mapping from the texts of situations to plans with their probabilities
            (see `wean.teachers.handwritten`); or a function from new situations to advice.
        config: How a language model is asked, and the mode. `soft` keeps all plans with their probabilities; `sampled`
            draws one plan at every moment (the same target in expectation, noisier); `argmax` keeps the most probable
            action only.
        seed: Seeds the draws of `sampled`.

    Attributes:
        model: The language model behind it, if there is one.
    """

    def __init__(
        self,
        model: str | LanguageModel | Mapping[str, Mapping[str, float]] | Ask,
        config: AdviceConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.config = config = config or AdviceConfig()
        opened = open_model(model) if isinstance(model, str) else model
        self.model = opened if isinstance(opened, LanguageModel) else None
        self._ask: Ask
        if isinstance(opened, LanguageModel):
            ask = {"verbalized": verbalized, "samples": samples, "logprobs": logprobs}[config.elicitation]
            self._ask = partial(ask, opened, temperature=config.temperature)
        elif isinstance(opened, Mapping):
            self._ask = partial(look_up, opened)
        else:
            self._ask = opened
        self._random = np.random.default_rng(seed)
        self._known: dict[Hashable, Advice] = {}
        self._situations: dict[Hashable, Situation] = {}
        self.met: Counter[Hashable] = Counter()
        self.unadvised = 0
        self._before: dict[str, Advice] = {}
        self._met_before: dict[str, int] = {}

    def advise(self, situations: Sequence[Situation]) -> list[Advice]:
        """Gives the advice for each situation; asks about the new ones among them, in one batch."""
        new = {s.key: s for s in situations if s.key not in self._known}
        if new:
            self._situations |= new
            # A resumed run knows what was asked before it was stopped.
            self._known |= {key: self._before[s.text] for key, s in new.items() if s.text in self._before}
            unasked = {key: s for key, s in new.items() if key not in self._known}
            if unasked:
                self._known |= zip(unasked, self._ask(list(unasked.values())), strict=True)
        advices = []
        for situation in situations:
            self.met[situation.key] += 1
            advices.append(self._known[situation.key])
        return advices

    def guide(
        self, tasks: Tasks, which: Sequence[int], num_actions: int, student: NDArray[np.float64] | None = None
    ) -> Guidance:
        """Advises members of tasks at this moment.

        Args:
            tasks: The tasks, whose situations are read and whose skills turn plans into actions.
            which: Members to guide.
            num_actions: Size A of the action space.
            student: The student's action probabilities, which make no difference here.

        Returns:
            Guidance for the members, in `which`'s order.
        """
        guidance = self.ground(tasks, which, self.advise(tasks.situations(which)), num_actions)
        self.unadvised += int((~guidance.advised).sum())
        return guidance

    def ground(self, tasks: Tasks, which: Sequence[int], advices: Sequence[Advice], num_actions: int) -> Guidance:
        """Turns advice into probabilities of primitive actions, through the tasks' skills.

        A plan that can do nothing where the agent stands is left out and the others are scaled up; where no plan can
        do anything there is no advice.

        Args:
            tasks: The tasks.
            which: Members to guide.
            advices: What was advised to each.
            num_actions: Size A of the action space.

        Returns:
            Guidance for the members, in `which`'s order.
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
        """Every situation met, most often first, with its plans: for people to read."""
        met = Counter(self._met_before)
        advices = dict(self._before)
        for key, situation in self._situations.items():
            met[situation.text] += self.met[key]
            advices[situation.text] = self._known[key]
        rows = [
            {
                "text": text,
                "plans": [{"skills": list(plan), "probability": weight} for plan, weight in advice.plans],
                "met": met[text],
                "answer": "\n\n".join(advice.answers),
                "tokens": advice.tokens,
                "advised": bool(advice.plans),
            }
            for text, advice in advices.items()
        ]
        return sorted(rows, key=lambda row: (-met[str(row["text"])], row["text"]))

    def state(self) -> dict[str, Any]:
        """What a resumed run needs: the draws, and the table with every answer."""
        return {"random": self._random.bit_generator.state, "unadvised": self.unadvised, "rows": self.table()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from `state`, without asking again."""
        self._random.bit_generator.state = state["random"]
        self.unadvised = state["unadvised"]
        self.met.clear()  # the table tells of all meetings, also of those since this teacher was made
        for row in state["rows"]:
            plans = tuple((tuple(plan["skills"]), plan["probability"]) for plan in row["plans"])
            self._before[row["text"]] = Advice(plans, (row["answer"],) if row["answer"] else (), row["tokens"])
            self._met_before[row["text"]] = row["met"]
