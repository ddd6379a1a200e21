"""The most probable of many given answers, read as branches of one tree in a few passes over the model.

A pass over thirty tokens takes hardly longer than one over a single token: both wait for the matrices to come from
memory. So a pass reads the most probable partial answers side by side, and what follows them without a choice or after
a small one, each seeing the prompt and its own branch alone (tree attention, 2305.09781).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from wean.lm.trie import ROOT, TokenTrie
from wean.students.text.incremental import LeanLlama

_NODES = 32  # tokens of one pass
_NEAR = 3.0  # nats by which a branch may be less probable than the best one and be read with it


class Ranked(NamedTuple):
    """The most probable answer.

    Attributes:
        number: Its number.
        read: Its tokens that the model has read, behind the prompt.
        logits: (vocabulary,) after these.
        tokens: Number of tokens that went through the model.
    """

    number: int
    read: list[int]
    logits: Tensor
    tokens: int


class BranchRanking:
    """Ranks answers behind a prompt of `base` tokens that the model has read, with the logits after it.

    Best first by partial answers: an answer only gets less probable with every token, so the first one completed is the
    best, and few of thousands of answers are ever read. No answer may begin with another one (each has an end mark).
    """

    def __init__(self, model: LeanLlama, base: int, logits: Tensor, answers: Sequence[Sequence[int]]) -> None:
        self._model, self._base = model, base
        self._trie, self._number = TokenTrie(), dict[int, int]()
        for number, answer in enumerate(answers):
            self._number.setdefault(self._trie.insert(answer)[-1], number)
        self._logits = {ROOT: logits}
        self._places: dict[int, int] = {}  # of nodes in the model's cache
        self._frontier: list[tuple[float, int]] = []
        self._read = 0

    def best(self) -> Ranked:
        """The most probable answer; what the model has read of it stays in its cache behind the prompt."""
        cost, node = 0.0, ROOT
        while node not in self._number:
            if node not in self._logits:
                self._pass(cost, node)
            children = self._trie.tops if node == ROOT else self._trie.children[node]
            logs = self._logits[node].log_softmax(-1)[[self._trie.tokens[child] for child in children]].tolist()
            for child, log in zip(children, logs, strict=True):
                heapq.heappush(self._frontier, (cost - log, child))
            cost, node = heapq.heappop(self._frontier)
        above = self._trie.path(node)[:-1]
        self._model.keep([self._places[one] for one in above], self._base)
        read = [self._trie.tokens[one] for one in above]
        return Ranked(self._number[node], read, self._logits[above[-1] if above else ROOT], self._read)

    def _pass(self, cost: float, node: int) -> None:
        """Reads a node, and others with it that are likely to be wanted."""
        group = self._group(cost, node)
        past = self._base + len(self._places)
        if past + len(group) > self._model.room:
            self._places.clear()  # what was read is read again where a branch goes on
            past, group = self._base, self._trie.path(node)
        for place, one in enumerate(group, past):
            self._places[one] = place
        before = [[self._places[above] for above in self._trie.path(one)[:-1]] for one in group]
        logits = self._model.run_branches([self._trie.tokens[one] for one in group], past, self._base, before)
        self._logits |= dict(zip(group, logits, strict=True))
        self._read += len(group)

    def _group(self, cost: float, node: int) -> list[int]:
        """Nodes for one pass: this one, others that are nearly as probable, and what follows all of them."""
        near = [one for other, one in sorted(self._frontier)[:_NODES] if other <= cost + _NEAR]
        group = [node, *(one for one in near if one not in self._logits and self._trie.children[one])][: _NODES // 2]
        group = [above for one in group for above in self._trie.path(one) if above not in self._places]
        group = list(dict.fromkeys(group))
        for one in group:  # grows meanwhile
            below = [child for child in self._trie.inner(self._trie.children[one]) if child not in self._places]
            below = [child for child in below if child not in group]
            if len(group) + len(below) <= _NODES:
                group += below
        return group
