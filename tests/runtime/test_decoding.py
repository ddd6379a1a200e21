"""Decoding with a cache: the best of given answers, greedy answers, and nothing read twice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from wean.runtime.decoding import MAX_ANSWER, NetworkDecoder

VOCABULARY, END = 6, 5


class Table:
    """A language model whose next token depends on the last two tokens; it notes what it reads."""

    def __init__(self, seed: int) -> None:
        logits = np.random.default_rng(seed).normal(size=(VOCABULARY, VOCABULARY, VOCABULARY)) * 2
        self._logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        self._cache: list[int] = []
        self.read: list[int] = []
        self.passes = 0

    def another(self) -> Table:
        raise AssertionError("one episode needs one cache")

    def run(self, ids: list[int], past: int, last: int = 1) -> NDArray[np.float32]:
        assert past <= len(self._cache)
        assert 1 <= last <= len(ids)
        self.read += ids
        self.passes += 1
        self._cache = [*self._cache[:past], *ids]
        ends = range(len(self._cache) - last, len(self._cache))
        return np.array([self.after(self._cache[: end + 1]) for end in ends], np.float32)

    def after(self, ids: list[int]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self._logs[ids[-2] if len(ids) > 1 else 0, ids[-1]]
        return found

    def log_of(self, prompt: list[int], answer: list[int]) -> float:
        ids, total = list(prompt), 0.0
        for token in answer:
            total += float(self.after(ids)[token])
            ids.append(token)
        return total


@pytest.mark.parametrize("seed", range(30))
def test_the_most_probable_of_many_answers_is_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    every = [[*row, END] for size in (1, 2, 3) for row in itertools.product(range(5), repeat=size)]
    chosen = [every[place] for place in random.choice(len(every), random.integers(1, 60), replace=False)]
    model, prompt = Table(seed), [1, 2, 3]
    logs = [model.log_of(prompt, answer) for answer in chosen]
    assert NetworkDecoder(model).rank(prompt, chosen) == int(np.argmax(logs))


def test_equal_answers_count_as_the_first_of_them() -> None:
    assert NetworkDecoder(Table(0)).rank([1], [[2, 3, END], [2, 3, END]]) == 0


def test_few_of_many_answers_are_read_and_shared_beginnings_once() -> None:
    answers = [[*row, END] for row in itertools.product(range(5), repeat=4)]
    model = Table(3)
    decoder = NetworkDecoder(model)
    decoder.rank(list(range(5)) * 3, answers)
    assert decoder.tokens_read == len(model.read) < 15 + 60
    model = Table(3)
    NetworkDecoder(model).rank([1, 2], [[3, 4, 3, 4, END], [3, 4, 3, 2, END]])
    assert model.passes <= 3  # what both begin with, and at most both ends


def test_an_answer_is_generated_greedily() -> None:
    for seed in range(10):
        model, ids = Table(seed), [1, 2]
        answer = NetworkDecoder(model).generate(ids, END)
        for token in answer:
            assert token == model.after(ids).argmax() != END
            ids.append(token)
        assert len(answer) == MAX_ANSWER or model.after(ids).argmax() == END


def test_a_prompt_that_grows_is_read_once() -> None:
    model = Table(1)
    decoder = NetworkDecoder(model)
    assert decoder.prefers([1, 2, 3], 0, 1) == (model.after([1, 2, 3])[0] >= model.after([1, 2, 3])[1])
    decoder.prefers([1, 2, 3, 4], 0, 1)
    assert model.read == [1, 2, 3, 4]
    decoder.prefers([1, 2, 4], 0, 1)  # goes back to where both begin alike
    assert model.read == [1, 2, 3, 4, 4]
