"""A language model as a prior over the actions that can be taken (2410.07927)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.llm.model import LanguageModel
from wean.tasks.situation import Situation
from wean.tasks.vector import Tasks
from wean.teachers.elicitation import (
    PriorConfig,
    Proposals,
    planned_choices,
    sampled_choices,
    scaled,
    scored_choices,
    verbalized_choices,
)
from wean.teachers.teacher import AnswerMemory, Ask, Guidance, Written, place_of, source_of, weights_of

_PATIENCE = 20  # situations without a single proposal, after which a model is given up


class Prior:
    """A language model's distribution over the choices of each situation.

    Each distinct situation is asked about once per prior (and, over runs, once in the life of the ledger).

    Example:
        >>> prior = Prior({"You stand at the stove.": {"cook the egg": 0.9, "wait": 0.1}})
        >>> situation = wean.Situation("Cook.", "You stand at the stove.", ("cook the egg", "wait"))
        >>> prior.propose([situation])[0].weights.round(2).tolist()
        [0.9, 0.1]

    Args:
        model: The source of proposals; see `wean.teachers.teacher.source_of`.
        config: How a language model is asked, and what becomes of its proposals: `k` of them, drawn once for each
            situation, instead of the distribution (duplicates count); and mixed with the uniform distribution,
            (1 - epsilon) p + epsilon / A.
        seed: Seeds the draws of `k`.

    Attributes:
        model: The language model behind it, if there is one.
    """

    def __init__(
        self,
        model: str | LanguageModel | Written | Ask[Proposals],
        config: PriorConfig | None = None,
        seed: int = 0,
    ) -> None:
        config = config or PriorConfig()
        self.model, self._ask = source_of(model, partial(_elicit, config=config), _look_up)
        # Sampled proposals are `k` draws already.
        self._k = None if self.model is not None and config.elicitation == "samples" else config.k
        self._epsilon, self._seed = config.epsilon, seed
        self._memory = AnswerMemory(self._ask_new, lambda situation: (situation.text, situation.choices))
        self._silent = 0  # new situations without a proposal so far; -1 once there was one
        self.unadvised = 0

    def propose(self, situations: Sequence[Situation]) -> list[Proposals]:
        """The proposals for each situation; asks about the new ones among them, in one batch.

        The weights are final: drawn if so configured, and mixed with the uniform distribution; zeros where the model
        proposes nothing.
        """
        return self._memory.answers(situations)

    def weights(self, situations: Sequence[Situation]) -> list[NDArray[np.float64]]:
        """The weights of the proposals for each situation; see `propose`."""
        return [proposals.weights for proposals in self.propose(situations)]

    def count(self, situations: Sequence[Situation]) -> None:
        """Counts the situations in which a learner acted by this prior, for `table` and `unadvised`.

        Raises:
            UsageError: If nothing was proposed in any of many situations.
        """
        self.unadvised += sum(not weights.any() for weights in self.weights(situations))
        self._memory.count(situations)
        if self._silent >= 0 and self.unadvised >= _PATIENCE * 10:  # in a task of a few situations
            raise self._useless()

    def guide(
        self, tasks: Tasks, which: Sequence[int], num_actions: int, student: NDArray[np.float64] | None = None
    ) -> Guidance:
        """Guidance for tasks whose choices are their numbered actions; see `Teacher.guide`."""
        situations = tasks.situations(which)
        self.count(situations)
        rows = self.weights(situations)
        probabilities = np.zeros((len(which), num_actions), np.float32)
        for place, row in enumerate(rows):
            probabilities[place, : len(row)] = row
        return Guidance(probabilities, np.array([row.any() for row in rows], bool))

    def table(self) -> list[dict[str, Any]]:
        """Every situation asked about, most often met first, with its proposals."""
        rows = []
        for words, proposals, met in self._memory.rows():
            text, names = words
            listed = sorted(zip(proposals.weights.tolist(), names, strict=True), key=lambda item: -item[0])
            rows.append(
                {
                    "text": text,
                    "choices": list(names),
                    "plans": [{"skills": [name], "probability": weight} for weight, name in listed if weight > 0],
                    "weights": proposals.weights.tolist(),
                    "met": met,
                    "answer": "\n\n".join(proposals.answers),
                    "advised": bool(proposals.weights.any()),
                }
            )
        return rows

    def state(self) -> dict[str, Any]:
        """What a resumed run needs: the table with every answer."""
        return {"unadvised": self.unadvised, "rows": self.table()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from `state`, without asking again."""
        self.unadvised = state["unadvised"]
        if any(row["advised"] for row in state["rows"]):
            self._silent = -1
        self._memory.restore(
            ((row["text"], tuple(row["choices"])), _proposals_of(row), row["met"]) for row in state["rows"]
        )

    def _ask_new(self, situations: Sequence[Situation]) -> list[Proposals]:
        """Asks; gives up a model that proposes nothing from the start."""
        found = self._ask(situations)
        silent = sum(not proposals.weights.any() for proposals in found)
        self._silent = self._silent + silent if silent == len(found) and self._silent >= 0 else -1
        if self._silent >= _PATIENCE:
            raise self._useless()
        return [self._finished(situation, one) for situation, one in zip(situations, found, strict=True)]

    def _useless(self) -> UsageError:
        return UsageError(
            f"the prior proposed no action in any of the first {self._silent} situations; name another --model, "
            "or ask it otherwise (prior.elicitation=logprobs needs no words)"
        )

    def _finished(self, situation: Situation, proposals: Proposals) -> Proposals:
        """The final weights: proposals drawn, and mixed with the uniform distribution."""
        weights = proposals.weights
        if not weights.any():
            return proposals
        if self._k is not None:
            # Seeded by the words, so that the order in which situations are met does not matter.
            digest = hashlib.sha256("\n".join((situation.text, *situation.choices)).encode()).digest()
            random = np.random.default_rng([self._seed, int.from_bytes(digest[:8], "little")])
            weights = random.multinomial(self._k, weights / weights.sum()) / self._k
        weights = (1 - self._epsilon) * weights + self._epsilon / len(weights)
        return Proposals(weights, proposals.answers)


def _proposals_of(row: Mapping[str, Any]) -> Proposals:
    """The proposals of a row of the table."""
    return Proposals(np.array(row["weights"]), (row["answer"],) if row["answer"] else ())


def _elicit(model: LanguageModel, situations: Sequence[Situation], config: PriorConfig) -> list[Proposals]:
    """Asks a language model according to the settings."""
    if config.elicitation == "samples":
        return sampled_choices(model, situations, k=config.k or 5, temperature=config.temperature)
    ask = {"verbalized": verbalized_choices, "logprobs": scored_choices, "plans": planned_choices}[config.elicitation]
    return ask(model, situations, temperature=config.temperature)


def _look_up(answers: Written, situations: Sequence[Situation]) -> list[Proposals]:
    """Proposals from a mapping of situations' texts to choices with their probabilities.

    Raises:
        UsageError: If an answer is not among the situation's choices.
    """
    found = []
    for situation in situations:
        weights = np.zeros(len(situation.choices))
        for name, weight in weights_of(situation, answers.get(situation.text, {})).items():
            weights[place_of(situation, name)] += weight
        found.append(Proposals(scaled(weights)))
    return found
