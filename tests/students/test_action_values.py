"""Students of action values: what a prior proposed travels with them, and they come back from disk as they were."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wean.agents.policy import load_policy
from wean.errors import UsageError, WeanError
from wean.students import action_values
from wean.students.action_values import ActionValues, PairHead, TableValues, TextValues
from wean.students.saving import load_student, save_student
from wean.students.student import DenseStudent
from wean.tasks.situation import Situation

HALL = Situation("Get out.", "You are in a hall.", ("north", "south", "wait"))
CAVE = Situation("Get out.", "You are in a cave.", ("north", "out"))
SIZE = 16


class Digests:
    """A sentence encoder of vectors that no one has trained."""

    read: Sequence[str] = ()

    def __init__(self, name: str) -> None:
        pass

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        Digests.read = [*Digests.read, *texts]
        found = np.stack([np.frombuffer(hashlib.sha512(text.encode()).digest()[:SIZE], np.int8) for text in texts])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True)
def digests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_values, "CachedEncoder", Digests)
    Digests.read = []


def _text() -> TextValues:
    torch.manual_seed(0)
    student = TextValues(size=SIZE, hidden=8)
    torch.nn.init.normal_(student.head.out.weight)
    return student


def _advised(student: ActionValues) -> NDArray[np.int64]:
    """Meets hall and cave; a prior proposes north and wait in the hall, nothing in the cave."""

    def propose(new: Sequence[Situation]) -> list[NDArray[np.float64]]:
        return [np.array([0.75, 0, 0.25]) if s.text == HALL.text else np.zeros(len(s.choices)) for s in new]

    student.attach_prior(propose)
    return student.meet([HALL, CAVE])


@pytest.mark.parametrize("make", [lambda: TableValues(3), _text])
def test_a_prior_bounds_where_it_spoke_and_nothing_elsewhere(make: type[TableValues]) -> None:
    student = make()
    moments = _advised(student)
    assert student.prior(moments).tolist() == [[0.75, 0, 0.25], [0.5, 0.5, 0]]
    assert student.prior(moments, use=False)[0].tolist() == pytest.approx([1 / 3] * 3)
    chances = student.choose(moments, greedy=False)
    assert (chances > 0).tolist() == [[True, False, True], [True, True, False]]
    assert chances.sum(1) == pytest.approx(1)


def test_greedy_takes_the_best_proposal_and_without_the_prior_the_best_of_all() -> None:
    student = TableValues(3)
    moments = _advised(student)
    with torch.no_grad():
        student.head.weight[0] = torch.tensor([1.0, 9.0, 2.0])
    assert student.choose(moments[:1], greedy=True).tolist() == [[0, 0, 1]]
    assert student.choose(moments[:1], greedy=True, use_prior=False).tolist() == [[0, 1, 0]]


def test_a_student_that_meets_the_same_again_asks_nobody() -> None:
    student = TableValues(3)
    _advised(student)
    student.detach_prior()
    assert student.meet([CAVE, HALL]).tolist() == [1, 0]


def test_what_was_proposed_with_a_text_holds_with_other_choices_once_no_prior_is_asked() -> None:
    student = _text()
    _advised(student)
    other = Situation("Get out.", HALL.text, ("wait", "south", "up"), "other")
    nothing = Situation("Get out.", HALL.text, ("south", "up"), "nothing")
    student.detach_prior()
    states = student.meet([other, CAVE, nothing])
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0]]
    assert student.prior(states).tolist() == expected
    loaded = TextValues(size=SIZE, hidden=8)
    loaded.load_state_dict(_same(student))
    assert loaded.prior(loaded.meet([other, CAVE, nothing])).tolist() == expected
    student.attach_prior(lambda new: [np.array([0.0, 0.0])] * len(new))
    assert student.prior(states[2:]).tolist() == [[0.5, 0.5]], "a prior that is asked and proposes nothing is heard"


def _same(student: ActionValues) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in student.state_dict().items()}


@pytest.mark.parametrize("make", [lambda: TableValues(3), _text])
def test_saved_and_loaded_it_acts_the_same_without_prior_or_encoder(make: type[TableValues], tmp_path: Path) -> None:
    student = make()
    moments = _advised(student)
    student.settle()
    save_student(student, tmp_path)
    Digests.read = []
    loaded = load_student(tmp_path)
    assert isinstance(loaded, ActionValues)
    assert loaded.meet([HALL, CAVE]).tolist() == [0, 1]
    assert loaded.choose(moments, greedy=False) == pytest.approx(student.choose(moments, greedy=False))
    assert Digests.read == []
    assert loaded.parameter_count() == student.parameter_count()
    policy = load_policy(tmp_path)
    assert policy.act(HALL) == student.choose(moments[:1], greedy=True)[0].argmax()


def test_values_are_the_heads_on_whitened_vectors_whatever_the_batch() -> None:
    student = _text()
    moments = _advised(student)
    student.settle()
    both, alone = student(moments), student(moments[1:])
    assert both.shape == (2, 3)
    assert both[1, :2].tolist() == pytest.approx(alone[0].tolist(), rel=1e-5)
    one = student(moments, places=np.array([2, 1]))
    assert one.squeeze(1).tolist() == pytest.approx([both[0, 2].item(), both[1, 1].item()], rel=1e-5)
    assert sorted(Digests.read) == sorted({HALL.text, CAVE.text, *HALL.choices, *CAVE.choices})  # each text once


def test_settling_whitens() -> None:
    student = _text()
    places = [Situation("Get out.", f"You are in room {room}.", ("north",)) for room in range(200)]
    student.meet(places)
    student.settle()
    white = student._white
    assert white.mean(0).abs().max() < 1e-4
    covariance = white.T @ white / len(white)
    assert (covariance - torch.diag(covariance.diagonal())).abs().max() < 1e-3
    assert 0.8 < covariance.diagonal().min() <= covariance.diagonal().max() < 1.01


def test_texts_met_one_by_one_and_all_at_once_have_the_same_values_to_the_bit(tmp_path: Path) -> None:
    rooms = [Situation("Get out.", f"You are in room {n}.", ("north", "south")) for n in range(40)]
    student = _text()
    student.meet(rooms[:10])
    student.settle()
    for number in range(10, 40):  # as in a run, where new texts come now and then
        student(student.meet(rooms[number : number + 1]))
    save_student(student, tmp_path)
    resumed = _text()
    resumed.load_state_dict(student.state_dict())
    states = student.meet(rooms)
    assert torch.equal(student(states), resumed(resumed.meet(rooms)))
    loaded = load_student(tmp_path)
    assert isinstance(loaded, TextValues)
    assert torch.equal(student(states), loaded(loaded.meet(rooms)))


def test_the_head_by_hand() -> None:
    head = PairHead(1, 1)
    weights = {
        "situation.weight": [[2.0], [3.0]], "situation.bias": [0.0, 1.0],
        "action.weight": [[5.0], [7.0]], "action.bias": [1.0, 0.0],
        "deep.weight": [[2.0]], "deep.bias": [1.0], "out.weight": [[0.5]], "out.bias": [-1.0],
    }  # fmt: skip
    head.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    # s = 1, a = 2: A s = 2, B a = 11, (C s)(D a) = 4 * 14; relu 69; 2 * 69 + 1 = 139; 0.5 * 139 - 1.
    found = head(torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([[0]]))
    assert found.item() == pytest.approx(68.5)


def test_a_table_that_is_too_small_says_what_to_do() -> None:
    for student in (TableValues(2), TableValues(3, rows=1)):
        moments = student.meet([HALL, CAVE])
        with pytest.raises(WeanError, match=r"the table has room for .* use student.values=text"):
            student(moments)


def test_each_kind_of_student_has_its_policy(tmp_path: Path) -> None:
    save_student(TableValues(2), tmp_path / "values")
    save_student(DenseStudent(5, 2, discrete=True), tmp_path / "dense")
    assert load_policy(tmp_path / "values").name == "student (greedy)"
    assert load_policy(tmp_path / "dense").name == "student (sampled)"
    with pytest.raises(UsageError, match="acts greedy or sampled"):
        load_policy(tmp_path / "values", "no_repeat")
