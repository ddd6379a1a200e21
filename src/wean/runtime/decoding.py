"""Decoding with a language model: the answer that it generates, and the most probable of given ones."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

MAX_ANSWER = 48
"""Greatest number of tokens in an answer."""


class Network(Protocol):
    """A language model that reads tokens after those in its cache; see `ReadingNetwork`."""

    def run(self, ids: list[int], past: int, last: int = 1) -> NDArray[np.float32]:
        """Log-probabilities (last, vocabulary) of the next token after each of the last tokens read."""

    def another(self) -> Self:
        """The same model with a cache of its own."""


class Decoder(Protocol):
    """Answers prompts with a language model."""

    @property
    def tokens_read(self) -> int:
        """Tokens that went through the model so far."""

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        """Whether one token is at least as probable after the prompt as a second one."""

    def generate(self, prompt: Sequence[int], end: int) -> list[int]:
        """The answer by greedy decoding, without the end mark."""

    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """The place of the most probable answer after the prompt; each ends with the end mark."""

    def another(self) -> Self:
        """The same for an episode beside this one."""


def generate(next_token: Callable[[list[int]], int], end: int) -> list[int]:
    """An answer of at most `MAX_ANSWER` tokens, without the end mark; `next_token` names the token after a part."""
    answer: list[int] = []
    while len(answer) < MAX_ANSWER and (token := next_token(answer)) != end:
        answer.append(token)
    return answer


class NetworkDecoder:
    """Decodes with a network; what two prompts share from their start is read once. See `Decoder`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._ids: list[int] = []  # those in the network's cache
        self.tokens_read = 0

    def another(self) -> NetworkDecoder:
        """See `Decoder.another`."""
        return NetworkDecoder(self._network.another())

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        """See `Decoder.prefers`."""
        logs = self._logs(list(prompt))[0]
        return bool(logs[first] >= logs[second])

    def generate(self, prompt: Sequence[int], end: int) -> list[int]:
        """See `Decoder.generate`."""
        return generate(lambda answer: int(self._logs([*prompt, *answer])[0].argmax()), end)

    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """See `Decoder.rank`.

        Best first over the trie of the answers: an answer only gets less probable with every token, so the first one
        completed is the best, and few of thousands are ever read. Tokens that all answers of a branch share are read in
        one pass.
        """
        ids, frontier = list(prompt), [(0.0, 0, list(range(len(answers))))]
        while True:
            cost, length, branch = heapq.heappop(frontier)
            first = answers[branch[0]]
            if length == len(first):
                return branch[0]
            shared = _shared([answers[number] for number in branch], length)
            whole = shared == len(first)  # then all of the branch are the same answer
            last = shared - whole
            logs = self._logs([*ids, *first[:last]], last - length + 1)
            cost -= float(sum(logs[place - length, first[place]] for place in range(length, shared)))
            if whole:
                heapq.heappush(frontier, (cost, shared, branch))
                continue
            longer: dict[int, list[int]] = {}
            for number in branch:
                longer.setdefault(answers[number][shared], []).append(number)
            for token, with_token in longer.items():
                heapq.heappush(frontier, (cost - float(logs[-1, token]), shared + 1, with_token))

    def _logs(self, ids: list[int], last: int = 1) -> NDArray[np.float32]:
        """Log-probabilities (last, vocabulary) of the next token after each of the last tokens."""
        common = min(_shared([self._ids, ids], 0), len(ids) - last)
        self._ids = ids
        self.tokens_read += len(ids) - common
        return self._network.run(ids[common:], common, last)


def _shared(sequences: Sequence[Sequence[int]], begin: int) -> int:
    """The number of tokens that sequences share from their start, known to be at least `begin`."""
    shortest = min(map(len, sequences))
    first, *others = sequences
    place = begin
    while place < shortest and all(other[place] == first[place] for other in others):
        place += 1
    return place
