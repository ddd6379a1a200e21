from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wean.lm.trie import ROOT, TokenTrie

# go to kitchen <end>, go to hall <end>, go north <end>, go <end>
WORDS = [[1, 2, 3, 9], [1, 2, 4, 9], [1, 5, 9], [1, 9]]


def test_shared_beginnings_are_one_node() -> None:
    trie = TokenTrie()
    paths = [trie.insert(word) for word in WORDS]
    assert len(trie) == 9
    assert paths[0][:2] == paths[1][:2]
    assert paths[0][0] == paths[3][0]
    assert trie.parents[paths[0][0]] == ROOT
    assert [trie.depths[node] for node in paths[1]] == [0, 1, 2, 3]
    assert [[trie.tokens[node] for node in path] for path in paths] == WORDS
    assert trie.insert(WORDS[1]) == paths[1], "inserting again adds nothing"
    assert len(trie) == 9


def test_only_nodes_with_children_are_run() -> None:
    trie = TokenTrie()
    for word in WORDS:
        trie.insert(word)
    (step,) = trie.plan(100)
    assert step.past == 0
    assert sorted(trie.tokens[node] for node in step.nodes) == [1, 2, 3, 4, 5]


def test_ancestors_by_hand() -> None:
    trie = TokenTrie()
    for word in ([7, 1, 9], [7, 2, 9]):
        trie.insert(word)
    (step,) = trie.plan(100)
    assert [trie.tokens[node] for node in step.nodes] == [7, 1, 2]
    expected = [[True, False, False], [True, True, False], [True, False, True]]
    assert trie.ancestors(step.nodes).tolist() == expected


def test_small_budget_runs_the_stem_once() -> None:
    trie = TokenTrie()
    stem = trie.insert([20, 21, 22, 23])[-1]
    for word in WORDS:
        trie.insert(word, stem)
    steps = list(trie.plan(2))
    assert [trie.tokens[node] for node in steps[0].nodes] == [20, 21, 22, 23, 1]
    assert steps[0].past == 0
    assert all(step.past >= 5 for step in steps[1:])


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=7), min_size=1, max_size=25),
    st.integers(1, 12),
)
def test_a_plan_runs_every_inner_node_once_behind_its_own_path(words: list[list[int]], budget: int) -> None:
    trie = TokenTrie()
    paths = [trie.insert(word) for word in words]
    assert [[trie.tokens[node] for node in path] for path in paths] == words
    cache: list[int] = []
    run: list[int] = []
    for step in trie.plan(budget):
        assert step.past <= len(cache), "a step cannot need what is not in the cache"
        cache = cache[: step.past]
        chain = [trie.parents[node] for node in step.nodes][1:] == step.nodes[:-1]
        assert chain or len(step.nodes) <= budget
        seen = trie.ancestors(step.nodes)
        for row, node in enumerate(step.nodes):
            own = cache + [other for column, other in enumerate(step.nodes) if seen[row, column]]
            assert own == trie.path(node), "a node sees exactly its own path"
            assert trie.depths[node] == len(own) - 1
        assert not np.triu(seen, 1).any()
        cache = cache + step.nodes
        run += step.nodes
    assert sorted(run) == [node for node in range(len(trie)) if trie.children[node]]


def test_long_sequences_do_not_recurse() -> None:
    trie = TokenTrie()
    trie.insert(list(range(5000)))
    (step,) = trie.plan(16)
    assert len(step.nodes) == 4999


def test_budget_of_one_is_allowed() -> None:
    trie = TokenTrie()
    for word in WORDS:
        trie.insert(word)
    assert sum(len(step.nodes) for step in trie.plan(1)) == 5


if __name__ == "__main__":
    pytest.main([__file__])
