"""The contract of tasks in words: who keeps it, and what is said of who does not."""

from typing import Any

import gymnasium as gym
import pytest

from wean.errors import UsageError
from wean.tasks.contract import text_task
from wean.tasks.registration import make_task
from wean.tasks.scienceworld import ScienceWorld
from wean.tasks.situation import Situation


class Echo(gym.Env[str, str]):
    """A task in words that lacks most of the contract."""

    observation_space = action_space = gym.spaces.Text(20)
    description, score, max_moves = "Say something.", 0.0, None

    def situation(self) -> Situation:
        return Situation("Say something.", "", ("hello",))


def test_scienceworld_keeps_the_contract_without_being_started() -> None:
    task = text_task(ScienceWorld())
    assert (task.description, task.score, task.max_moves, dict(task.meanings)) == ("", 0, 100, {})
    assert task.irrevocable == ("focus on ",)
    assert "wait" in task.idle


def test_textworld_keeps_the_contract_and_declares_nothing_special() -> None:
    pytest.importorskip("jericho", reason="text adventures need an extra: pip install '.[textworld]'")
    task = text_task(make_task("TextWorldCoin"))
    assert (task.description, task.score, task.max_moves) == ("", 0.0, 40)
    assert (task.irrevocable, task.idle) == ((), ())
    assert not task.meanings


def test_a_question_back_tells_what_its_answers_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    task = ScienceWorld()
    asked = "Ambiguous request: Please enter the number for the action you intended:\n0:\tmove pot\n1:\tmove other pot"
    monkeypatch.setattr(task, "_observation", asked)
    assert dict(task.meanings) == {"0": "move pot", "1": "move other pot"}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: make_task("SimpleDoorKey"), "is not played in words"),
        (Echo, "Echo lacks irrevocable, idle, meanings, look, inventory"),
    ],
)
def test_what_is_no_text_task_is_refused_in_one_line(make: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        text_task(make())
    assert "\n" not in str(refused.value)
