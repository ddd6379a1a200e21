"""Decoding with an encoder-decoder student: its encoder reads the prompt, its decoder generates and ranks answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from wean.students.text.decoder import CausalDecoder, Decoder
from wean.students.text.prompt import ACT
from wean.students.text.student import TextStudent

_BATCH = 64  # answers ranked side by side


class Seq2SeqDecoder(Decoder):
    """Decodes with an encoder-decoder student.

    A prompt ends where the answer begins, as in training: a final `<act>` is the answer's first token. The last prompt
    stays encoded.

    Args:
        student: The student.
    """

    def __init__(self, student: TextStudent) -> None:
        super().__init__(student)
        self._model = student.model.eval()
        self._prompt: tuple[int, ...] = ()
        self._encoded: Any = None

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        """See `Decoder.prefers`."""
        logits = self._logits_after(prompt, [])
        return bool(logits[first] >= logits[second])

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

    def _logits_after(self, prompt: Sequence[int], answer: Sequence[int], read_ahead: bool = False) -> Tensor:
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


def decoder_for(student: TextStudent, others: Sequence[TextStudent] = ()) -> Decoder:
    """The decoder of a student, or of an ensemble with others."""
    return Seq2SeqDecoder(student) if student.model.config.is_encoder_decoder else CausalDecoder(student, others)
