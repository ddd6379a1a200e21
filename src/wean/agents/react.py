"""A language model in the loop as the agent: a thought and a decision at a time (ReAct, 2210.03629).

What a student that was weaned off its language model is compared with: the same episodes, with questions and tokens.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import SILENT, Policy
from wean.errors import UsageError
from wean.llm.answers import Answer, Message, tokens_used
from wean.llm.model import LanguageModel
from wean.llm.reading import without_thoughts
from wean.tasks.contract import TextTask
from wean.tasks.situation import Situation
from wean.tasks.splits import Case
from wean.tasks.vector import Steps, Tasks, has_numbered_actions, num_actions
from wean.teachers.reading import last_named, project

# The prompts under which wean's recorded answers were given: changing a letter of it orphans them.
_SKILL_INSTRUCTION = (
    "Decide what it should do next. Think in one or two sentences, then finish with one JSON object on a line of its "
    'own: {"skill": "..."}, with one of the skills that can do something now, named exactly as you were told.'
)
_COMMAND_INSTRUCTION = (
    "Each turn you are told what you see, what you carry, and your last commands with what came of them. Then you give "
    "the next command. Think in one or two sentences, then finish with one JSON object on a line of its own: "
    '{"command": "..."}.'
)
_NO_COMMAND = "That is no command here."
_LISTED = 40  # commands; where there are more, one of each kind is shown
_OBSERVED = 600  # characters of an observation
_SKILL_HISTORY, _COMMAND_HISTORY = 0, 10


@dataclass
class _Member:
    """One episode under way."""

    past: list[tuple[str, str]] = field(default_factory=list)
    """Earlier decisions, and what came of them."""
    questions: int = 0
    failed: int = 0
    tokens: int = 0
    skill: str = ""
    """The skill that was decided on last."""
    chosen_in: Hashable = None
    """Key of the situation in which it was."""
    command: str = ""
    """The command that was decided on last."""
    moves: int = 0
    silent: int = 0
    """What cost no move, in a row."""
    seconds: float = 0.0
    """Of waiting for answers."""
    score: float = 0.0
    trace: list[dict[str, Any]] = field(default_factory=list)


class ReactPolicy(Policy):
    """Asks a language model for each decision: which skill to carry out, or in a text task which command to give.

    A skill is carried out until it has nothing more to do or the situation changes. The question has the situation and
    the skills that can do something now; where the answer names none of them (or a recorded model has no answer), a
    random one is taken. Where no skill can do anything, a random primitive action is taken and nothing is asked.

    In a text task an answer counts as the admissible command that it names (see `wean.teachers.reading.project`).
    One that names none is not put to the task and costs no move, but the next question mentions it.

    `episode_stats` counts `questions`, `failed` (answers that named nothing that can be done) and `tokens` (read and
    written, as if each question had been put to the model, whether or not a ledger replayed the answer).

    Args:
        model: The language model.
        history: Last decisions in a question, with what came of them; by default none of skills, 10 commands.
        temperature: Sampling temperature; None leaves it to the model.

    Raises:
        UsageError: If `history` is negative.
    """

    name = "llm-agent"

    def __init__(self, model: LanguageModel, history: int | None = None, temperature: float | None = None) -> None:
        if history is not None and history < 0:
            raise UsageError(f"the history is a number of decisions from 0, not {history}")
        self._model, self._history, self._temperature = model, history, temperature
        self._members: list[_Member] = []
        self._in_words = False

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        self._members = [_Member() for _ in members]

    def episode_stats(self) -> list[dict[str, Any]]:
        """See `Policy.episode_stats`."""
        names = ["questions", "failed", "tokens", *(["seconds", "score", "trace"] if self._in_words else [])]
        return [{name: vars(member)[name] for name in names} for member in self._members]

    def decide(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> list[Any]:
        """See `Policy.decide`."""
        if has_numbered_actions(tasks):
            return super().decide(tasks, which, observations, draws)
        self._in_words = True
        return self._commands(tasks, which)

    # --- skills --------------------------------------------------------------------------------------------------

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`; all of it is at the action that a skill takes next, or uniform without one."""
        situations = tasks.situations(which)
        deciding = []
        going = self._next_actions(tasks, which)
        for place, (index, now) in enumerate(zip(which, situations, strict=True)):
            member = self._members[index]
            changed = now.key != member.chosen_in
            if changed or going[place] is None:
                if member.skill:
                    member.past.append((member.skill, "the situation changed" if changed else "done"))
                    member.skill = ""
                deciding.append(place)
        if deciding:
            members = [which[place] for place in deciding]
            self._choose_skills(tasks, members, [situations[place] for place in deciding], draws[deciding])
            for place, action in zip(deciding, self._next_actions(tasks, members), strict=True):
                going[place] = action
        actions = num_actions(tasks.action_space)
        probabilities = np.full((len(which), actions), 1 / actions)
        for place, action in enumerate(going):
            if action is not None:
                probabilities[place] = np.eye(actions)[action]
        return probabilities

    def _next_actions(self, tasks: Tasks, which: Sequence[int]) -> list[int | None]:
        """The primitive action with which each member's skill goes on."""
        plans = [[(self._members[index].skill,)] for index in which]
        return [found[0] for found in tasks.first_actions(which, plans)]

    def _choose_skills(
        self, tasks: Tasks, which: Sequence[int], situations: Sequence[Situation], draws: NDArray[np.float64]
    ) -> None:
        """Asks for a skill for each member and sets it; no skill where none can do anything."""
        plans = [[(name,) for name in situation.choices] for situation in situations]
        able = [
            [name for name, action in zip(now.choices, found, strict=True) if action is not None]
            for now, found in zip(situations, tasks.first_actions(which, plans), strict=True)
        ]
        asking = [place for place, names in enumerate(able) if names]
        history = _SKILL_HISTORY if self._history is None else self._history
        questions = {
            which[place]: skill_question(situations[place], able[place], self._members[which[place]].past, history)
            for place in asking
        }
        answers = self._ask(questions)
        for place in asking:
            index, names = which[place], able[place]
            member = self._members[index]
            skill = last_named(answers[index].text or "", "skill") or ""
            if tasks.first_actions([index], [[(skill,)]])[0][0] is None:
                member.failed += 1
                skill = names[min(int(draws[place] * len(names)), len(names) - 1)]
            member.skill, member.chosen_in = skill, situations[place].key

    # --- commands ------------------------------------------------------------------------------------------------

    def _commands(self, tasks: Tasks, which: Sequence[int]) -> list[str | None]:
        """Asks each member until it names an admissible command; None gives an episode up."""
        given: dict[int, str] = {}
        while asking := [i for i in which if i not in given and self._members[i].silent < SILENT]:
            history = _COMMAND_HISTORY if self._history is None else self._history
            choices = {index: tasks.text_task(index).situation().choices for index in asking}
            questions = {
                index: command_question(tasks.text_task(index), choices[index], self._members[index].past, history)
                for index in asking
            }
            for index, answer in self._ask(questions).items():
                member = self._members[index]
                command = last_named(answer.text or "", "command") or ""
                found = project(command, choices[index]) if command else None
                if found is not None:
                    given[index] = member.command = choices[index][found]
                    continue
                member.failed += 1
                member.silent += 1
                member.score = float(tasks.text_task(index).score)
                member.past.append((command or without_thoughts(answer.text or "").strip()[:100], _NO_COMMAND))
                member.trace.append({"action": command, "observation": _NO_COMMAND, "score": member.score})
        return [given.get(index) for index in which]

    def observe(self, tasks: Tasks, which: Sequence[int], steps: Steps) -> None:
        """See `Policy.observe`; notes what came of the commands."""
        if not self._in_words:
            return
        for place, index in enumerate(which):
            member = self._members[index]
            observation = steps.feedback(place)[:_OBSERVED]
            moves = int(steps.infos[place].get("moves", member.moves + 1))
            member.silent = member.silent + 1 if moves == member.moves else 0
            member.moves, member.score = moves, float(tasks.text_task(index).score)
            entry = {"action": member.command, "observation": observation[:300], "score": member.score}
            member.trace.append(entry | {"moves": moves})
            member.past.append((member.command, observation))

    def _ask(self, questions: Mapping[int, list[Message]]) -> dict[int, Answer]:
        """Puts the members' questions to the model at once; returns their answers."""
        started = time.perf_counter()
        answers = self._model.generate(list(questions.values()), temperature=self._temperature)
        seconds = time.perf_counter() - started
        found = {}
        for (index, question), (answer,) in zip(questions.items(), answers, strict=True):
            member = self._members[index]
            member.questions += 1
            member.tokens += tokens_used(question, answer)
            member.seconds += seconds
            found[index] = answer
        return found


def skill_question(
    situation: Situation, able: Sequence[str], past: Sequence[tuple[str, str]], history: int
) -> list[Message]:
    """The question which skill to carry out next: of the `able` ones, after the last decisions and what ended them."""
    text = f"{situation.text} Skills that can do something now: {', '.join(able)}."
    if history:
        told = "; ".join(f"{skill} ({ended})" for skill, ended in past[-history:])
        text += f" Its last decisions, the oldest first: {told or 'none yet'}."
    return [
        {"role": "system", "content": f"{situation.goal} {_SKILL_INSTRUCTION}"},
        {"role": "user", "content": text},
    ]


def command_question(
    task: TextTask, choices: Sequence[str], past: Sequence[tuple[str, str]], history: int
) -> list[Message]:
    """The question which command to give next, after the last commands and what came of them."""
    told = [f"You see:\n{task.look().strip()}", f"You carry:\n{task.inventory().strip()}"]
    if history:
        lines = [f"> {command}\n{observation.strip()}" for command, observation in past[-history:]]
        told.append("Your last commands, the oldest first:\n" + ("\n".join(lines) or "none yet"))
    told.append(_list_commands(choices))
    return [
        {"role": "system", "content": f"You play a game in text. {task.description.strip()} {_COMMAND_INSTRUCTION}"},
        {"role": "user", "content": "\n\n".join(told)},
    ]


def _list_commands(choices: Sequence[str]) -> str:
    """All commands, or where there are many the shortest of each kind."""
    if len(choices) <= _LISTED:
        return "The commands that can be given now:\n" + "\n".join(choices)
    kinds: dict[str, str] = {}
    for choice in sorted(choices, key=lambda text: (len(text), text)):
        kinds.setdefault(choice.split(" ", 1)[0], choice)
    return "Many commands can be given now, for example one of each kind:\n" + "\n".join(sorted(kinds.values()))
