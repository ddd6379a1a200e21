"""Several students that act as one: what each finds probable, averaged (deep ensembles, 1612.01474)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from wean.errors import UsageError
from wean.students.text.incremental import Steps
from wean.students.text.student import TextStudent, load_text_student


class MeanSteps:
    """Passes of several models over the same tokens.

    Args:
        steps: Of each model.
    """

    def __init__(self, steps: Sequence[Steps]) -> None:
        self._steps = steps

    def run(self, ids: list[int], past: int, last: int = 1) -> Tensor:
        """Log-probabilities (last, vocabulary): log 1/K sum of p_k over the K models; see `Steps.run`."""
        found = torch.stack([steps.run(ids, past, last).log_softmax(-1) for steps in self._steps])
        return found.logsumexp(0) - math.log(len(self._steps))


def load_together(folders: Sequence[Path]) -> list[TextStudent]:
    """Loads students that act together, or one.

    Args:
        folders: Of the students, at least one.

    Raises:
        UsageError: Some read other tokens than the first, are told an episode otherwise, or have an encoder.
        WeanError: A folder is damaged.
    """
    first, *others = students = [load_text_student(folder) for folder in folders]
    for folder, other in zip(folders[1:], others, strict=True):
        same = other.tokenizer.to_str() == first.tokenizer.to_str() and other.habits == first.habits
        if not same or other.model.config.is_encoder_decoder:
            raise UsageError(
                f"{folder} and {folders[0]} cannot act together; take decoders that were trained on the same "
                "demonstrations with the same settings, with other seeds"
            )
    return students
