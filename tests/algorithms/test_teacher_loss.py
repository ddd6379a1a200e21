"""The teacher's loss and its schedule against hand-computed values."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wean.algorithms.teacher_loss import Schedule, kl_to_prior, teacher_loss


def test_loss_is_the_cross_entropy_over_advised_moments() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]))
    teacher = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    advised = torch.tensor([True, True, False])
    by_hand = (-math.log(0.5) - 0.5 * math.log(0.1) - 0.5 * math.log(0.1)) / 2
    assert teacher_loss(logits, teacher, advised).item() == pytest.approx(by_hand, rel=1e-6)


def test_the_kl_to_a_prior_is_that_of_the_student_from_the_prior() -> None:
    logits = torch.log(torch.tensor([[0.8, 0.2], [0.5, 0.5], [0.3, 0.7]]))
    prior = torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.0, 0.0]])
    found = kl_to_prior(logits, prior, torch.tensor([True, True, False])).item()
    first = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    second = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert found == pytest.approx((first + second) / 2, rel=1e-5)
    backwards = 0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2) + 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert abs(found - backwards / 2) > 0.005


def test_the_kl_lets_the_student_leave_out_what_the_prior_allows_but_not_do_what_it_forbids() -> None:
    yes = torch.tensor([True])
    sure, torn = torch.tensor([[20.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    assert kl_to_prior(sure, torch.tensor([[0.5, 0.5]]), yes).item() == pytest.approx(math.log(2), rel=1e-4)
    # An action of probability 0 counts as one of a millionth.
    forbidden = kl_to_prior(torn, torch.tensor([[1.0, 0.0]]), yes).item()
    assert forbidden == pytest.approx(0.5 * math.log(0.5) + 0.5 * math.log(0.5 / 1e-6), rel=1e-5)


def test_no_advice_is_no_loss_and_no_gradient() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    loss = teacher_loss(logits, torch.zeros(4, 3), torch.zeros(4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


def test_the_gradient_vanishes_where_the_student_equals_the_teacher() -> None:
    teacher = torch.tensor([[0.7, 0.2, 0.1]])
    logits = torch.log(teacher).requires_grad_()
    teacher_loss(logits, teacher, torch.tensor([True])).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_soft_and_sampled_targets_have_the_same_expected_loss() -> None:
    logits, yes = torch.randn(1, 2), torch.tensor([True])
    soft = teacher_loss(logits, torch.tensor([[0.3, 0.7]]), yes)
    drawn = 0.3 * teacher_loss(logits, torch.tensor([[1.0, 0.0]]), yes) + 0.7 * teacher_loss(
        logits, torch.tensor([[0.0, 1.0]]), yes
    )
    assert soft.item() == pytest.approx(drawn.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "progress", "weight"),
    [
        ("linear", 0.0, 10.0),
        ("linear", 0.25, 5.5),
        ("linear", 0.5, 1.0),
        ("linear", 0.7, 1.0),
        ("linear", 0.8, 0.0),
        ("cosine", 0.25, 5.5),
        ("exponential", 0.25, math.sqrt(10.0)),
        ("exponential", 0.5, 1.0),
        ("constant", 0.79, 10.0),
    ],
)
def test_shapes(kind: str, progress: float, weight: float) -> None:
    schedule = Schedule(kind=kind, start=10.0, end=1.0, until=0.5, stop=0.8)
    assert schedule.weight(progress) == pytest.approx(weight)


def test_exponential_to_zero_passes_a_thousandth_and_is_cut() -> None:
    schedule = Schedule(kind="exponential", start=10.0, end=0.0, until=1.0)
    assert schedule.weight(0.5) == pytest.approx(10 / math.sqrt(1000))
    assert schedule.weight(0.999999) == pytest.approx(0.01, rel=1e-3)
    assert schedule.weight(1.0) == 0


def test_matching_falls_as_the_student_nears_the_teacher() -> None:
    schedule = Schedule(kind="matching", start=4.0)
    assert [schedule.weight(0.3, matched) for matched in (0.0, 0.5, 1.0, 1.2)] == [4.0, 2.0, 0.0, 0.0]


@given(
    st.sampled_from(["linear", "cosine", "exponential"]),
    st.floats(0, 20),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_decays_never_rise_and_never_go_below_zero(kind: str, start: float, first: float, second: float) -> None:
    schedule = Schedule(kind=kind, start=start, end=0.0, until=0.6)
    early, late = sorted((first, second))
    assert schedule.weight(early) >= schedule.weight(late) >= 0
