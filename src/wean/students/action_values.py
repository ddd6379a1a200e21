"""Students that value (situation, action) pairs in words, any number of actions, with the prior's table beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wean.students.posterior import posterior
from wean.tasks.situation import Situation, SituationIndex

Propose = Callable[[Sequence[Situation]], Sequence[NDArray[np.float64]]]


class ActionValues(nn.Module):
    """Base of the students that learn Q(situation, action) for the actions that a situation offers.

    A subclass sets `kind` (the `type` in `config.json`) and implements `forward`; everything that learns is in its
    `head`. What it was told in words travels with the weights, as a tensor of JSON bytes: the moments that it met and,
    where a prior guided it, what that proposed in them. So it acts as it was trained without a language model: where
    the prior proposed something, on the posterior (see `wean.students.posterior`), elsewhere on all actions.

    Args:
        config: Constructor arguments of the subclass; written to `config.json`.
        temperature: T of the posterior when actions are drawn.

    Attributes:
        propose: Says for new moments the prior's weights over their choices (zeros: no advice); None for a student
            without a prior, and for one that no longer asks.
    """

    kind: ClassVar[str]
    head: nn.Module
    memory_size = 0

    def __init__(self, config: dict[str, Any], temperature: float) -> None:
        super().__init__()
        self.config = config
        self.temperature = temperature
        self.moments = SituationIndex()
        self.propose: Propose | None = None
        self._prior = np.zeros((0, 1), np.float32)
        self._advised = np.zeros(0, bool)

    def forward(
        self, moments: NDArray[np.int64], head: nn.Module | None = None, places: NDArray[np.int64] | None = None
    ) -> Tensor:
        """Values the actions of B moments.

        Args:
            moments: (B,) numbers of moments.
            head: Another head than the student's own, e.g. a target network's.
            places: (B,) the one action of each moment to value, as its place among the choices; None values all.

        Returns:
            (B, A) values, with A the most actions that one of these moments has, whatever stands at the places of
            moments with fewer; or (B, 1) for one action each.
        """
        raise TypeError(f"{type(self).__name__} does not say how it values actions: implement forward()")

    def meet(self, situations: Sequence[Situation]) -> NDArray[np.int64]:
        """Numbers (N,) of the moments; asks for proposals where one is new."""
        known = len(self.moments)
        numbers = self.moments.of(situations)
        if len(self.moments) > known:
            self._grow()
            if self.propose is not None:
                first = {int(number): place for place, number in enumerate(numbers) if number >= known}
                rows = self.propose([situations[place] for place in first.values()])
                for number, row in zip(first, rows, strict=True):
                    if row.any():
                        self._prior[number, : len(row)], self._advised[number] = row, True
        return numbers

    def settle(self) -> None:
        """Called once, when learning begins, with what was met so far."""

    def prior(self, moments: NDArray[np.int64], use: bool = True) -> Tensor:
        """(B, A) prior over the actions of B moments: uniform where nothing was proposed, or it is not to be used."""
        counts = self.moments.counts[moments]
        width = int(counts.max())
        uniform = (np.arange(width) < counts[:, None]) / counts[:, None]
        if not use:
            return torch.from_numpy(uniform).float()
        rows = np.where(self._advised[moments, None], self._prior[moments, :width], uniform)
        return torch.from_numpy(rows).float()

    @torch.no_grad()
    def choose(self, moments: NDArray[np.int64], greedy: bool, use_prior: bool = True) -> NDArray[np.float64]:
        """Probabilities (B, A) of the actions of B moments.

        Args:
            moments: (B,) numbers of moments.
            greedy: The best action that the prior proposes; otherwise the posterior at the student's temperature.
            use_prior: False acts on the values alone.
        """
        prior = self.prior(moments, use_prior)
        chosen = posterior(self(moments), prior, 0.0 if greedy else self.temperature)
        found: NDArray[np.float64] = chosen.double().numpy()
        return found

    def get_extra_state(self) -> Tensor:
        """SituationIndex and proposals as JSON bytes (uint8), so that they are saved with the weights."""
        moments = self.moments
        rows = [[int(moments.text[m]), moments.choices[m, : moments.counts[m]].tolist()] for m in range(len(moments))]
        proposals = {
            int(m): [float(p) for p in self._prior[m, : moments.counts[m]]] for m in np.flatnonzero(self._advised)
        }
        told = {"texts": moments.texts, "moments": rows, "proposals": proposals}
        return torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Takes up what `get_extra_state` gave."""
        told = json.loads(bytes(state.numpy().tobytes()))
        texts, self.moments = told["texts"], SituationIndex()
        for text, choices in told["moments"]:
            self.moments.add(texts[text], [texts[choice] for choice in choices])
        self._prior, self._advised = np.zeros((0, 1), np.float32), np.zeros(0, bool)
        self._grow()
        for number, row in told["proposals"].items():
            self._prior[int(number), : len(row)], self._advised[int(number)] = row, True

    def parameter_count(self) -> int:
        """Number of trained parameters."""
        return sum(parameter.numel() for parameter in self.head.parameters())

    def _grow(self) -> None:
        """Makes room for the proposals of new moments."""
        rows, width = len(self.moments), self.moments.width
        room = max(rows, 2 * len(self._advised)) if rows > len(self._advised) else len(self._advised)
        before, advised = self._prior, self._advised
        if room > len(before) or width > before.shape[1]:
            self._prior, self._advised = np.zeros((room, width), np.float32), np.zeros(room, bool)
            self._prior[: len(before), : before.shape[1]], self._advised[: len(advised)] = before, advised
