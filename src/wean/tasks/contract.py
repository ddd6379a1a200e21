"""The contract of a task: `TextTask` for tasks in words, `describe` for any Gymnasium environment, `check_task`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol, SupportsFloat, runtime_checkable

import gymnasium as gym
from gymnasium.utils.env_checker import check_env, data_equivalence

from wean.errors import UsageError, WeanError, shown_error
from wean.tasks.situation import Situation, first_named
from wean.tasks.splits import FINAL_SEED


@runtime_checkable
class TextTask(Protocol):
    """A Gymnasium environment whose actions are texts.

    `step` takes any text, and `situation().choices` are the texts that are admissible now. Its `info` has `moves`, the
    moves counted so far, and `feedback`, the answer to the action, where the observation is more than that.

    Attributes:
        description: The task of this episode in words; empty before the first reset.
        score: Points so far, from 0 to 100; below 0 where a failed task is scored so.
        max_moves: Moves after which an episode is truncated; None for no limit.
        irrevocable: Prefixes of actions that cannot be undone and may fail the task.
        idle: Actions that only let time pass.
        meanings: What each admissible action stands for while the task asks which of several things was meant, e.g.
            `{"0": "pick up metal pot", "1": "pick up glass cup"}`; empty otherwise.
    """

    description: str
    score: float
    max_moves: int | None
    irrevocable: tuple[str, ...]
    idle: tuple[str, ...]

    @property
    def meanings(self) -> Mapping[str, str]:
        """See the class."""

    def look(self) -> str:
        """What can be seen; costs no move."""

    def inventory(self) -> str:
        """What is carried; costs no move."""

    def situation(self) -> Situation:
        """The situation; its `choices` are the admissible actions."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """See `gymnasium.Env.reset`."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """See `gymnasium.Env.step`."""

    def close(self) -> None:
        """See `gymnasium.Env.close`."""


def text_task(env: gym.Env[Any, Any]) -> TextTask:
    """The environment as a `TextTask`.

    Raises:
        UsageError: If it is none; the message names what is missing.
    """
    if isinstance(env, TextTask):
        return env
    name = env.spec.id if env.spec is not None else type(env).__name__
    if not isinstance(env.action_space, gym.spaces.Text):
        raise UsageError(f"{name} is not played in words: its actions are {env.action_space}; choose a text task")
    raise UsageError(f"{name} lacks {', '.join(missing_of(env))}; see wean.tasks.contract.TextTask")


def missing_of(env: gym.Env[Any, Any]) -> list[str]:
    """Names of the parts of the `TextTask` contract that an environment lacks."""
    names = [name for name in {**TextTask.__annotations__, **vars(TextTask)} if not name.startswith("_")]
    return [name for name in names if not hasattr(env, name)]


Describe = Callable[[gym.Env[Any, Any]], Situation]


class DescribedTask(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """A Gymnasium environment whose `situation()` calls a function, only when it is read.

    The situation's `choices` name the actions of a `Discrete` action space in their order; the first item of a plan
    becomes an action number by its place in that list.

    Attributes:
        reward_threshold: The wrapped environment's return from which an episode counts as success; None for none.

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
        self._space = env.action_space
        # Registered anew, this task gets another `spec`, and Gymnasium puts that into the wrapped environment too.
        spec = env.unwrapped.spec  # reading `env.spec` would fix what it says
        self.reward_threshold = None if spec is None else spec.reward_threshold

    def situation(self) -> Situation:
        """The current situation.

        Raises:
            WeanError: The describing function fails.
            UsageError: It returns something else.
        """
        name = getattr(self._describe, "__qualname__", repr(self._describe))
        try:
            told: Any = self._describe(self.env)
        except Exception as error:  # it is the user's own
            detail = shown_error(error, 1_000)
            raise WeanError(f"{name}() fails to describe {self._name()} ({detail}); mend it") from error
        if not isinstance(told, Situation):
            raise UsageError(f"{name}() describes {self._name()} by {told!r:.60}; return a wean.Situation")
        return told

    def _name(self) -> str:
        return self.env.spec.id if self.env.spec is not None else type(self.env.unwrapped).__name__

    def first_action(self, plan: Sequence[str]) -> int | None:
        """The number of the action that a plan's first item names; None if it names none.

        Raises:
            UsageError: If the description does not name every action.
        """
        names = self.situation().choices
        if len(names) != self._space.n:
            raise UsageError(
                f"the description names {len(names)} choices for {self._space.n} actions; name every action, in order"
            )
        place = first_named(plan, names)
        return None if place is None else int(self._space.start) + place


def describe(env: gym.Env[Any, Any], words: Describe) -> DescribedTask:
    """Makes a task of any Gymnasium environment with numbered actions.

    Example:
        >>> def words(env):
        ...     side = "left" if env.unwrapped.state[2] < 0 else "right"
        ...     return Situation("Keep the pole upright.", f"It leans to the {side}.", ("push left", "push right"))
        >>> task = describe(gym.make("CartPole-v1"), words)

    Args:
        env: The environment.
        words: Maps it to a `Situation`, whose `choices` name the actions 0, 1, 2, ... in order.

    Raises:
        UsageError: If the action space is not `Discrete`.
    """
    return DescribedTask(env, words)


_STEPS = 20
_NONSENSE = "no such action as this"


def check_task(env: gym.Env[Any, Any]) -> None:
    """Checks an environment: Gymnasium's contract, its words, its actions in words, and that a seed decides everything.

    Gymnasium's own warnings are passed on. The environment is left within an episode.

    Example:
        >>> check_task(wean.make("FrozenLake4x4"))

    Raises:
        UsageError: The first thing that is missing or wrong, in one line.
    """
    _check_gymnasium(env)
    env.reset(seed=0)
    situation = _check_situation(_method(env, "situation", "returns a wean.Situation; or use wean.describe")())
    if isinstance(env.action_space, gym.spaces.Text):
        text_task(env)
    elif isinstance(env.action_space, gym.spaces.Discrete):
        _check_numbered(env, situation, int(env.action_space.n))
    else:
        _fail(f"its actions are {env.action_space}; a task has numbered (Discrete) or Text actions")
    for seed in (0, FINAL_SEED):
        _check_seed(env, seed)


def _fail(what: str) -> None:
    raise UsageError(f"no task of wean's: {what}")


def _method(env: gym.Env[Any, Any], name: str, remedy: str) -> Callable[..., Any]:
    """A method of the environment or of one of its wrappers."""
    try:
        method: Callable[..., Any] = env.get_wrapper_attr(name)
    except AttributeError:
        raise UsageError(f"no task of wean's: it has no {name}(); add one that {remedy}") from None
    return method


def _check_gymnasium(env: gym.Env[Any, Any]) -> None:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is different from the unwrapped version")
            # Rendering is for people, and what can be made again from its spec is checked by those who register it.
            check_env(env, skip_render_check=True, skip_close_check=True)
    except UsageError:
        raise
    except Exception as error:  # assertions, and whatever the environment raises
        _fail(f"Gymnasium's check_env says: {' '.join(str(error).split()) or type(error).__name__}")


def _check_situation(situation: Any) -> Situation:
    if not isinstance(situation, Situation):
        _fail(f"situation() returns {type(situation).__name__}; return a wean.Situation")
    for name in ("goal", "text"):
        if not isinstance(getattr(situation, name), str):
            _fail(f"the situation's {name} is no text")
    choices = situation.choices
    if not isinstance(choices, tuple) or not all(isinstance(choice, str) and choice.strip() for choice in choices):
        _fail("the situation's choices are no tuple of texts")
    if not choices:
        _fail("the situation has no choices; name at least one action")
    if len(set(choices)) < len(choices):
        _fail("the situation names two choices alike; make each choice another text")
    if not isinstance(situation.key, Hashable):
        _fail("the situation's key is not hashable; leave it out, or use a tuple of texts and numbers")
    found: Situation = situation
    return found


def _check_numbered(env: gym.Env[Any, Any], situation: Situation, actions: int) -> None:
    """Checks `first_action`: choices lead to action numbers, other texts to None."""
    first_action = _method(env, "first_action", "turns a plan into an action number; or use wean.describe")
    led = [first_action([choice]) for choice in situation.choices]
    for choice, action in zip(situation.choices, led, strict=True):
        if action is not None and not env.action_space.contains(action):
            _fail(f"first_action([{choice!r}]) returns {action!r}; return a number below {actions}, or None")
    if all(action is None for action in led):
        _fail("first_action() turns none of the choices into an action; name the actions in the choices")
    for plan in ([_NONSENSE], []):
        if (action := first_action(plan)) is not None:
            _fail(f"first_action({plan}) returns {action!r}; return None for what names no action")


def repeats(env: gym.Env[Any, Any], seed: int = 0) -> bool:
    """Whether the same actions after a reset with the same seed give the same episode, in its first 20 steps."""
    return next(_differences(env, seed), None) is None


def _check_seed(env: gym.Env[Any, Any], seed: int) -> None:
    """Checks that the same random actions after the same reset give the same episode."""
    for step, name in _differences(env, seed):
        _fail(f"after reset(seed={seed}) and {step} equal actions its {name} differs; draw from self.np_random")


def _differences(env: gym.Env[Any, Any], seed: int) -> Iterator[tuple[int, str]]:
    """In which step and what differs between two episodes with the same seed and actions."""
    for step, (one, other) in enumerate(zip(_played(env, seed), _played(env, seed), strict=False)):
        yield from ((step, name) for name in one if not data_equivalence(one[name], other[name]))


def _played(env: gym.Env[Any, Any], seed: int) -> list[dict[str, Any]]:
    situation = env.get_wrapper_attr("situation")
    in_words = isinstance(env.action_space, gym.spaces.Text)
    env.action_space.seed(seed)
    observation, _ = env.reset(seed=seed)
    reward: SupportsFloat = 0.0
    ended = False
    seen: list[dict[str, Any]] = []
    while True:
        now = _check_situation(situation()) if not ended else Situation("", "", ())
        words = {"goal": now.goal, "text": now.text, "choices": now.choices}
        seen.append({"observation": observation, "reward": float(reward), "end": ended, **words})
        if ended or len(seen) > _STEPS:
            return seen
        action = now.choices[len(seen) % len(now.choices)] if in_words else env.action_space.sample()
        observation, reward, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
