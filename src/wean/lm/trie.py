"""A trie of tokens: what several token sequences share is one node, and is run through the model once.

```
prompt ─ go ─ to ─ kitchen ─ <end>          4 answers of 4 + 4 + 3 + 2 tokens: 13 tokens as rows,
          │    └── hall ──── <end>          10 as nodes, of which 6 are run: what a leaf predicts
          ├─ north ───────── <end>          is not needed
          └─ <end>
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROOT = -1


@dataclass(frozen=True)
class Step:
    """One forward pass: `nodes`, parents before children, behind the first `past` tokens of the cache."""

    past: int
    nodes: list[int]


class TokenTrie:
    """Token sequences with shared prefixes, node by node, numbered in the order of insertion (parents before children).

    For each node its token, its parent (`ROOT` for first tokens), its depth from 0 and its children; `tops` begin a
    sequence.
    """

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self.children: list[list[int]] = []
        self.tops: list[int] = []
        self._index: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def insert(self, tokens: Sequence[int], parent: int = ROOT) -> list[int]:
        """Adds a sequence behind the node `parent`; returns its nodes, one per token."""
        path = []
        for token in tokens:
            node = self._index.get((parent, token))
            if node is None:
                node = len(self.tokens)
                self._index[parent, token] = node
                self.tokens.append(token)
                self.parents.append(parent)
                self.depths.append(0 if parent == ROOT else self.depths[parent] + 1)
                self.children.append([])
                (self.tops if parent == ROOT else self.children[parent]).append(node)
            path.append(node)
            parent = node
        return path

    def inner(self, nodes: Sequence[int]) -> list[int]:
        """The given nodes that have children: only they must be run."""
        return [node for node in nodes if self.children[node]]

    def path(self, node: int) -> list[int]:
        """Nodes from the start of a sequence to `node`, both included."""
        nodes = []
        while node != ROOT:
            nodes.append(node)
            node = self.parents[node]
        return nodes[::-1]

    def plan(self, budget: int) -> Iterator[Step]:
        """Cuts the trie into forward passes such that every inner node is run exactly once.

        A trie that fits the budget is one step. Otherwise what all sequences share, a chain, runs first and
        stays in the cache; behind it branches are packed together as long as they hold at most `budget`
        nodes, and a larger branch is cut again at its own shared chain. A step never needs anything but the
        cache of the steps before it, cropped to `past`.

        Args:
            budget: Nodes of one step, at least 1. A chain may be longer: it needs no mask.

        Yields:
            Steps in the order in which they must run.
        """
        weights = self._weights()
        waiting = [(self.inner(self.tops), 0)]
        while waiting:
            tops, past = waiting.pop()
            if not tops:
                continue
            if len(tops) == 1:
                chain = self._chain(tops[0])
                # A branch that fits goes into one pass, its chain included.
                if weights[tops[0]] > budget or len(chain) == weights[tops[0]]:
                    yield Step(past, chain)
                    waiting.append((self.inner(self.children[chain[-1]]), past + len(chain)))
                    continue
            if sum(weights[top] for top in tops) <= budget:
                yield Step(past, self._below(tops))
                continue
            # Reversed, since the last one put on the stack runs first and the order of insertion is kept.
            waiting.extend((group, past) for group in reversed(_pack(tops, weights, budget)))

    def ancestors(self, nodes: Sequence[int]) -> NDArray[np.bool_]:
        """(nodes, nodes) bool, true where the row's node may attend to the column's: itself and what precedes it."""
        place = {node: row for row, node in enumerate(nodes)}
        mask = np.zeros((len(nodes), len(nodes)), dtype=np.bool_)
        for row, node in enumerate(nodes):
            above = place.get(self.parents[node])
            if above is not None:
                mask[row] = mask[above]
            mask[row, row] = True
        return mask

    def _chain(self, top: int) -> list[int]:
        """The nodes from `top` down to the first fork."""
        chain = [top]
        while len(after := self.inner(self.children[chain[-1]])) == 1:
            chain.append(after[0])
        return chain

    def _weights(self) -> list[int]:
        """Inner nodes of each node's branch, itself included."""
        weights = [1 if children else 0 for children in self.children]
        for node in range(len(weights) - 1, -1, -1):
            if self.parents[node] != ROOT:
                weights[self.parents[node]] += weights[node]
        return weights

    def _below(self, tops: Sequence[int]) -> list[int]:
        """Inner nodes of some branches, depth first."""
        nodes = []
        waiting = list(reversed(tops))
        while waiting:
            node = waiting.pop()
            nodes.append(node)
            waiting.extend(reversed(self.inner(self.children[node])))
        return nodes


def _pack(tops: Sequence[int], weights: Sequence[int], budget: int) -> list[list[int]]:
    """Groups neighbouring branches up to the budget; a larger one stands alone and will be cut further."""
    groups: list[list[int]] = []
    room = 0
    for top in tops:
        if groups and weights[top] <= room:
            groups[-1].append(top)
            room -= weights[top]
        else:
            groups.append([top])
            room = budget - weights[top]
    return groups
