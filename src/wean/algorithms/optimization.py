"""One gradient step with its checks, and an Adam optimiser's memory as named tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wean.algorithms.algorithm import Unit
from wean.errors import WeanError


def adam(student: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Adam over all of a student's parameters; fused, since its step was a third of the learning time otherwise."""
    return torch.optim.Adam(student.parameters(), lr=learning_rate, eps=1e-5, fused=True)


def anneal(optimizer: torch.optim.Optimizer, learning_rate: float, done: float) -> None:
    """Sets the step size that is left after a share `done` of a run: it falls from `learning_rate` linearly to 0."""
    for group in optimizer.param_groups:
        group["lr"] = (1 - done) * learning_rate


def take_step(
    optimizer: torch.optim.Optimizer,
    loss: Tensor,
    max_grad_norm: float,
    done: int,
    unit: Unit = "gradient_steps",
) -> None:
    """Steps down the gradient of a loss, scaled to `max_grad_norm` at most.

    Args:
        optimizer: Holds the parameters.
        loss: A scalar.
        max_grad_norm: The norm that gradients are scaled down to.
        done: Progress so far, for the message of an error.
        unit: What `done` counts.

    Raises:
        WeanError: If the loss or its gradient is not a number; nothing is changed then.
    """
    if not torch.isfinite(loss):
        raise _not_a_number(f"loss became {float(loss.detach())}", done, unit)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    if not torch.isfinite(norm):
        raise _not_a_number(f"gradient became {float(norm)}", done, unit)
    optimizer.step()


def _not_a_number(what: str, done: int, unit: Unit) -> WeanError:
    counted = {"env_steps": "environment steps", "gradient_steps": "gradient steps", "tokens": "tokens"}[unit]
    return WeanError(f"the {what} after {done:,} {counted}; lower learning_rate and go on with --resume")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's moments and step counts, by `optimizer.<parameter number>.<name>`."""
    return {
        f"optimizer.{index}.{name}": value.clone()
        for index, memory in optimizer.state_dict()["state"].items()
        for name, value in memory.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
