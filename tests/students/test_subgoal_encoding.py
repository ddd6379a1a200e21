"""How a student reads its sub-goal, and that one without is what it was."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wean.agents.policy import StudentPolicy
from wean.errors import UsageError
from wean.students import grid as goals
from wean.students.config import Goal, StudentConfig
from wean.students.grid import GridStudent
from wean.students.saving import load_student, make_student, save_student
from wean.students.student import Student
from wean.tasks.grid.words import numbers_of

SPACE = gym.spaces.Box(0, 255, (5, 5, 5), np.uint8)
ACTIONS = gym.spaces.Discrete(3)
ENCODINGS: tuple[Goal, ...] = ("position", "object", "language")


class Digests:
    """A sentence encoder that no one has trained."""

    read: Sequence[str] = ()
    size = 384

    def __init__(self, name: str) -> None:
        pass

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        Digests.read = [*Digests.read, *texts]
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]
        found = np.stack([np.random.default_rng(seed).standard_normal(self.size) for seed in seeds])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True)
def digests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goals, "CachedEncoder", Digests)
    Digests.read = []


def _student(goal: Goal) -> Student:
    torch.manual_seed(0)
    return make_student(SPACE, ACTIONS, StudentConfig(hidden=16, goal=goal), "map+subgoal")


def _maps(goal: Goal, *skills: str) -> NDArray[np.uint8]:
    """The same map for each skill: a key and a door beside an agent in the middle, and the sub-goal."""
    maps = np.zeros((len(skills), 5, 5, 5), np.uint8)
    maps[..., 3] = 4
    maps[:, 2, 2, :4] = (1, 0, 0, 0)
    places = {"key": (2, 1), "door": (4, 3)}
    maps[:, 2, 1, 0], maps[:, 4, 3, 0] = 5, 4
    for shown, skill in zip(maps, skills, strict=True):
        if goal == "position":
            shown[(*places[skill.rsplit(" ", 1)[-1]], 4)] = 1
        else:
            for cell, number in enumerate(numbers_of(skill)):
                shown[cell // 5, cell % 5, 4] = number
    return maps


def _probabilities(student: Student, maps: NDArray[np.uint8]) -> NDArray[np.float64]:
    return student.probabilities(maps, student.first_state(len(maps)), np.ones(len(maps), bool))[0]


def test_a_student_without_sub_goals_is_what_it_was() -> None:
    """The same weights from the same seed, and the same numbers; nothing of a sub-goal is made or drawn."""
    torch.manual_seed(0)
    plain = GridStudent(5, 5, 3, config=StudentConfig(hidden=16))
    after = torch.rand(1)
    torch.manual_seed(0)
    student = make_student(
        gym.spaces.Box(0, 255, (5, 5, 4), np.uint8), ACTIONS, StudentConfig(hidden=16, goal="none"), "map"
    )
    assert torch.rand(1) == after
    assert set(student.config) == set(plain.config)
    assert "goal" not in student.config
    names = {name.partition(".")[0] for name in student.state_dict()}
    assert names == {"object", "color", "state", "trunk", "actor", "critic"}
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in plain.state_dict().items())
    maps = _maps("object", "go to key")[..., :4]
    assert (_probabilities(student, maps) == _probabilities(plain, maps)).all()


@pytest.mark.parametrize("goal", ENCODINGS)
def test_a_new_student_acts_as_one_that_sees_no_sub_goal(goal: Goal) -> None:
    torch.manual_seed(0)
    plain = GridStudent(5, 5, 3, config=StudentConfig(hidden=16))
    student = _student(goal)
    assert set(student.state_dict()) - set(plain.state_dict()), "it has weights of its own"
    student.load_state_dict(plain.state_dict(), strict=False)
    maps = _maps(goal, "go to key", "go to door")
    assert _probabilities(student, maps) == pytest.approx(_probabilities(plain, maps[..., :4]))


@pytest.mark.parametrize("goal", ENCODINGS)
def test_it_learns_what_only_the_sub_goal_tells_and_comes_back_from_disk(goal: Goal, tmp_path: Path) -> None:
    student = _student(goal)
    skills = ("go to key", "go to door") if goal == "position" else ("go to key", "pick up key")
    maps, starts = _maps(goal, *skills), torch.ones(1, 2, dtype=torch.bool)
    assert _probabilities(student, maps).argmax(1).tolist() in ([0, 0], [1, 1], [2, 2])  # also: acting comes first
    for _ in range(80):
        logits, _, _ = student(torch.from_numpy(maps)[None], student.first_state(2), starts)
        loss = torch.nn.functional.cross_entropy(logits[0], torch.tensor([0, 1]))
        student.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for weight in student.parameters():
                if weight.grad is not None:
                    weight -= 0.3 * weight.grad
    found = _probabilities(student, maps)
    assert found.argmax(1).tolist() == [0, 1]
    save_student(student, tmp_path)
    again = load_student(tmp_path)
    assert isinstance(again, Student)
    assert (_probabilities(again, maps) == found).all()


def test_a_position_is_read_as_it_lies_from_the_agent() -> None:
    student = _student("position")
    torch.nn.init.normal_(student.goal.cells.weight)  # type: ignore[union-attr, arg-type]
    maps = np.zeros((3, 5, 5, 5), np.uint8)
    maps[..., 3] = 4
    # Two ahead and one to the right of an agent that looks east, and of another that looks south; then one to its left.
    for shown, (x, y, way), cell in zip(maps, [(1, 1, 0), (3, 1, 1), (3, 1, 1)], [(3, 2), (2, 3), (4, 3)], strict=True):
        shown[x, y, 3] = way
        shown[(*cell, 4)] = 1
    one, same, other = student.features(torch.from_numpy(maps))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_phrase_is_encoded_once_and_no_sub_goal_never() -> None:
    student = _student("language")
    _probabilities(student, _maps("language", "go to key", "open door", "go to key", ""))
    _probabilities(student, _maps("language", "open door"))
    assert sorted(Digests.read) == ["go to key", "open door"]


def test_what_does_not_fit_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"sees sub-goals; show it the task through wean.experiment.build.seen_by_run"):
        StudentPolicy(_student("object")).act(_maps("object", "go to key")[0, ..., :4])
    monkeypatch.setattr(Digests, "size", 8)
    with pytest.raises(UsageError, match=r"gives 8 numbers, a sub-goal takes 384; set student.encoder=minilm"):
        _probabilities(_student("language"), _maps("language", "go to key"))
