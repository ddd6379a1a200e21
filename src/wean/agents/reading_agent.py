"""A text student that plays episodes by itself: it decides, and one rule that knows no task keeps it from repeating.

An action is the admissible one that the student finds most probable; where a task lists none, it is the text that the
student generates. A sub-goal is the text that the student generates, and over when the student says so, or after
`GOAL_LIMIT` actions.

No repeat: an action that has had the same result twice in the same state (the same answer of the task, the same things
to be seen and carried, and the same score after it) is not taken there again. Waiting, and what else only lets time
pass, is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from wean.agents.policy import SILENT
from wean.agents.text_agent import Played, SubgoalSource, take
from wean.students.text.decoder import Decoder, EpisodeDecoder, decoder_for
from wean.students.text.student import TextStudent
from wean.tasks.contract import TextTask

GOAL_LIMIT = 30
"""Actions after which a sub-goal is over in any case."""
_SAME = 2  # equal results after which an action is not taken again

_State = tuple[str, str, float]  # what can be seen, what is carried, and the score


class ReadingAgent:
    """A text student that plays episodes, one after the other.

    Whole ones with `play`; or step by step: `begin(task)`, then `next_action()` and `observe(...)` in turns until the
    task has ended or the episode is `given_up`.

    Attributes:
        played: The current episode so far.

    Args:
        student: The student.
        subgoals: Names sub-goals in place of the student, which still decides when they end.
        decoder: Decodes in place of the student's own decoder, e.g. an ensemble's.
    """

    def __init__(
        self, student: TextStudent, subgoals: SubgoalSource | None = None, decoder: Decoder | None = None
    ) -> None:
        self._student, self._subgoals = student, subgoals
        self._decoder = decoder or decoder_for(student)

    def play(self, task: TextTask, max_moves: int) -> Played:
        """Plays a task that was just reset, for a number of moves at most."""
        self.begin(task)
        ended = False
        while not ended and self.played.moves < max_moves and not self.given_up:
            observation, ended, info = take(task, self.next_action())
            self.observe(observation, info, ended)
        return self.played

    def begin(self, task: TextTask) -> None:
        """Begins the episode of a task that was just reset."""
        self._task, self.played = task, Played(score=float(task.score))
        self._read_before = self._decoder.tokens_read
        self._silent = 0  # actions in a row that cost no move
        self._num_goals = self._num_actions = 0  # sub-goals so far, and actions since the last one began
        self._results: dict[tuple[_State, str], tuple[Any, int]] = {}  # the last result, and how often it came in a row
        self._is_asked = False
        look, carried = task.look(), task.inventory()
        self._state: _State = (look, carried, self.played.score)
        self._episode = self._student.episode()
        self._episode.begin(task.description, look, carried)
        self._proposals = EpisodeDecoder(self._student, self._decoder, self._episode)
        if self._student.prompt.subgoals:
            self._name_goal()
        self._count()

    @property
    def given_up(self) -> bool:
        """Whether too many actions in a row cost no move."""
        return self._silent >= SILENT

    def next_action(self) -> str:
        """The next action; `observe` follows."""
        choices = [choice for choice in self._task.situation().choices if not self._is_repeat(choice)]
        started = time.perf_counter()
        self._episode.make_room()
        if self._student.prompt.subgoals and self._num_actions and not self._is_asked and self._is_goal_over():
            self._episode.add_done(target=False)
            self.played.seconds += time.perf_counter() - started
            self._name_goal()
            started = time.perf_counter()
            self._episode.make_room()
        self._action = choices[self._proposals.rank_actions(choices)] if choices else self._free_text()
        self.played.seconds += time.perf_counter() - started
        self._count()
        return self._action

    def observe(self, observation: str, info: Mapping[str, Any], ended: bool) -> None:
        """Notes the answer of the task to the action; `moves` in the step's `info` counts the moves."""
        action, played = self._action, self.played
        score, moves = float(self._task.score), int(info.get("moves", played.moves + 1))
        look, carried = self._task.look(), self._task.inventory()
        self._episode.add_action(action, target=False)
        self._episode.add_observation(observation, look, carried, score > played.score)
        result = (observation, look, carried, score)
        last, times = self._results.get((self._state, action), (None, 0))
        self._results[self._state, action] = (result, times + 1 if result == last else 1)
        self._num_actions += 1
        self._silent = self._silent + 1 if moves == played.moves else 0
        played.actions += 1
        played.moves, played.score = moves, score
        played.trace.append({"action": action, "observation": observation[:300], "score": score, "moves": moves})
        self._is_asked = bool(self._task.meanings)
        self._state = (look, carried, score)
        self._count()

    def _name_goal(self) -> None:
        """Names the next sub-goal."""
        started = time.perf_counter()
        self._episode.ask_goal()
        goal = None
        if self._subgoals is not None:
            goal = self._subgoals(self._num_goals, self._own_goal)
        self._episode.add_goal(self._own_goal() if goal is None else goal, target=False)
        self._num_goals, self._num_actions = self._num_goals + 1, 0
        self.played.trace.append({"goal": self._episode.goal})
        self.played.seconds += time.perf_counter() - started

    def _own_goal(self) -> str:
        return self._proposals.generate_goal().text

    def _is_goal_over(self) -> bool:
        return self._num_actions >= GOAL_LIMIT or self._proposals.prefers_done()

    def _is_repeat(self, action: str) -> bool:
        """Whether an action had the same result in this state as often as it may."""
        return self._results.get((self._state, action), (None, 0))[1] >= _SAME and action not in self._task.idle

    def _free_text(self) -> str:
        """The text that the student generates, where the task lists no action that may be taken."""
        listed: Sequence[str] = self._task.situation().choices
        text = self._proposals.generate_action(None, lambda said: not self._is_repeat(said)).text
        return text or (listed[0] if listed else "wait")

    def _count(self) -> None:
        self.played.tokens = self._decoder.tokens_read - self._read_before
