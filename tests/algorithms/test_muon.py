"""Muon: what it makes of a gradient, which parameters are its own, and going on from a saved state."""

from __future__ import annotations

import torch
from torch import nn

from wean.algorithms.muon import Muon, orthogonal
from wean.algorithms.optimizing import load_optimizer_tensors, optimizer_tensors


def test_orthogonal_keeps_singular_vectors_and_brings_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((6, 6), (4, 9), (9, 4)):
        left, values, right = torch.linalg.svd(torch.randn(*shape), full_matrices=False)
        given = left @ torch.diag(values) @ right
        found = orthogonal(given[None])[0]
        inner = left.mT @ found @ right.mT
        torch.testing.assert_close(inner, torch.diag(inner.diagonal()), atol=1e-4, rtol=0)
        assert ((inner.diagonal() > 0.6) & (inner.diagonal() < 1.3)).all()


def test_orthogonal_follows_the_iteration() -> None:
    # One singular value: x <- a x + b x^3 + c x^5, from 1, five times.
    x = 1.0
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    found = orthogonal(torch.tensor([[[3.0, 0.0]]]))
    torch.testing.assert_close(found, torch.tensor([[[x, 0.0]]]), atol=1e-5, rtol=0)


def test_first_step_by_hand() -> None:
    model = nn.Sequential(nn.Embedding(2, 1), nn.Linear(1, 1))
    table, weight, bias = (p.detach().clone() for p in model.parameters())
    optimizer = Muon(model, learning_rate=0.1, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    optimizer.step()
    new_table, new_weight, new_bias = (p.detach() for p in model.parameters())
    # AdamW's first step is the step size, against the gradient's sign; tables and vectors do not decay.
    torch.testing.assert_close(new_table, table - 0.1)
    torch.testing.assert_close(new_bias, bias - 0.1)
    # A matrix of one entry becomes what the iteration makes of 1; its decay is lr * weight_decay.
    made = float(orthogonal(torch.ones(1, 1, 1)))
    torch.testing.assert_close(new_weight, weight * 0.95 - 0.1 * 0.2 * made)


def test_it_solves_a_regression_and_goes_on_from_a_saved_state() -> None:
    torch.manual_seed(1)
    inputs = torch.randn(64, 8)
    wanted = inputs @ torch.randn(8, 3)

    def fresh() -> tuple[nn.Module, Muon]:
        torch.manual_seed(2)
        model = nn.Sequential(nn.Linear(8, 16, bias=False), nn.Linear(16, 3))
        return model, Muon(model, learning_rate=0.05, weight_decay=0.0)

    def train(model: nn.Module, optimizer: Muon, steps: int) -> float:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(inputs), wanted)
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    model, optimizer = fresh()
    before = train(model, optimizer, 1)
    train(model, optimizer, 49)
    weights, state = {k: v.clone() for k, v in model.state_dict().items()}, optimizer_tensors(optimizer)
    end = train(model, optimizer, 100)
    assert end < 0.1 * before

    again, other = fresh()
    again.load_state_dict(weights)
    load_optimizer_tensors(other, state)
    assert train(again, other, 100) == end
