"""A text student at work: reads what it is told, says actions and sub-goals, weighs given ones; keeps its cache."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from wean.lm.trie import TokenTrie
from wean.students.steps import steps_of
from wean.students.text import TextStudent

LONGEST = 48
"""Tokens of an answer."""
_NODES = 512  # of the trie in one pass


class Reader:
    """Continues one sequence of tokens after the other with a causal student.

    What two calls have in common at the beginning is read once: the keys and values of an episode stay in the cache.

    Attributes:
        tokens_read: Tokens that went through the model so far.
    """

    def __init__(self, student: TextStudent) -> None:
        self._student = student
        self._steps = steps_of(student.model.eval(), student.habits.context)
        self._ids: list[int] = []
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
        logits = self._steps.run(list(ids[common:]), common)[-1]
        self._ids = list(ids)
        self.tokens_read += len(ids) - common
        return logits

    def prefers(self, ids: Sequence[int], first: int, second: int) -> bool:
        """Whether the first token is more probable behind `ids` than the second."""
        logits = self.read(ids)
        return bool(logits[first] >= logits[second])

    def say(self, ids: Sequence[int]) -> str:
        """What the student says behind `ids`, greedily, up to its end mark."""
        end, said = self._student.mark["<end>"], list(ids)
        while len(said) - len(ids) < LONGEST:
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
            positions = [stem + trie.depths[node] for node in step.nodes]
            seen = torch.from_numpy(trie.ancestors(step.nodes))
            rows = self._steps.run([trie.tokens[node] for node in step.nodes], stem + step.past, positions, seen)
            after = rows.log_softmax(-1)
            for row, node in enumerate(step.nodes):
                for child in trie.children[node]:
                    found[child] = float(after[row, trie.tokens[child]])
            self.tokens_read += len(step.nodes)
        return [math.fsum(found[node] for node in path) for path in paths]
