"""Students that value (situation, action) pairs in words, any number of actions, with the prior's table beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wean.errors import WeanError
from wean.runtime.proposals import KeptProposals
from wean.students.sentence_vectors import CachedEncoder
from wean.tasks.situation import Situation, SituationIndex

Propose = Callable[[Sequence[Situation]], Sequence[NDArray[np.float64]]]

_ROWS, _RIDGE = 4096, 0.1


def posterior(values: Tensor, prior: Tensor, temperature: float) -> Tensor:
    r"""q(a | s) = p(a | s) exp(Q(s, a) / T) / sum over b of p(b | s) exp(Q(s, b) / T).

    The posterior over actions when a prior says what is reasonable and Q what is good (2410.07927, section 3): direct
    posterior sampling in expectation, proposals drawn from p and re-weighted by a softmax of their Q; a proposal that
    was drawn twice counts twice. At T = 0 it is the best of the actions that the prior proposes.

    Args:
        values: (B, A) of Q; values at places without an action do not count.
        prior: (B, A) p, each row with sum 1; 0 where there is no action or it is not proposed.
        temperature: T, at least 0.

    Returns:
        (B, A) probabilities.
    """
    if temperature == 0:
        best = values.masked_fill(prior <= 0, -torch.inf).argmax(-1)
        return nn.functional.one_hot(best, values.shape[-1]).to(values.dtype)
    return tilted(values, prior, temperature).softmax(-1)


def tilted(values: Tensor, prior: Tensor, temperature: float) -> Tensor:
    """(B, A) log p + Q / T: the posterior's logits; minus infinity where the prior is 0."""
    # log of 1 where the prior is 0, so that no gradient becomes not a number.
    logits = values / temperature + prior.masked_fill(prior <= 0, 1.0).log()
    return logits.masked_fill(prior <= 0, -torch.inf)


class ActionValues(nn.Module):
    """Base of the students that learn Q(situation, action) for the actions that a situation offers.

    A subclass sets `kind` (the `type` in `config.json`) and implements `forward`; everything that learns is in its
    `head`. The situations that it met are saved with the weights, as a tensor of JSON bytes, and with them what a prior
    proposed there. So it acts as it was trained without a language model: where the prior proposed something, there or
    with the same text and other choices, on the posterior (see `posterior`) at its `temperature`, elsewhere on all
    actions.
    """

    kind: ClassVar[str]
    head: nn.Module
    memory_size = 0

    def __init__(self, config: dict[str, Any], temperature: float) -> None:
        super().__init__()
        self.config = config
        self.temperature = temperature
        self.situations = SituationIndex()
        self._propose: Propose | None = None
        self._prior = np.zeros((0, 1), np.float32)
        self._advised = np.zeros(0, bool)
        self._recalled: dict[int, NDArray[np.float32] | None] = {}

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> Self:
        """Makes a new student of the class from its `config`."""
        return cls(**values)

    def forward(
        self, states: NDArray[np.int64], head: nn.Module | None = None, places: NDArray[np.int64] | None = None
    ) -> Tensor:
        """Values the actions of B situations.

        Args:
            states: (B,) numbers of situations, see `meet`.
            head: Another head than the student's own, e.g. a target network's.
            places: (B,) the one action of each situation to value, as its place among the choices; None values all.

        Returns:
            (B, A) values, with A the most actions of any of these situations, arbitrary at the places beyond the
            actions of one with fewer; or (B, 1) for one action each.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement forward()")

    def attach_prior(self, propose: Propose) -> None:
        """Lets a prior propose actions in new situations: weights over their choices, zeros where it has none."""
        self._propose = propose

    def detach_prior(self) -> None:
        """Ends `attach_prior`: from here on the student acts with the proposals that it has kept."""
        self._propose = None
        self._forget_recalled()

    def meet(self, situations: Sequence[Situation]) -> NDArray[np.int64]:
        """Numbers (N,) of the situations; the attached prior is asked about the new ones."""
        known = len(self.situations)
        numbers = self.situations.of(situations)
        if len(self.situations) > known:
            self._grow()
            if self._propose is not None:
                first = {int(number): place for place, number in enumerate(numbers) if number >= known}
                rows = self._propose([situations[place] for place in first.values()])
                for number, row in zip(first, rows, strict=True):
                    if row.any():
                        self._prior[number, : len(row)], self._advised[number] = row, True
        return numbers

    def settle(self) -> None:
        """Called once, when learning begins, after the first situations were met."""

    def num_choices(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) how many actions each of B situations offers."""
        counts: NDArray[np.int64] = self.situations.counts[states]
        return counts

    def prior(self, states: NDArray[np.int64], use: bool = True) -> Tensor:
        """(B, A) prior over the actions of B situations: uniform where nothing was proposed, or with `use` False."""
        counts = self.num_choices(states)
        width = int(counts.max())
        uniform = (np.arange(width) < counts[:, None]) / counts[:, None]
        if not use:
            return torch.from_numpy(uniform).float()
        rows = np.where(self._advised[states, None], self._prior[states, :width], uniform)
        if self._propose is None and self._advised.any():
            for place in np.flatnonzero(~self._advised[states]):
                recalled = self._recall(int(states[place]))
                if recalled is not None:
                    rows[place, : len(recalled)] = recalled
        return torch.from_numpy(rows).float()

    def _recall(self, state: int) -> NDArray[np.float32] | None:
        """What was proposed with the text of a situation in which nothing was, see `KeptProposals`."""
        if state not in self._recalled:
            self._recalled[state] = self._kept.recall(*self._words(state))
        return self._recalled[state]

    @cached_property
    def _kept(self) -> KeptProposals:
        advised = np.flatnonzero(self._advised).tolist()
        counts = self.situations.counts
        return KeptProposals((*self._words(state), self._prior[state, : counts[state]].tolist()) for state in advised)

    def _words(self, state: int) -> tuple[str, tuple[str, ...]]:
        met = self.situations
        choices = met.choices[state, : met.counts[state]].tolist()
        return met.texts[met.text[state]], tuple(met.texts[choice] for choice in choices)

    @torch.no_grad()
    def choose(self, states: NDArray[np.int64], greedy: bool, use_prior: bool = True) -> NDArray[np.float64]:
        """Probabilities (B, A) of the actions of B numbered situations.

        Greedy takes the best action that the prior proposes, else the posterior at the student's temperature;
        `use_prior=False` acts on the values alone.
        """
        prior = self.prior(states, use_prior)
        chosen = posterior(self(states), prior, 0.0 if greedy else self.temperature)
        found: NDArray[np.float64] = chosen.double().numpy()
        return found

    def get_extra_state(self) -> Tensor:
        """Situations and proposals as JSON bytes (uint8), so that they are saved with the weights."""
        met = self.situations
        rows = [[int(met.text[state]), met.choices[state, : met.counts[state]].tolist()] for state in range(len(met))]
        proposals = {
            int(state): [float(p) for p in self._prior[state, : met.counts[state]]]
            for state in np.flatnonzero(self._advised)
        }
        written = {"texts": met.texts, "moments": rows, "proposals": proposals}
        return torch.frombuffer(bytearray(json.dumps(written).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Restores what `get_extra_state` gave."""
        written = json.loads(bytes(state.numpy().tobytes()))
        texts, self.situations = written["texts"], SituationIndex()
        for text, choices in written["moments"]:
            self.situations.add(texts[text], [texts[choice] for choice in choices])
        self._prior, self._advised = np.zeros((0, 1), np.float32), np.zeros(0, bool)
        self._grow()
        for number, row in written["proposals"].items():
            self._prior[int(number), : len(row)], self._advised[int(number)] = row, True
        self._forget_recalled()

    def _forget_recalled(self) -> None:
        """Called when what was proposed has changed."""
        self._recalled.clear()
        self.__dict__.pop("_kept", None)

    def parameter_count(self) -> int:
        """Number of trained parameters."""
        return sum(parameter.numel() for parameter in self.head.parameters())

    def _grow(self) -> None:
        """Makes room for the proposals of new situations."""
        rows, width = len(self.situations), self.situations.width
        room = max(rows, 2 * len(self._advised)) if rows > len(self._advised) else len(self._advised)
        before, advised = self._prior, self._advised
        if room > len(before) or width > before.shape[1]:
            self._prior, self._advised = np.zeros((room, width), np.float32), np.zeros(room, bool)
            self._prior[: len(before), : before.shape[1]], self._advised[: len(advised)] = before, advised


class TableValues(ActionValues):
    """Q as a table with a row for each distinct situation, in the order met; 0 at first. For tiny tasks."""

    kind: ClassVar[str] = "q-table"

    def __init__(self, width: int, rows: int = _ROWS, temperature: float = 0.1) -> None:
        super().__init__({"width": width, "rows": rows, "temperature": temperature}, temperature)
        self.head = nn.Embedding(rows, width)
        nn.init.zeros_(self.head.weight)

    def forward(
        self, states: NDArray[np.int64], head: nn.Module | None = None, places: NDArray[np.int64] | None = None
    ) -> Tensor:
        """See `ActionValues.forward`.

        Raises:
            WeanError: If there are more situations or actions than the table has room for.
        """
        width = int(self.num_choices(states).max())
        if len(self.situations) > self.config["rows"] or width > self.config["width"]:
            raise WeanError(
                f"the table has room for {self.config['rows']} situations of {self.config['width']} actions, and the "
                "task has more; use student.values=text"
            )
        values: Tensor = (head or self.head)(torch.from_numpy(states))
        return values[:, :width] if places is None else values.gather(1, torch.from_numpy(places).unsqueeze(1))


class PairHead(nn.Module):
    """Values pairs of vectors: Q = w . relu(V relu(A s + B a + C s * D a)).

    The first layer of a concatenation [s, a] is A s + B a, so that each situation and each distinct action of a batch
    is multiplied once and not once a pair; the product lets an action mean different things in different situations.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.situation = nn.Linear(size, 2 * hidden)
        self.action = nn.Linear(size, 2 * hidden)
        self.deep = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, situations: Tensor, actions: Tensor, pairs: Tensor) -> Tensor:
        """Values (B, A) of the actions of B situations.

        Args:
            situations: (B, size) vectors.
            actions: (U, size) vectors of the distinct actions.
            pairs: (B, A) int64, the row in `actions` of each situation's actions.
        """
        seen, seen_factor = self.situation(situations).unsqueeze(1).chunk(2, -1)  # (B, 1, hidden) each
        done, done_factor = self.action(actions)[pairs].chunk(2, -1)  # (B, A, hidden)
        hidden = torch.relu(seen + done + seen_factor * done_factor)
        values: Tensor = self.out(torch.relu(self.deep(hidden))).squeeze(-1)
        return values


class TextValues(ActionValues):
    """Q(situation, action) from the vectors of both texts.

    The texts of one task are much alike, and so are their vectors: a small network takes ten times as long to tell them
    apart as they are. So they are whitened, by the texts met before learning began (see `settle`). The vectors of all
    texts met are saved with the student, so that it needs its encoder for new ones only.
    """

    kind: ClassVar[str] = "q-text"
    vectors: Tensor
    settled: Tensor

    def __init__(self, encoder: str = "minilm", size: int = 384, hidden: int = 64, temperature: float = 0.1) -> None:
        config = {"encoder": encoder, "size": size, "hidden": hidden, "temperature": temperature}
        super().__init__(config, temperature)
        self.head = PairHead(size, hidden)
        self.register_buffer("vectors", torch.zeros(0, size))
        self.register_buffer("settled", torch.tensor(0))  # how many texts decided the whitening
        self._whitening = torch.zeros(size), torch.eye(size)
        self._white = torch.zeros(0, size)
        self._encoder: CachedEncoder | None = None

    def forward(
        self, states: NDArray[np.int64], head: nn.Module | None = None, places: NDArray[np.int64] | None = None
    ) -> Tensor:
        """See `ActionValues.forward`.

        Raises:
            UsageError: If a text is new and the encoder is not here; the message says how to get it.
        """
        self._encode_new()
        met = self.situations
        if places is None:
            choices = met.choices[states, : int(met.counts[states].max())]
        else:
            choices = met.choices[states, places][:, None]
        distinct, pairs = np.unique(choices, return_inverse=True)
        head = head or self.head
        return cast(
            Tensor,
            head(
                self._white[torch.from_numpy(met.text[states])],
                self._white[torch.from_numpy(distinct)],  # -1, where there is no action, is the last text's vector
                torch.from_numpy(pairs.reshape(choices.shape)),
            ),
        )

    def value_vectors(self, situations: Tensor, actions: Tensor, pairs: Tensor) -> Tensor:
        """Values (B, A) of vectors as the encoder gives them, see `PairHead.forward`; what is exported."""
        mean, matrix = self._whitening
        values: Tensor = self.head((situations - mean) @ matrix, (actions - mean) @ matrix, pairs)
        return values

    def settle(self) -> None:
        """Whitens by the texts met so far, from now on: mean 0, and alike in all directions in which they differ.

        Directions in which they hardly differ are not blown up: their variance counts as `_RIDGE` at least.
        """
        self._encode_new()
        self.settled.fill_(len(self.vectors))
        self._whiten()

    def _whiten(self) -> None:
        known = self.vectors[: int(self.settled)]
        if len(known):
            centred = (known - known.mean(0)).double()
            variances, directions = torch.linalg.eigh(centred.T @ centred / len(known))
            matrix = directions / (variances.clamp(min=0) + _RIDGE).sqrt()
            self._whitening = known.mean(0), matrix.float()
        self._white = self._whitened(self.vectors)

    def _whitened(self, vectors: Tensor) -> Tensor:
        """White vectors of texts."""
        mean, matrix = self._whitening
        white = torch.empty_like(vectors)
        # One by one: the last digits of a product depend on its number of rows, and a resumed run whitens at once what
        # came little by little.
        for number, vector in enumerate(vectors):
            torch.mv(matrix.T, vector - mean, out=white[number])
        return white

    def _encode_new(self) -> None:
        known, texts = len(self.vectors), self.situations.texts
        if len(texts) == known:
            return
        if self._encoder is None:
            self._encoder = CachedEncoder(self.config["encoder"])
        # Their length is 1: scaled so that each number is about 1.
        new = torch.from_numpy(self._encoder.encode(texts[known:])) * math.sqrt(self.config["size"])
        self.vectors = torch.cat([self.vectors, new])
        self._white = torch.cat([self._white, self._whitened(new)])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        self.vectors = torch.zeros_like(state_dict[f"{prefix}vectors"])  # it grows with the texts met
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._whiten()
