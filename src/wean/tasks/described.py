"""Any Gymnasium environment becomes a task with one function that describes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym

from wean.errors import UsageError
from wean.tasks.situation import Situation

Describe = Callable[[gym.Env[Any, Any]], Situation]


class DescribedTask(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """A Gymnasium environment in words: `situation()` calls the user's function, and only when it is read.

    The situation's `choices` name the actions 0, 1, 2, ... of a `Discrete` action space in order, so that the first
    item of a plan becomes an action number by its place in that list.

    Args:
        env: The environment, with a `Discrete` action space.
        describe: Maps the environment to a `Situation`, e.g. `Situation(goal, text, choices)`.

    Raises:
        UsageError: If the action space is not `Discrete`.
    """

    def __init__(self, env: gym.Env[Any, Any], describe: Describe) -> None:
        if not isinstance(env.action_space, gym.spaces.Discrete):
            raise UsageError(f"a described task needs a Discrete action space, not {env.action_space}")
        # Lets Gymnasium make the task again from its `spec`, as its checker and its vector environments do.
        gym.utils.RecordConstructorArgs.__init__(self, _disable_deepcopy=True, describe=describe)
        gym.Wrapper.__init__(self, env)
        self._describe = describe
        self._actions = int(env.action_space.n)

    def situation(self) -> Situation:
        """The present moment in words."""
        return self._describe(self.env)

    def first_action(self, plan: Sequence[str]) -> int | None:
        """The number of the action that a plan's first item names; None if it names none.

        Raises:
            UsageError: If the description does not name every action.
        """
        names = [name.lower() for name in self.situation().choices]
        if len(names) != self._actions:
            raise UsageError(
                f"the description names {len(names)} choices for {self._actions} actions; name every action, in order"
            )
        wanted = plan[0].strip().lower() if plan else ""
        return names.index(wanted) if wanted in names else None


def describe(env: gym.Env[Any, Any], words: Describe) -> DescribedTask:
    """Makes a task of any Gymnasium environment with numbered actions.

    Example:
        >>> def words(env):
        ...     side = "left" if env.unwrapped.state[2] < 0 else "right"
        ...     return Situation("Keep the pole upright.", f"It leans to the {side}.", ("push left", "push right"))
        >>> task = describe(gym.make("CartPole-v1"), words)

    Args:
        env: The environment.
        words: Says in words what is going on in it; the situation's `choices` name the actions 0, 1, 2, ... in order.

    Raises:
        UsageError: If the action space is not `Discrete`.
    """
    return DescribedTask(env, words)
