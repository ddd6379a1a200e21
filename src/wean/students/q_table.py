"""A student for tiny tasks: one value for every action of every situation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wean.errors import WeanError
from wean.students.action_values import ActionValues

_ROWS = 4096


class TableValues(ActionValues):
    """Q as a table with a row for each distinct situation, in the order met; 0 at first.

    Args:
        width: Most actions of any situation.
        rows: Most situations.
        temperature: See `ActionValues`.
    """

    kind: ClassVar[str] = "q-table"

    def __init__(self, width: int, rows: int = _ROWS, temperature: float = 0.1) -> None:
        super().__init__({"width": width, "rows": rows, "temperature": temperature}, temperature)
        self.head = nn.Embedding(rows, width)
        nn.init.zeros_(self.head.weight)

    def forward(
        self, moments: NDArray[np.int64], head: nn.Module | None = None, places: NDArray[np.int64] | None = None
    ) -> Tensor:
        """See `ActionValues.forward`.

        Raises:
            WeanError: If there are more situations or actions than the table has room for.
        """
        width = int(self.moments.counts[moments].max())
        if len(self.moments) > self.config["rows"] or width > self.config["width"]:
            raise WeanError(
                f"the table has room for {self.config['rows']} situations of {self.config['width']} actions, and the "
                "task has more; use student.values=text"
            )
        values: Tensor = (head or self.head)(torch.from_numpy(moments))
        return values[:, :width] if places is None else values.gather(1, torch.from_numpy(places).unsqueeze(1))
