"""Log-probabilities of tokens from logits, and of whole answers the slow way."""

from __future__ import annotations

import math
from typing import Any

import torch

from wean.lm.prompts import Question

_SUMMED_ROWS = 16


def log_probability(logits: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor) -> list[float]:
    """Log-probability of some tokens.

    Args:
        logits: (n, vocabulary), any float type; computed in float32 or better.
        rows: (m,) which row of the logits predicts each token.
        tokens: (m,) the tokens.

    Returns:
        m numbers, natural logarithms.
    """
    if not len(rows):
        return []
    # A few rows at a time: a copy of all logits would be the largest thing in memory and slower than the
    # sums.
    normal = torch.cat([torch.logsumexp(_precise(part), dim=-1) for part in torch.split(logits, _SUMMED_ROWS)])
    picked: list[float] = (_precise(logits[rows, tokens]) - normal[rows]).tolist()
    return picked


def _precise(values: torch.Tensor) -> torch.Tensor:
    return values if values.dtype == torch.float64 else values.float()


def plain_log_probabilities(model: Any, question: Question) -> list[float]:
    """The same numbers the slow way, for causal models: one ordinary pass for each candidate."""
    totals = []
    for answer in question.answers:
        ids = torch.tensor([[*question.prompt, *answer]], device=model.device)
        logits = model(input_ids=ids).logits[0, len(question.prompt) - 1 : -1]
        index = torch.arange(len(answer), device=logits.device)
        totals.append(math.fsum(log_probability(logits, index, ids[0, len(question.prompt) :])))
    return totals
