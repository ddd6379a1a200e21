"""A text student at work: reads what it is told, says actions and sub-goals, chooses among given ones."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from wean.students.text.ensemble import MeanSteps
from wean.students.text.incremental import steps_of
from wean.students.text.student import TextStudent

LONGEST = 48
"""Tokens of an answer."""
_SEARCHED, _BRANCHES = 100, 16  # beginnings of texts that are weighed at most, and tokens behind each
_ALIKE, _AHEAD = 3, 4  # last tokens by which it is known what may follow, and as many tokens of that


May = Callable[[str], bool]
"""Whether a word may be said, or a whole text."""


class Said(NamedTuple):
    """What a student says.

    Attributes:
        text: In words.
        logs: The log-probability of each of its tokens, its end mark included; none where somebody else says it.
    """

    text: str
    logs: tuple[float, ...] = ()


def greedy(
    after: Callable[[list[int]], torch.Tensor],
    student: TextStudent,
    may: May | None = None,
    fits: May | None = None,
    among: Callable[[list[int]], torch.Tensor] | None = None,
) -> Said:
    """Says the most probable token each time.

    Where that would say what may not be said, the text that may and is the most probable as a whole is said instead,
    searched best first.

    Args:
        after: The logits (vocabulary,) behind what was said so far.
        student: Whose marks and words they are.
        may: Whether a word may be said; None for all.
        fits: Whether a whole text may be said; None for all.
        among: The same as `after`, used where one beginning after the other is weighed; `after` by default.
    """
    among = among or after
    said: list[int] = []
    logs: list[float] = []
    while len(said) < LONGEST:
        found = after(said).log_softmax(-1)
        token = int(found.argmax())
        if may and not _allows(student, said, may)(token):
            return _allowed(among, student, may, fits)
        logs.append(float(found[token]))
        if token == student.mark["<end>"]:
            break
        said.append(token)
    text = student.decode(said)
    return Said(text, tuple(logs)) if not fits or fits(text) else _allowed(among, student, may, fits)


def _allowed(
    after: Callable[[list[int]], torch.Tensor], student: TextStudent, may: May | None, fits: May | None
) -> Said:
    """The most probable text that may be said; after many steps what was reached."""
    waiting: list[tuple[float, list[int], tuple[float, ...]]] = [(0.0, [], ())]
    said: list[int] = []
    logs: tuple[float, ...] = ()
    for _ in range(_SEARCHED):
        if not waiting:
            break
        cost, said, logs = heapq.heappop(waiting)
        if said and said[-1] == student.mark["<end>"]:
            if not fits or fits(student.decode(said)):
                break
            continue
        found = after(said).log_softmax(-1).topk(_BRANCHES)
        allows = _allows(student, said, may) if may else lambda token: True
        for log, token in zip(found.values.tolist(), found.indices.tolist(), strict=True):
            if len(said) < LONGEST and allows(token):
                heapq.heappush(waiting, (cost - log, [*said, token], (*logs, log)))
    return Said(student.decode(said), logs)


def _allows(student: TextStudent, said: list[int], may: May) -> Callable[[int], bool]:
    """Whether a token may come behind what was said: a word that it ends must be one that may be said."""
    words = student.decode(said).split()
    if not words or may(words[-1]):
        return lambda token: True
    end = student.mark["<end>"]
    return lambda token: token != end and len(student.decode([*said, token]).split()) <= len(words)


class Reader:
    """Continues one sequence of tokens after the other with a causal student.

    What two calls have in common at the beginning is read once: the keys and values of an episode stay in the cache. So
    do the logits behind all beginnings of what was said or weighed behind the same tokens: where the most probable text
    may not be said, the search for another comes by its beginnings again.

    Attributes:
        tokens_read: Tokens that went through the model so far; with others each token once.

    Args:
        student: Who reads.
        others: Students that act together with it (`wean.students.text.ensemble`).
    """

    def __init__(self, student: TextStudent, others: Sequence[TextStudent] = ()) -> None:
        self._student = student
        steps = [steps_of(one.model.eval(), student.habits.context) for one in (student, *others)]
        self._steps = MeanSteps(steps) if others else steps[0]
        self._ids: list[int] = []
        self._logits = torch.empty(0)  # (read ahead or last, vocabulary): behind the last tokens of these
        self._told: list[int] = []
        self._weighed: dict[tuple[int, ...], torch.Tensor] = {}  # logits behind these and a beginning of what is said
        self.tokens_read = 0

    @torch.inference_mode()
    def read(self, ids: Sequence[int], ahead: Sequence[int] = ()) -> torch.Tensor:
        """Reads tokens; returns the logits (vocabulary,) of what comes next.

        Args:
            ids: The tokens.
            ahead: What may come next; read in the same pass, so that what follows is known if it does.
        """
        ids, known = list(ids), self._ids[: len(ids)]
        behind = len(self._ids) - len(ids)
        if known == ids and behind < len(self._logits):
            return self._logits[-1 - behind]
        common = min(_common(known, ids), len(ids) - 1)  # the last one is always read: its logits are wanted
        self._ids = [*ids, *ahead]
        self._logits = self._steps.run(self._ids[common:], common, 1 + len(ahead))
        self.tokens_read += len(self._ids) - common
        return self._logits[0]

    def prefers(self, ids: Sequence[int], first: int, second: int) -> bool:
        """Whether the first token is more probable behind `ids` than the second, which is read ahead."""
        logits = self.read(ids, [second])
        return bool(logits[first] >= logits[second])

    def say(self, ids: Sequence[int], may: May | None = None, fits: May | None = None) -> Said:
        """What the student says behind `ids`, greedily, up to its end mark; only what it may say (`greedy`).

        What followed the last time is read ahead: a pass over a few tokens takes hardly longer than over one, and much
        that is said was said before (2304.04487).
        """
        told = list(ids)
        return greedy(
            lambda said: self._behind(told, said, followed),
            self._student,
            may,
            fits,
            lambda said: self._behind(told, said),
        )

    def choose(self, ids: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """Which answer is the most probable behind `ids`.

        Best first by their beginnings: an answer only becomes less probable with every token, so that what is popped
        whole before everything else is the best, and few of thousands of answers are ever read.

        Args:
            ids: What was told.
            answers: Tokens of each answer, its end mark included; at least one.
        """
        told, waiting = list(ids), [(0.0, 0, list(range(len(answers))))]
        while True:
            cost, length, alike = heapq.heappop(waiting)
            longer: dict[int, list[int]] = {}
            for number in alike:
                if len(answers[number]) == length:
                    return number
                longer.setdefault(answers[number][length], []).append(number)
            after = self._behind(told, answers[alike[0]][:length]).log_softmax(-1)
            for token, numbers in longer.items():
                heapq.heappush(waiting, (cost - float(after[token]), length + 1, numbers))

    def _behind(
        self, told: list[int], said: Sequence[int], ahead: Callable[[list[int]], Sequence[int]] = lambda known: ()
    ) -> torch.Tensor:
        """The logits behind what was told and said; `ahead` names what is read ahead where they are not known yet."""
        if told != self._told:
            self._told, self._weighed = told, {}
        beginning = tuple(said)
        if beginning not in self._weighed:
            known = [*told, *said]
            self._weighed[beginning] = self.read(known, ahead(known))
        return self._weighed[beginning]


def followed(ids: list[int]) -> list[int]:
    """The tokens that followed the last time that the last three were there, or two, or the last one; few, or none."""
    back = ids[::-1]
    place, found, longest = 0, 0, 0
    for _ in range(back.count(back[0]) - 1):
        place = back.index(back[0], place + 1)
        alike = next((length for length in range(_ALIKE, 1, -1) if back[place : place + length] == back[:length]), 1)
        if alike > longest:
            found, longest = place, alike
        if longest == _ALIKE:
            break
    return back[max(0, found - _AHEAD) : found][::-1]


def _common(ours: list[int], theirs: list[int]) -> int:
    """With how many of the same tokens two sequences begin."""
    if theirs[: len(ours)] == ours:
        return len(ours)
    return next(place for place, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other)
