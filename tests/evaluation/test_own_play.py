"""A student's own solutions: what is left out of them, and what is not although it changes nothing to be seen."""

from pathlib import Path
from typing import Any

import pytest

from fetching import Fetching
from scripted_words import student
from wean.evaluation import own_play
from wean.evaluation.own_play import Play, StudentOracle
from wean.students.text.student import save_text_student
from wean.tasks.splits import Case

CASE = Case("fetching:Fetching", 3, 3)


class Asking(Fetching):
    """The same, with a question whose first answer is new and whose later ones are not."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if action == "ask":
            self._moves += 1
            return "You are told which it is.", 0.0, False, False, {"moves": self._moves}
        return super().step(action)


def test_what_was_read_for_the_first_time_is_kept_and_what_was_read_before_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_text_student(student(subgoals=False), tmp_path / "student")
    monkeypatch.setattr(own_play, "make_task", lambda name: Asking())
    task = Fetching()
    task.reset(seed=CASE.seed)
    right = next(action for action in task.situation().choices if action.startswith("take") and _takes(action))
    said = iter(["look around twice", "ask", "look around twice", "ask", right])
    monkeypatch.setattr("wean.agents.reading.ReaderPolicy.decide", lambda *_: [next(said)])
    oracle = StudentOracle(Play(CASE.task, tmp_path / "student", {(CASE.task, 3): CASE}, tries=1))
    row = oracle.play(CASE.task, 3)
    assert row["score"] == 100
    assert [step["action"] for step in row["path"]] == ["ask", right]


def _takes(action: str) -> bool:
    task = Fetching()
    task.reset(seed=CASE.seed)
    return task.step(action)[1] == 100
