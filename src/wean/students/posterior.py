"""The posterior over actions when a prior says what is reasonable and Q what is good (2410.07927, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor


def posterior(values: Tensor, prior: Tensor, temperature: float) -> Tensor:
    r"""q(a | s) = p(a | s) exp(Q(s, a) / T) / sum over b of p(b | s) exp(Q(s, b) / T).

    This is direct posterior sampling in expectation: proposals drawn from p and re-weighted by a softmax of their Q;
    a proposal that was drawn twice counts twice. At T = 0 it is the best of the actions that the prior proposes.

    Args:
        values: (B, A) of Q; whatever stands at places without an action does not count.
        prior: (B, A) p, each row with sum 1; 0 where there is no action or it is not proposed.
        temperature: T, at least 0.

    Returns:
        (B, A) probabilities.
    """
    if temperature == 0:
        best = values.masked_fill(prior <= 0, -torch.inf).argmax(-1)
        return torch.nn.functional.one_hot(best, values.shape[-1]).to(values.dtype)
    return tilted(values, prior, temperature).softmax(-1)


def tilted(values: Tensor, prior: Tensor, temperature: float) -> Tensor:
    """(B, A) log p + Q / T: the posterior's logits; minus infinity where the prior is 0."""
    # log of 1 where the prior is 0, so that no gradient becomes not a number.
    logits = values / temperature + prior.masked_fill(prior <= 0, 1.0).log()
    return logits.masked_fill(prior <= 0, -torch.inf)
