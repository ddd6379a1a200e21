"""The options view: what may be chosen, how long a choice runs, and that only what is allowed is chosen."""

from functools import partial

import numpy as np
import pytest
import torch

from asking_tasks import Errand
from wean.agents.policy import StudentPolicy
from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.students.config import StudentConfig
from wean.students.saving import load_student, make_student, save_student
from wean.tasks.options import OptionTasks
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks

SKILLS = ["explore", "go to key", "pick up key", "go to door", "open door", "drop key"]


def _view(count: int = 1) -> OptionTasks:
    return OptionTasks(SerialTasks([partial(make_task, "SimpleDoorKey")] * count))


def _allowed(observation: np.ndarray) -> list[str]:
    return [name for name, bit in zip(SKILLS, observation[..., 4].ravel(), strict=False) if bit]


def test_a_choice_runs_until_it_is_over_or_the_situation_changes() -> None:
    view = _view()
    assert view.action_names() == SKILLS
    plain = SerialTasks([partial(make_task, "SimpleDoorKey")])
    plain.reset([0], [1])
    seen = view.reset([0], [1])[0]
    rng = np.random.default_rng(0)
    ended, choices, steps = False, 0, 0
    chosen, key = None, plain.situations([0])[0].key
    while not ended:
        allowed = _allowed(seen)
        able = plain.first_actions([0], [[(name,) for name in plain.situations([0])[0].choices]])[0]
        can = {n: a for n, a in zip(plain.situations([0])[0].choices, able, strict=True) if a is not None}
        if chosen in can and plain.situations([0])[0].key == key:
            assert allowed == [chosen]
        else:
            assert set(allowed) == set(can)
            chosen, key, choices = str(rng.choice(allowed)), plain.situations([0])[0].key, choices + 1
        stepped = view.step([0], [SKILLS.index(chosen)])
        same = plain.step([0], [can[chosen]])
        assert (stepped.observations[0][..., :4] == same.observations[0]).all()
        assert stepped.rewards == same.rewards
        seen, ended, steps = stepped.observations[0], bool(same.terminated[0] or same.truncated[0]), steps + 1
    assert 1 < choices < steps


def test_a_replayed_view_goes_on_as_before() -> None:
    view = _view(2)
    seen = view.reset([0, 1], [1, 2])
    for _ in range(7):
        seen = view.step([0, 1], [SKILLS.index(_allowed(member)[0]) for member in seen]).observations
    other = _view(2)
    assert (other.replay(view.histories()) == seen).all()
    assert other.histories() == view.histories()


def test_a_student_chooses_only_what_is_allowed_and_is_saved_with_its_mask(tmp_path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    view = _view(4)
    student = make_student(view.observation_space, view.action_space, StudentConfig(hidden=16), view.observation)
    seen = view.reset(range(4), range(4))
    probabilities, _ = student.probabilities(seen, student.first_state(4), np.ones(4, bool))
    allowed = seen[..., 4].reshape(4, -1)[:, : len(SKILLS)] > 0
    assert (probabilities[~allowed] == 0).all()
    assert (probabilities[allowed] > 0).all()
    logits, _, _ = student(torch.from_numpy(seen)[None], student.first_state(4), torch.ones(1, 4, dtype=torch.bool))
    log_probs = logits.log_softmax(-1)
    assert torch.isfinite((log_probs.exp() * log_probs).sum()), "the entropy is a number"
    save_student(student, tmp_path / "student")
    again, _ = load_student(tmp_path / "student").probabilities(seen, student.first_state(4), np.ones(4, bool))
    assert (again == probabilities).all()
    assert play_seeds(StudentPolicy(student), view, 8, 10_000).lengths.max() <= 150


def test_what_does_not_fit_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"who chooses skills sees a remembered map"):
        OptionTasks(SerialTasks([Errand]))
