"""The language model in the loop as the agent: a thought and one skill per decision (ReAct, 2210.03629)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.llm.answers import Message
from wean.llm.model import LanguageModel
from wean.llm.question import tokens_used
from wean.tasks.situation import Situation
from wean.tasks.vector import Tasks
from wean.teachers.reading import last_named

# The wording under which wean's recorded answers were given: changing a letter of it orphans them.
_INSTRUCTION = (
    "Decide what it should do next. Think in one or two sentences, then finish with one JSON object on a line of its "
    'own: {"skill": "..."}, with one of the skills that can do something now, named exactly as you were told.'
)


class AgentQueryStats(NamedTuple):
    """What was asked in an episode.

    Attributes:
        questions: Decisions, whether or not a ledger replayed the answer.
        failed: Those whose answer named no skill that can do something.
        tokens: Tokens read and written, as if each question had been put to the model.
    """

    questions: int = 0
    failed: int = 0
    tokens: int = 0


@dataclass
class _Member:
    """One episode under way."""

    skill: str = ""
    """The skill that was decided on last."""
    chosen_in: Hashable = None
    """Key of the situation in which it was."""
    past: list[tuple[str, str]] = field(default_factory=list)
    """Earlier decisions, and what ended them."""


class AgentPolicy:
    """Asks a language model at every decision which skill to carry out, until it has nothing to do or things change.

    The question tells the situation, the skills that can do something now, and the last decisions if wanted. Where the
    answer names no skill that can do something (or a recorded model has none), a random one of those that can is taken;
    where none can, a random primitive action, and nobody is asked.

    Args:
        model: The language model.
        num_actions: Number of primitive actions.
        history: How many of the last decisions a question tells; 0 tells the situation alone.
        temperature: Sampling temperature; None leaves it to the model.

    Raises:
        UsageError: If `history` is negative.
    """

    def __init__(
        self, model: LanguageModel, num_actions: int, history: int = 0, temperature: float | None = None
    ) -> None:
        if history < 0:
            raise UsageError(f"the history is a number of decisions from 0, not {history}")
        self.name = "llm-agent"
        self._model, self._num_actions = model, num_actions
        self._history, self._temperature = history, temperature
        self.query_stats: list[AgentQueryStats] = []
        """What was asked in each episode, in the order in which they began."""

    def begin(self, episodes: int) -> None:
        """See `Policy.begin`."""
        self._members = [_Member() for _ in range(episodes)]
        self._first = len(self.query_stats)
        self.query_stats += [AgentQueryStats()] * episodes

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.act`."""
        situations = tasks.situations(which)
        held = [(self._members[index].skill,) for index in which]
        going = [found[0] for found in tasks.first_actions(which, [[plan] for plan in held])]
        deciding: list[int] = []
        for place, (index, now) in enumerate(zip(which, situations, strict=True)):
            member = self._members[index]
            if now.key != member.chosen_in or going[place] is None:
                if member.skill:
                    ended = "the situation changed" if now.key != member.chosen_in else "done"
                    member.past.append((member.skill, ended))
                    member.skill = ""
                going[place] = None
                deciding.append(place)
        if deciding:
            self._decide(tasks, [which[p] for p in deciding], [situations[p] for p in deciding], draws[deciding])
            held = [(self._members[which[place]].skill,) for place in deciding]
            found = tasks.first_actions([which[place] for place in deciding], [[plan] for plan in held])
            for place, of_member in zip(deciding, found, strict=True):
                going[place] = of_member[0]
        probabilities = np.full((len(which), self._num_actions), 1 / self._num_actions)
        for place, action in enumerate(going):
            if action is not None:
                probabilities[place] = np.eye(self._num_actions)[action]
        return probabilities

    def _decide(
        self, tasks: Tasks, which: Sequence[int], situations: Sequence[Situation], draws: NDArray[np.float64]
    ) -> None:
        """Asks for a skill for each member and sets it; no skill where none can do anything."""
        choices = [[(name,) for name in situation.choices] for situation in situations]
        able: list[list[str]] = [
            [name for name, action in zip(now.choices, found, strict=True) if action is not None]
            for now, found in zip(situations, tasks.first_actions(which, choices), strict=True)
        ]
        asking = [place for place, names in enumerate(able) if names]
        requests = [self._question(situations[p], able[p], self._members[which[p]].past) for p in asking]
        answers = self._model.generate(requests, temperature=self._temperature)
        for place, request, (answer,) in zip(asking, requests, answers, strict=True):
            index = which[place]
            skill = last_named(answer.text or "", "skill") or ""
            failed = tasks.first_actions([index], [[(skill,)]])[0][0] is None
            if failed:
                skill = able[place][min(int(draws[place] * len(able[place])), len(able[place]) - 1)]
            member, was = self._members[index], self.query_stats[self._first + index]
            member.skill, member.chosen_in = skill, situations[place].key
            self.query_stats[self._first + index] = AgentQueryStats(
                was.questions + 1, was.failed + failed, was.tokens + tokens_used(request, answer)
            )

    def _question(self, situation: Situation, able: Sequence[str], past: Sequence[tuple[str, str]]) -> list[Message]:
        text = f"{situation.text} Skills that can do something now: {', '.join(able)}."
        if self._history:
            told = "; ".join(f"{skill} ({ended})" for skill, ended in past[-self._history :])
            text += f" Its last decisions, the oldest first: {told or 'none yet'}."
        return [
            {"role": "system", "content": f"{situation.goal} {_INSTRUCTION}"},
            {"role": "user", "content": text},
        ]
