"""Episodes that a person plays on the page of `wean serve`, each beside the student's own in the same task."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.runtime.policy import ArrayPolicy
from wean.runtime.server.requests import Act
from wean.runtime.server.service import Service
from wean.runtime.server.sessions import Refused
from wean.tasks.options import OptionTasks
from wean.tasks.pictures import action_names, make_drawn, picture
from wean.tasks.vector import SerialTasks, ShownTasks, chosen

PERSON, STUDENT = 0, 1
MOST_GAMES = 16
"""Games at a time; the one that was used longest ago makes room for another."""
_WIDTH = 420  # of a picture, in pixels

MakeDrawn = Callable[..., gym.Env[Any, Any]]


@dataclass
class _Side:
    """One of the two episodes of a game."""

    observation: NDArray[Any]
    session: str
    total: float = 0.0
    steps: int = 0
    over: bool = False
    success: bool | None = None
    action: str | None = None
    """The action that led here."""
    probabilities: list[float] = field(default_factory=list)
    """Of the person's side the student's here; of the student's side those that its action came from."""
    choices: list[str] = field(default_factory=list)
    """What those are probabilities of."""


class _Game:
    """Two members of one task, reset alike."""

    def __init__(self, tasks: ShownTasks, seed: int, sessions: tuple[str, str]) -> None:
        self.tasks = tasks
        seen = tasks.reset([PERSON, STUDENT], [seed, seed])
        self.sides = [_Side(one, session) for one, session in zip(seen, sessions, strict=True)]
        self.names = action_names(tasks)

    def choices(self, member: int) -> list[str]:
        """The names of the actions that a member has now."""
        return self.names or list(self.tasks.situations([member])[0].choices)

    def step(self, member: int, number: int) -> None:
        """Lets a member act."""
        side = self.sides[member]
        side.action = self.choices(member)[number]
        steps = self.tasks.step([member], chosen(self.tasks, [member], np.array([number])))
        side.observation = steps.observations[0]
        side.total += float(steps.rewards[0])
        side.steps += 1
        side.over = bool(steps.terminated[0] or steps.truncated[0])
        side.success = None if np.isnan(steps.successes[0]) else bool(steps.successes[0])

    def situation(self, member: int) -> dict[str, Any]:
        """A member's situation, as a student of action values reads it."""
        found = self.tasks.situations([member])[0]
        return {"text": found.text, "choices": list(found.choices)}

    def view(self, member: int) -> dict[str, Any]:
        """What the page shows of a member."""
        side = self.sides[member]
        try:
            situation = self.tasks.situations([member])[0]
            goal, text = situation.goal, situation.text
        except UsageError:  # a task without words
            goal, text = "", np.array2string(side.observation, threshold=100)
        return {
            "picture": picture(self.tasks, member, _WIDTH),
            "goal": goal,
            "text": text,
            "return": side.total,
            "steps": side.steps,
            "over": side.over,
            "success": side.success,
            "action": side.action,
            "choices": side.choices,
            "probabilities": side.probabilities,
        }


class Games:
    """The games of a server.

    Tasks are stepped and drawn in a thread of their own, so that requests for actions do not wait for pictures; the
    student acts in the thread that serves all requests.

    Args:
        service: The student.
        make: Makes the task.

    Raises:
        UsageError: The student does not see this task.
    """

    def __init__(self, service: Service, make: MakeDrawn) -> None:
        self._service, self._make = service, make
        self._games: OrderedDict[str, _Game] = OrderedDict()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="games")
        self._free = asyncio.Lock()
        self._worker.submit(lambda: self._tasks().close()).result()

    async def begin(self, seed: int) -> dict[str, Any]:
        """Begins a game; returns its name and what the page shows."""
        async with self._free:
            while len(self._games) >= MOST_GAMES:
                _, oldest = self._games.popitem(last=False)
                await self._in_worker(oldest.tasks.close)
                self._end_sessions(oldest)
            sessions = self._service.sessions.begin(seed), self._service.sessions.begin(seed)
            game = await self._in_worker(lambda: _Game(self._tasks(), seed, sessions))
            name = secrets.token_urlsafe(16)
            self._games[name] = game
            await self._advise(game)
            return await self._shown(name, game)

    async def step(self, name: str, action: int | None) -> dict[str, Any]:
        """Lets a person act, and the student too where its episode goes on; without an action the student alone.

        Raises:
            Refused: There is no such game or action, or the episode is over.
        """
        async with self._free:
            game = self._games.get(name)
            if game is None:
                raise Refused(404, "there is no such game (others took its place); begin another")
            self._games.move_to_end(name)
            person, student = game.sides
            if action is not None:
                if person.over:
                    raise Refused(409, "your episode is over; begin another")
                if not 0 <= action < len(person.choices):
                    raise Refused(422, f"there is no action {action}; there are 0 to {len(person.choices) - 1}")
                await self._in_worker(lambda: game.step(PERSON, action))
                await self._advise(game)
            if not student.over:
                number = await self._ask(game, STUDENT)
                await self._in_worker(lambda: game.step(STUDENT, number))
            return await self._shown(name, game)

    async def _shown(self, name: str, game: _Game) -> dict[str, Any]:
        views = await self._in_worker(lambda: [game.view(member) for member in (PERSON, STUDENT)])
        return {"game": name, "person": views[PERSON], "student": views[STUDENT]}

    async def _advise(self, game: _Game) -> None:
        """Finds what the student would do in the person's place."""
        if not game.sides[PERSON].over:
            await self._ask(game, PERSON)

    async def _ask(self, game: _Game, member: int) -> int:
        """The student's action for a member; its probabilities are kept."""
        side = game.sides[member]
        side.choices = await self._in_worker(lambda: game.choices(member))
        if isinstance(self._service.policy, ArrayPolicy):
            shown: Any = side.observation.tolist()
        else:
            shown = await self._in_worker(lambda: game.situation(member))
        told = self._service.act(Act(session=side.session, observation=shown, probabilities=True))
        side.probabilities = told["probabilities"]
        return int(told["action"])

    def _end_sessions(self, game: _Game) -> None:
        for side in game.sides:
            try:
                self._service.sessions.end(side.session)
            except Refused:  # it has expired
                continue

    async def _in_worker(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)

    def _tasks(self) -> ShownTasks:
        """Two members of the task, as the student sees it.

        Raises:
            UsageError: The student does not see this task.
        """
        tasks = SerialTasks([partial(make_drawn, self._make)] * 2)
        if not isinstance(self._service.policy, ArrayPolicy):
            return tasks
        seen, shape = self._service.policy.observations.shape, tasks.observation_space.shape or ()
        if seen == shape:
            return tasks
        if tasks.observation == "map" and seen == (*shape[:-1], shape[-1] + 1):
            return OptionTasks(tasks)
        tasks.close()
        raise UsageError(
            f"the task shows observations of shape {shape}, the student sees {seen}; name its own task with --task"
        )
