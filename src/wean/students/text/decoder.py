"""Decoding with a text student in PyTorch: what it generates after a prompt, and the best or a drawn one of answers."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from wean.lm.precision import WORTH, halves_speedup
from wean.runtime.decoding import generate
from wean.runtime.prompt import ACT
from wean.students.text.branches import BranchRanking
from wean.students.text.incremental import Ensemble, LeanLlama, incremental
from wean.students.text.student import TextStudent

_MATCHED, _AHEAD = 3, 4  # last tokens that predict the next ones, and how many of these are read ahead


class StudentDecoder(ABC):
    """A student that answers prompts; see `wean.runtime.decoding.Decoder`.

    Attributes:
        tokens_read: Tokens that went through the model so far; those of an ensemble count once.
    """

    tokens_read = 0

    @abstractmethod
    def another(self) -> Self:
        """See `Decoder.another`."""

    @abstractmethod
    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """See `Decoder.rank`."""

    @abstractmethod
    def logits_after(self, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
        """The logits (vocabulary,) of the next token after a prompt and a partial answer."""

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        """See `Decoder.prefers`."""
        logits = self.logits_after(prompt, [])
        return bool(logits[first] >= logits[second])

    def generate(self, prompt: Sequence[int], end: int) -> list[int]:
        """See `Decoder.generate`."""
        return generate(lambda answer: int(self.logits_after(prompt, answer).argmax()), end)


class CausalDecoder(StudentDecoder):
    """Decodes with a causal student, or with an ensemble of it and others.

    What two prompts share from the start is read once: keys and values of an episode stay in the cache. In greedy
    decoding the tokens that followed the last time are read ahead: a pass over a few tokens takes hardly longer than
    over one, and much of an answer was generated or read before (2304.04487).
    """

    def __init__(self, student: TextStudent, others: Sequence[TextStudent] = (), branches: bool = True) -> None:
        self._made_of = student, others, branches
        dtype = torch.bfloat16 if halves_speedup() > WORTH else torch.float32
        models = [incremental(one.model.eval(), student.prompt.context, dtype) for one in (student, *others)]
        self._model = Ensemble(models) if others else models[0]
        alone = models[0] if branches and not others else None
        self._branching = alone if isinstance(alone, LeanLlama) and alone.branches else None
        self._ids: list[int] = []
        self._logits = torch.empty(0)  # (1 + tokens read ahead, vocabulary): after the last tokens of `_ids`

    def another(self) -> CausalDecoder:
        """See `Decoder.another`."""
        return CausalDecoder(*self._made_of)

    @torch.inference_mode()
    def read(self, ids: Sequence[int], ahead: Sequence[int] = ()) -> Tensor:
        """Reads tokens; returns the logits (vocabulary,) of the next one.

        Tokens `ahead` that may follow are read in the same pass, so that the logits after them are known if they do.
        """
        ids, known = list(ids), self._ids[: len(ids)]
        extra = len(self._ids) - len(ids)
        if known == ids and extra < len(self._logits):
            return self._logits[-1 - extra]
        common = min(_common(known, ids), len(ids) - 1)  # the last one is always read: its logits are wanted
        self._ids = [*ids, *ahead]
        self._logits = self._model.run(self._ids[common:], common, 1 + len(ahead))
        self.tokens_read += len(self._ids) - common
        return self._logits[0]

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        """See `Decoder.prefers`; the second token is read ahead."""
        logits = self.read(prompt, [second])
        return bool(logits[first] >= logits[second])

    def logits_after(self, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
        """See `StudentDecoder.logits_after`; tokens that are likely to follow are read ahead."""
        ids = [*prompt, *answer]
        return self.read(ids, likely_next(ids))

    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """See `Decoder.rank`.

        Best first by partial answers: an answer only gets less probable with every token, so the first one completed is
        the best, and few of thousands of answers are ever read. Several in one pass where the model reads branches.
        """
        if self._branching is not None:
            return self._rank_branches(self._branching, list(prompt), answers)
        ids, frontier = list(prompt), [(0.0, 0, list(range(len(answers))))]
        while True:
            cost, length, numbers = heapq.heappop(frontier)
            longer = _by_next(answers, numbers, length)
            if not longer:
                return numbers[0]
            logs = self.read([*ids, *answers[numbers[0]][:length]]).log_softmax(-1)
            for token, with_token in longer.items():
                heapq.heappush(frontier, (cost - float(logs[token]), length + 1, with_token))

    @torch.inference_mode()
    def _rank_branches(self, model: LeanLlama, prompt: list[int], answers: Sequence[Sequence[int]]) -> int:
        """The same, with several partial answers in one pass."""
        ranked = BranchRanking(model, len(prompt), self.read(prompt), answers).best()
        self._ids, self._logits = [*prompt, *ranked.read], ranked.logits[None]
        self.tokens_read += ranked.tokens
        return ranked.number


class SamplingDecoder:
    """Draws answers in place of the most probable ones; see `wean.runtime.decoding.Decoder`.

    Args:
        decoder: The student's.
        temperature: Divides the logits; near 0 the most probable tokens are drawn.
        generator: Source of randomness.
    """

    def __init__(self, decoder: StudentDecoder, temperature: float, generator: np.random.Generator) -> None:
        self._decoder, self._temperature, self._generator = decoder, temperature, generator

    @property
    def tokens_read(self) -> int:
        """See `Decoder`."""
        return self._decoder.tokens_read

    def another(self) -> SamplingDecoder:
        """See `Decoder.another`."""
        return SamplingDecoder(self._decoder.another(), self._temperature, self._generator.spawn(1)[0])

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        """See `Decoder.prefers`; drawn as well."""
        return self._draw(self._decoder.logits_after(prompt, []), [first, second]) == first

    def generate(self, prompt: Sequence[int], end: int) -> list[int]:
        """See `Decoder.generate`; each token is drawn."""

        def drawn(answer: list[int]) -> int:
            logits = self._decoder.logits_after(prompt, answer)
            return self._draw(logits, range(len(logits)))

        return generate(drawn, end)

    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """The place of a drawn answer: token by token, among those with which an answer goes on."""
        numbers, length = list(range(len(answers))), 0
        while longer := _by_next(answers, numbers, length):
            token = next(iter(longer))
            if len(longer) > 1:
                logits = self._decoder.logits_after(prompt, answers[numbers[0]][:length])
                token = self._draw(logits, list(longer))
            numbers, length = longer[token], length + 1
        return numbers[0]

    def _draw(self, logits: Tensor, tokens: Sequence[int]) -> int:
        """One of some tokens, by their logits."""
        chances = (logits[list(tokens)].double() / self._temperature).softmax(-1).cumsum(-1)
        place = int(torch.searchsorted(chances, self._generator.random(), right=True))
        return tokens[min(place, len(tokens) - 1)]


def likely_next(ids: list[int]) -> list[int]:
    """Up to four tokens that followed where the last three tokens stood before, or the last two, or the last one."""
    back = ids[::-1]
    position, found, longest = 0, 0, 0
    for _ in range(back.count(back[0]) - 1):
        position = back.index(back[0], position + 1)
        matched = next((n for n in range(_MATCHED, 1, -1) if back[position : position + n] == back[:n]), 1)
        if matched > longest:
            found, longest = position, matched
        if longest == _MATCHED:
            break
    return back[max(0, found - _AHEAD) : found][::-1]


def _common(ours: list[int], theirs: list[int]) -> int:
    """The number of tokens that two sequences share from their start."""
    if theirs[: len(ours)] == ours:
        return len(ours)
    return next(place for place, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other)


def _by_next(answers: Sequence[Sequence[int]], numbers: Sequence[int], length: int) -> dict[int, list[int]]:
    """The numbers of answers with the same first `length` tokens, by the next one; empty if the first one ends there.

    Every answer ends with the end mark, so those that are alike so far end together.
    """
    if len(answers[numbers[0]]) == length:
        return {}
    longer: dict[int, list[int]] = {}
    for number in numbers:
        longer.setdefault(answers[number][length], []).append(number)
    return longer


_BATCH = 64  # answers ranked side by side


class Seq2SeqDecoder(StudentDecoder):
    """Decodes with an encoder-decoder student: its encoder reads the prompt, its decoder generates and ranks answers.

    A prompt ends where the answer begins, as in training: a final `<act>` is the answer's first token. The last prompt
    stays encoded.
    """

    def __init__(self, student: TextStudent) -> None:
        self._student = student
        self._model = student.model.eval()
        self._prompt: tuple[int, ...] = ()
        self._encoded: Any = None

    def another(self) -> Seq2SeqDecoder:
        """See `Decoder.another`."""
        return Seq2SeqDecoder(self._student)

    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """See `Decoder.rank`."""
        encoded, begun = self._encode(prompt)
        found: list[float] = []
        for start in range(0, len(answers), _BATCH):
            rows = [[*begun, *answer] for answer in answers[start : start + _BATCH]]
            width = max(map(len, rows))
            padded = [row + [self._student.pad] * (width - len(row)) for row in rows]
            logs = self._logits(encoded, [row[:-1] for row in padded]).log_softmax(-1)
            of_tokens = logs.gather(-1, torch.tensor(padded, device=logs.device).unsqueeze(-1)).squeeze(-1)
            found += [float(of_tokens[i, len(begun) : len(row)].sum()) for i, row in enumerate(rows)]
        return max(range(len(answers)), key=found.__getitem__)

    def logits_after(self, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
        """See `StudentDecoder.logits_after`."""
        encoded, begun = self._encode(prompt)
        return self._logits(encoded, [[*begun, *answer]])[0, -1]

    @torch.inference_mode()
    def _encode(self, ids: Sequence[int]) -> tuple[Tensor, list[int]]:
        """The encoded prompt (1, T, width), and the tokens with which the answer has begun."""
        begun = [ids[-1]] if ids[-1] == self._student.mark[ACT] else []
        prompt = tuple(ids[: len(ids) - len(begun)])
        if prompt != self._prompt:
            tokens = torch.tensor([prompt], device=self._model.device)
            self._encoded = self._model.get_encoder()(input_ids=tokens, attention_mask=torch.ones_like(tokens))
            self._prompt = prompt
            self.tokens_read += len(prompt)
        return self._encoded.last_hidden_state, begun

    @torch.inference_mode()
    def _logits(self, encoded: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
        """Logits (rows, 1 + tokens, vocabulary) before each token of the rows and after the last."""
        start = self._model.config.decoder_start_token_id
        inputs = torch.tensor([[start, *row] for row in rows], device=encoded.device)
        hidden = encoded.expand(len(rows), -1, -1)
        self.tokens_read += inputs.numel()
        mask = torch.ones(hidden.shape[:2], dtype=torch.long, device=encoded.device)
        output = self._model(encoder_outputs=(hidden,), attention_mask=mask, decoder_input_ids=inputs)
        logits: Tensor = output.logits.float()
        return logits


def decoder_for(student: TextStudent, others: Sequence[TextStudent] = ()) -> StudentDecoder:
    """The decoder of a student, or of an ensemble with others."""
    return Seq2SeqDecoder(student) if student.model.config.is_encoder_decoder else CausalDecoder(student, others)
