"""Checks that an environment keeps the contract of a task, in the manner of Gymnasium's `check_env`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.utils.env_checker import check_env, data_equivalence

from wean.errors import UsageError
from wean.tasks.situation import Situation
from wean.tasks.splits import FINAL_SEED
from wean.tasks.text_task import text_task

_STEPS = 20
_NONSENSE = "no such action as this"


def check_task(env: gym.Env[Any, Any]) -> None:
    """Checks an environment: Gymnasium's contract, its words, its actions in words, and that a seed decides it all.

    Gymnasium's own warnings are passed on. The environment is left somewhere in an episode.

    Example:
        >>> check_task(wean.make("FrozenLake4x4"))

    Args:
        env: The environment; of numbered actions (`Discrete`), or played in words (`Text`).

    Raises:
        UsageError: If something is missing or wrong; the message names the first such thing in one line.
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
    """A method of the environment or of the wrapper that has it."""
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


def _check_seed(env: gym.Env[Any, Any], seed: int) -> None:
    """Plays the same random actions twice after the same reset; everything must be the same."""
    first, second = _played(env, seed), _played(env, seed)
    for step, (one, other) in enumerate(zip(first, second, strict=False)):
        for name in one:
            if not data_equivalence(one[name], other[name]):
                _fail(f"after reset(seed={seed}) and {step} equal actions its {name} differs; draw from self.np_random")


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
