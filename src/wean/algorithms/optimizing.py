"""One gradient step with its checks, and an Adam optimiser's memory as named tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wean.errors import WeanError


def adam(student: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Adam over all of a student's parameters; fused, since its step was a third of the learning time otherwise."""
    return torch.optim.Adam(student.parameters(), lr=learning_rate, eps=1e-5, fused=True)


def take_step(optimizer: torch.optim.Optimizer, loss: Tensor, max_grad_norm: float, env_steps: int) -> None:
    """Steps down the gradient of a loss, scaled to `max_grad_norm` at most.

    Raises:
        WeanError: If the loss is not a number; nothing is changed then.
    """
    if not torch.isfinite(loss):
        raise WeanError(
            f"the loss became {float(loss.detach())} at step {env_steps}; lower learning_rate and go on with --resume"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_((p for group in optimizer.param_groups for p in group["params"]), max_grad_norm)
    optimizer.step()


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
