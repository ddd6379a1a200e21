"""An encoder-decoder student at work: its encoder reads a prompt, its decoder says and chooses answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from wean.students.text.decoder import May, Reader, Said, greedy
from wean.students.text.prompt import ACT
from wean.students.text.student import TextStudent

_TOGETHER = 64  # answers weighed side by side


class EncoderReader:
    """Answers prompts with an encoder-decoder student, as `Reader` does with a causal one.

    A prompt ends where the answer begins, as in training: an `<act>` at its end is the answer's first token. The last
    prompt stays encoded.

    Attributes:
        tokens_read: Tokens that went through encoder and decoder so far.
    """

    def __init__(self, student: TextStudent) -> None:
        self._student, self._model = student, student.model.eval()
        self._prompt: tuple[int, ...] = ()
        self._encoded: Any = None
        self.tokens_read = 0

    def prefers(self, ids: Sequence[int], first: int, second: int) -> bool:
        """Whether the first token is more probable behind `ids` than the second."""
        encoded, said = self._read(ids)
        logits = self._decode(encoded, [said])[0, -1]
        return bool(logits[first] >= logits[second])

    def say(self, ids: Sequence[int], may: May | None = None, fits: May | None = None) -> Said:
        """What the student says behind `ids`, greedily, up to its end mark; only what it may say (`greedy`)."""
        encoded, begun = self._read(ids)
        return greedy(lambda said: self._decode(encoded, [[*begun, *said]])[0, -1], self._student, may, fits)

    def choose(self, ids: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """Which answer, its end mark included, is the most probable behind `ids`."""
        found = self._logs(ids, answers)
        return max(range(len(answers)), key=found.__getitem__)

    def _logs(self, ids: Sequence[int], answers: Sequence[Sequence[int]]) -> list[float]:
        """The log-probability of each answer, its end mark included."""
        encoded, begun = self._read(ids)
        found: list[float] = []
        for start in range(0, len(answers), _TOGETHER):
            rows = [[*begun, *answer] for answer in answers[start : start + _TOGETHER]]
            width = max(map(len, rows))
            padded = [row + [self._student.pad] * (width - len(row)) for row in rows]
            logs = self._decode(encoded, [row[:-1] for row in padded]).log_softmax(-1)
            told = logs.gather(-1, torch.tensor(padded, device=logs.device).unsqueeze(-1)).squeeze(-1)
            found += [float(told[i, len(begun) : len(row)].sum()) for i, row in enumerate(rows)]
        return found

    @torch.inference_mode()
    def _read(self, ids: Sequence[int]) -> tuple[Any, list[int]]:
        """The encoded prompt, and the tokens of the answer that are there already."""
        begun = [ids[-1]] if ids[-1] == self._student.mark[ACT] else []
        prompt = tuple(ids[: len(ids) - len(begun)])
        if prompt != self._prompt:
            tokens = torch.tensor([prompt], device=self._model.device)
            self._encoded = self._model.get_encoder()(input_ids=tokens, attention_mask=torch.ones_like(tokens))
            self._prompt = prompt
            self.tokens_read += len(prompt)
        return self._encoded.last_hidden_state, begun

    @torch.inference_mode()
    def _decode(self, encoded: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
        """Logits (rows, 1 + tokens, vocabulary) before each token of the rows and behind the last."""
        start = self._model.config.decoder_start_token_id
        inputs = torch.tensor([[start, *row] for row in rows], device=encoded.device)
        hidden = encoded.expand(len(rows), -1, -1)
        self.tokens_read += inputs.numel()
        seen = torch.ones(hidden.shape[:2], dtype=torch.long, device=encoded.device)
        output = self._model(encoder_outputs=(hidden,), attention_mask=seen, decoder_input_ids=inputs)
        logits: Tensor = output.logits.float()
        return logits


def reader_of(student: TextStudent, others: Sequence[TextStudent] = ()) -> Reader | EncoderReader:
    """What reads for a student, and for others that act together with it."""
    return EncoderReader(student) if student.model.config.is_encoder_decoder else Reader(student, others)
