"""The posterior over actions against hand-computed values."""

import math

import pytest
import torch

from wean.students.action_values import posterior, tilted


def test_proposals_are_weighed_by_the_softmax_of_their_values() -> None:
    # T = 0.5: exp(Q / T) = e^2, e^4 for the two proposals; the third, the best of all, is not proposed.
    values, prior = torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[0.5, 0.5, 0.0]])
    first = 1 / (1 + math.exp(2))
    assert posterior(values, prior, 0.5)[0].tolist() == pytest.approx([first, 1 - first, 0])


def test_a_proposal_drawn_twice_counts_twice() -> None:
    values, prior = torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[2 / 3, 1 / 3, 0.0]])
    first = 2 / (2 + math.e)
    assert posterior(values, prior, 1.0)[0].tolist() == pytest.approx([first, 1 - first, 0])


def test_without_temperature_it_is_the_best_proposal() -> None:
    values = torch.tensor([[1.0, 2.0, 9.0], [3.0, 2.0, 1.0]])
    prior = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.5, 0.5]])
    assert posterior(values, prior, 0.0).tolist() == [[0, 1, 0], [0, 1, 0]]


def test_one_proposal_is_certain_whatever_it_is_worth() -> None:
    assert posterior(torch.tensor([[-50.0, 80.0]]), torch.tensor([[1.0, 0.0]]), 0.1).tolist() == [[1, 0]]


def test_what_is_not_proposed_gives_no_gradient_and_no_nan() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    torch.logsumexp(tilted(values, torch.tensor([[0.5, 0.5, 0.0]]), 1.0), -1).sum().backward()
    assert values.grad is not None
    first = 1 / (1 + math.e)
    assert values.grad[0].tolist() == pytest.approx([first, 1 - first, 0])
