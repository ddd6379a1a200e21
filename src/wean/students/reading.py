"""A text student at work: reads what it is told, says actions and sub-goals, chooses among given ones."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import torch

from wean.lm.trie import ROOT, TokenTrie
from wean.students.steps import steps_of
from wean.students.text import TextStudent

LONGEST = 48
"""Tokens of an answer."""


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
        logits = self._steps.run(list(ids[common:]), common)
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

    def choose(self, ids: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """Which answer is the most probable behind `ids`.

        Best first along a trie: an answer only becomes less probable with every token, so that what is popped whole
        before everything else is the best, and few of thousands of answers are ever read.

        Args:
            ids: What was told.
            answers: Tokens of each answer, its end mark included; at least one.
        """
        trie, ends = TokenTrie(), dict[int, int]()
        for number, answer in enumerate(answers):
            ends.setdefault(trie.insert(list(answer))[-1], number)
        waiting = [(0.0, ROOT)]
        while True:
            cost, node = heapq.heappop(waiting)
            if node in ends:
                return ends[node]
            said = [trie.tokens[one] for one in trie.path(node)]
            after = self.read([*ids, *said]).log_softmax(-1)
            for child in trie.children[node] if node != ROOT else trie.tops:
                heapq.heappush(waiting, (cost - float(after[trie.tokens[child]]), child))
