"""Recorded episodes of any environment: without a picture or words where it has none."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gymnasium as gym
import pytest

from small_tasks import Corridor
from wean.agents.references import RandomPolicy
from wean.evaluation.recording import record
from wean.tasks.registration import make_task


@pytest.fixture
def plain() -> Iterator[str]:
    """A task that takes no render mode."""
    gym.register("testing/Plain-v0", lambda: Corridor())
    yield "testing/Plain-v0"
    gym.registry.pop("testing/Plain-v0")


def steps_of(task: str) -> list[dict[str, Any]]:
    recorded = record(RandomPolicy(), partial(make_task, task), [1])
    (episode,) = recorded["episodes"]
    return list(episode["steps"])


def test_a_room_is_recorded_with_pictures_and_words() -> None:
    steps = record(RandomPolicy(), partial(make_task, "SimpleDoorKey"), [10_000])["episodes"][0]["steps"]
    assert all(step["frame"].startswith("data:image/png;base64,") for step in steps)
    assert steps[0]["text"].startswith("The robot has seen ")
    assert steps[0]["action"] in steps[0]["probabilities"]


def test_an_environment_that_cannot_render_is_recorded_without_pictures(plain: str) -> None:
    steps = steps_of(plain)
    assert {step["frame"] for step in steps} == {None}
    assert steps[0]["text"] == "You are in cell 0."


def test_a_stock_environment_without_words_is_recorded_without_text() -> None:
    steps = steps_of("FrozenLake-v1")
    assert {step["text"] for step in steps} == {""}
    assert all(step["frame"] for step in steps)


def test_a_text_task_is_recorded_in_words() -> None:
    pytest.importorskip("textworld")
    steps = steps_of("TextWorldCoin")
    assert {step["frame"] for step in steps} == {None}
    assert steps[0]["text"]
    assert isinstance(steps[0]["action"], str)
