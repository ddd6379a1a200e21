"""A text student at work: reads what it is told, says actions and sub-goals, weighs given ones; keeps its cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from wean.lm.scoring import new_cache
from wean.lm.trie import TokenTrie
from wean.students.text import TextStudent

_LONGEST = 48  # tokens of an answer
_NODES = 512  # of the trie in one pass


class Reader:
    """Continues one sequence of tokens after the other with a causal student.

    What two calls have in common at the beginning is read once: the keys and values of an episode stay in the cache.

    Attributes:
        tokens_read: Tokens that went through the model so far.
    """

    def __init__(self, student: TextStudent) -> None:
        self._student, self._model = student, student.model.eval()
        self._ids: list[int] = []
        self._cache = new_cache(self._model)
        self.tokens_read = 0

    @torch.inference_mode()
    def read(self, ids: Sequence[int]) -> torch.Tensor:
        """Reads tokens; returns the logits (vocabulary,) of what comes next."""
        common = 0
        for ours, theirs in zip(self._ids, ids, strict=False):
            if ours != theirs:
                break
            common += 1
        common = min(common, len(ids) - 1)  # the last one is always read: its logits are wanted
        self._crop(common)
        rest = torch.tensor([list(ids[common:])], device=self._model.device)
        output = self._model(input_ids=rest, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._ids = list(ids)
        self.tokens_read += len(ids) - common
        logits: torch.Tensor = output.logits[0, -1].float()
        return logits

    def prefers(self, ids: Sequence[int], first: int, second: int) -> bool:
        """Whether the first token is more probable behind `ids` than the second."""
        logits = self.read(ids)
        return bool(logits[first] >= logits[second])

    def say(self, ids: Sequence[int]) -> str:
        """What the student says behind `ids`, greedily, up to its end mark."""
        end, said = self._student.mark["<end>"], list(ids)
        while len(said) - len(ids) < _LONGEST:
            token = int(self.read(said).argmax())
            if token == end:
                break
            said.append(token)
        return self._student.decode(said[len(ids) :])

    @torch.inference_mode()
    def weigh(self, ids: Sequence[int], answers: Sequence[Sequence[int]]) -> list[float]:
        """Log-probability of each answer behind `ids`; tokens that answers share are run once.

        Args:
            ids: What was told.
            answers: Tokens of each answer, its end mark included.
        """
        logits = self.read(ids)
        trie = TokenTrie()
        paths = [trie.insert(list(answer)) for answer in answers]
        first = logits.log_softmax(-1)
        found = {top: float(first[trie.tokens[top]]) for top in trie.tops}
        stem = len(self._ids)
        for step in trie.plan(_NODES):
            self._crop(stem + step.past)
            rows = self._branch(trie, step.nodes, stem, step.past)
            for row, node in enumerate(step.nodes):
                for child in trie.children[node]:
                    found[child] = float(rows[row, trie.tokens[child]])
            self.tokens_read += len(step.nodes)
        self._crop(stem)
        return [math.fsum(found[node] for node in path) for path in paths]

    def _branch(self, trie: TokenTrie, nodes: Sequence[int], stem: int, past: int) -> torch.Tensor:
        """Log-probabilities (nodes, vocabulary) behind nodes of the trie, each seeing only what stands before it."""
        device = self._model.device
        mask = torch.zeros(1, 1, len(nodes), stem + past + len(nodes), device=device, dtype=self._model.dtype)
        seen = torch.from_numpy(trie.ancestors(nodes)).to(device)
        mask[0, 0, :, stem + past :].masked_fill_(~seen, torch.finfo(mask.dtype).min)
        output = self._model(
            input_ids=torch.tensor([[trie.tokens[node] for node in nodes]], device=device),
            position_ids=torch.tensor([[stem + trie.depths[node] for node in nodes]], device=device),
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
        )
        rows: torch.Tensor = output.logits[0].float().log_softmax(-1)
        return rows

    def _crop(self, length: int) -> None:
        """Forgets what stands behind a length."""
        self._ids = self._ids[:length]
        excess: Any = self._cache.get_seq_length() - length
        if excess > 0:
            if length:
                self._cache.crop(-excess)
            else:
                self._cache = new_cache(self._model)
