"""Muon for the matrices of a model, AdamW for everything else: one optimiser with two kinds of parameter groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, as published
_ITERATIONS = 5
_RMS = 0.2  # of an update's entries, about that of AdamW, so that one step size serves both (2502.16982, section 2.2)


def orthogonal(matrices: Tensor) -> Tensor:
    r"""Matrices with the same singular vectors and singular values near 1, by Newton and Schulz's iteration.

    X <- a X + (b X X^T + c (X X^T)^2) X, from X scaled to norm 1. It is done in float32: torch's own Muon iterates in
    bfloat16, which a CPU without the instructions for it only emulates.

    Args:
        matrices: (N, rows, columns) float32.

    Returns:
        (N, rows, columns).
    """
    tall = matrices.shape[1] > matrices.shape[2]
    found: Tensor = matrices.mT if tall else matrices
    found = found / (found.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = found @ found.mT
        found = a * found + (b * gram + c * gram @ gram) @ found
    return found.mT if tall else found


class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal before a step (Jordan 2024; scaled as in 2502.16982).

    The inner matrices of a model are Muon's; embeddings, heads and vectors are AdamW's (1711.05101). Matrices decay.

    Args:
        model: Whose parameters are trained.
        learning_rate: Greatest step size, of both kinds.
        weight_decay: Of the inner matrices.
        momentum: Share of the old momentum that stays, in Nesterov's form.
        betas: AdamW's.
    """

    def __init__(
        self,
        model: nn.Module,
        learning_rate: float,
        weight_decay: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
    ) -> None:
        tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
        head = getattr(model, "get_output_embeddings", lambda: None)()
        tables |= {id(head.weight)} if head is not None else set()
        trained = [p for p in model.parameters() if p.requires_grad]
        inner = [p for p in trained if p.ndim == 2 and id(p) not in tables]
        others = [p for p in trained if p.ndim != 2 or id(p) in tables]
        groups = [{"params": inner, "muon": True}, {"params": others, "muon": False}]
        defaults = {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum, "betas": betas}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step down the gradients; parameters without one stay.

        Args:
            closure: Torch's; not used.
        """
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["muon"]:
                by_shape: dict[torch.Size, list[Tensor]] = {}
                for parameter in parameters:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
                for alike in by_shape.values():
                    self._step_matrices(alike, group)
            else:
                for parameter in parameters:
                    self._step_adam(parameter, group)

    def _step_matrices(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Steps matrices of one shape, all in one product: small ones take longer to arrange than to compute."""
        kept, updates = group["momentum"], []
        for parameter in parameters:
            gradient, state = parameter.grad, self.state[parameter]
            assert gradient is not None
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(gradient, 1 - kept)
            updates.append(gradient.lerp(state["momentum"], kept))
        scale = _RMS * max(parameters[0].shape) ** 0.5
        for parameter, update in zip(parameters, orthogonal(torch.stack(updates).float()), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update.to(parameter.dtype), alpha=-group["lr"] * scale)

    def _step_adam(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        first, second = group["betas"]
        state["mean"].lerp_(gradient, 1 - first)
        state["square"].lerp_(gradient.square(), 1 - second)
        count = float(state["step"])
        size = (state["square"] / (1 - second**count)).sqrt_().add_(1e-8)
        parameter.addcdiv_(state["mean"], size, value=-group["lr"] / (1 - first**count))
