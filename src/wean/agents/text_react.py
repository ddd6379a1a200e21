"""A language model in the loop that plays a task in words, in the manner of ReAct (2210.03629): a thought, a command.

What a student that was weaned off its language model is compared with: the same episodes, with questions and tokens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from wean.agents.text_agent import SILENT, Played, take
from wean.llm.answers import Message
from wean.llm.model import LanguageModel
from wean.llm.question import tokens_used
from wean.tasks.text_task import TextTask
from wean.teachers.plans import last_named
from wean.teachers.proposals import project

_INSTRUCTION = (
    "Each turn you are told what you see, what you carry, and your last commands with what came of them. Then you give "
    "the next command. Think in one or two sentences, then finish with one JSON object on a line of its own: "
    '{"command": "..."}.'
)
_LISTED = 40  # commands; where there are more, one of each kind is shown
_OBSERVED = 600  # characters of an observation


class LanguageAgent:
    """Asks a language model for every command.

    An answer counts as the admissible command that it names (see `wean.teachers.proposals.project`). One that names
    none is not put to the task and costs no move, but the model is told; after forty commands in a row that cost no
    move the episode is given up.

    Args:
        model: The language model.
        history: Commands, with what came of them, that a question tells.
        temperature: Sampling temperature; None leaves it to the model.
    """

    def __init__(self, model: LanguageModel, history: int = 10, temperature: float | None = None) -> None:
        self._model, self._history, self._temperature = model, history, temperature

    def play(self, task: TextTask, max_moves: int) -> Played:
        """Plays a task that was just reset.

        Args:
            task: The task.
            max_moves: Moves after which the episode is over.
        """
        played, past = Played(), list[tuple[str, str]]()
        over, free = False, 0
        while not over and played.moves < max_moves and free < SILENT:
            choices = task.situation().choices
            request = self._question(task, choices, past)
            started = time.perf_counter()
            ((answer,),) = self._model.generate([request], temperature=self._temperature)
            played.seconds += time.perf_counter() - started
            played.questions += 1
            played.tokens += tokens_used(request, answer)
            command = last_named(answer.text or "", "command") or ""
            found = project(command, choices) if command else None
            moves = played.moves
            if found is None:
                played.failed += 1
                observation = "That is no command here."
                played.trace.append({"action": command, "observation": observation, "score": float(task.score)})
            else:
                command = choices[found]
                said, over, info = take(task, command)
                observation = said[:_OBSERVED]
                played.actions += 1
                played.moves = int(info.get("moves", moves + 1))
                entry = {"action": command, "observation": observation[:300], "score": float(task.score)}
                played.trace.append(entry | {"moves": played.moves})
            past.append((command or (answer.text or "")[:100], observation))
            free = free + 1 if played.moves == moves else 0
        played.score = float(task.score)
        return played

    def _question(self, task: TextTask, choices: Sequence[str], past: Sequence[tuple[str, str]]) -> list[Message]:
        told = [f"You see:\n{task.look().strip()}", f"You carry:\n{task.inventory().strip()}"]
        if self._history:
            lines = [f"> {command}\n{observation.strip()}" for command, observation in past[-self._history :]]
            told.append("Your last commands, the oldest first:\n" + ("\n".join(lines) or "none yet"))
        told.append(_commands(choices))
        return [
            {"role": "system", "content": f"You play a game in text. {task.description.strip()} {_INSTRUCTION}"},
            {"role": "user", "content": "\n\n".join(told)},
        ]


def _commands(choices: Sequence[str]) -> str:
    """All commands, or where there are many the shortest of each kind."""
    if len(choices) <= _LISTED:
        return "The commands that can be given now:\n" + "\n".join(choices)
    kinds: dict[str, str] = {}
    for choice in sorted(choices, key=lambda text: (len(text), text)):
        kinds.setdefault(choice.split(" ", 1)[0], choice)
    return "Many commands can be given now, for example one of each kind:\n" + "\n".join(sorted(kinds.values()))
