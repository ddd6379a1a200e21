"""Conditions of the task that an observation fulfils: a hand-made addition to the prompt of a small student."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .normalize import normalize

_LESS, _MORE, _SO = CONDITION_MARKS = ("<less>", "<more>", "<so>")

_SENTENCE_END = re.compile(r"(?<=[^\W\d]|\))\.\s+")
_ABOVE, _BELOW = ("above", "over", "more", "greater", "higher"), ("below", "under", "less", "lower", "smaller")
_COMPARISON = re.compile(rf"\b(?:{'|'.join(_ABOVE + _BELOW)})\b")
_SUPERLATIVE = re.compile(r"\b(?:\w{3,}est|most|least)\b")
_AMOUNT = re.compile(r"(?<![\w-])-?\d+(?:\.\d+)?")
_NUMBER = re.compile(r"\d+")
_STATE = re.compile(r"([\w ]+) , which is (\w+)(?! ?\w)")


class Conditions:
    """Conditions of the task that an observation fulfils, added to the prompt for a small student.

    - After an observation with a number comes the sentence of the task that holds for it (`<so>` "if its melting point
      is below 200.0 degrees, focus on the blue box"). A number that the action itself names does not count.
    - Where the task names no number, the two things that were last measured are compared, the greater one first, each
      with the superlative that the task asks for (`<more>` steepest plane b `<less>` steepest plane c, after "look at
      plane c" and "look at plane b"): the answer depends on both, and is learnt where they stand side by side.
    - After waiting come the task's sentences with "if", each behind the state of the thing that was used last: `<so>`
      "off if it is electrically conductive, ... off if it is ...".

    A sentence is not repeated before another one was added.

    Args:
        description: The task in words.
    """

    def __init__(self, description: str) -> None:
        sentences = _SENTENCE_END.split(description)
        self._thresholds = [
            (float(amount[0]), found[0] in _ABOVE, normalize(sentence))
            for sentence in sentences
            if len(amount := _AMOUNT.findall(sentence)) == 1 and (found := _COMPARISON.findall(sentence.lower()))
        ]
        others = [normalize(sentence) for sentence in sentences if not _AMOUNT.search(sentence)]
        self._of_states = [sentence for sentence in others if sentence.startswith("if ")]
        self._superlative = "".join(_SUPERLATIVE.findall(description.lower())[:1])
        self._last = ""
        self._measured: dict[str, dict[str, float]] = {}

    def of(self, actions: Sequence[str], observation: str, look: Sequence[str]) -> str:
        """The text added to an observation; empty where nothing follows from it.

        Args:
            actions: The last actions, normalized; the last one led to the observation.
            observation: The observation.
            look: Normalized lines of what can be seen now.
        """
        words = actions[-1].split()
        if len(words) == 1 and not words[0].isdigit():  # waiting measures nothing; a digit answers a question
            return self._unless_last(self._fulfilled_by_state(actions, look))
        amounts = _AMOUNT.findall(observation)
        if len(amounts) != 1 or amounts[0] in _NUMBER.findall(actions[-1]):
            return ""
        amount = float(amounts[0])
        if not self._thresholds:
            return self._comparison(" ".join(words[:2]), " ".join(words[2:]), amount)
        holds = (text for limit, above, text in self._thresholds if amount != limit and (amount > limit) == above)
        return self._unless_last(next(holds, ""))

    def _unless_last(self, sentence: str) -> str:
        before, self._last = self._last, sentence or self._last
        return _SO + sentence if self._last != before else ""

    def _fulfilled_by_state(self, actions: Sequence[str], look: Sequence[str]) -> str:
        """The task's sentences with "if", each behind the state of the thing that was used last."""
        used = " . ".join(["", *actions, ""])
        states = [(_last_use(thing, used), state) for line in look for thing, state in _STATE.findall(line)]
        (end, _), state = max(states, default=((0, 0), ""))
        return " ".join(f"{state} {sentence}" for sentence in self._of_states) if end else ""

    def _comparison(self, measure: str, thing: str, amount: float) -> str:
        """The thing just measured and the one measured in the same way before, the greater one first."""
        of_things = self._measured.setdefault(measure, {})
        of_things.pop(thing, None)
        other, last = next(reversed(of_things.items()), ("", amount))
        of_things[thing] = amount
        if amount == last:
            return ""
        greater, smaller = (thing, other) if amount > last else (other, thing)
        more, less = (f"{self._superlative} {one}".strip() for one in (greater, smaller))
        return _MORE + more + _LESS + less


def _last_use(thing: str, used: str) -> tuple[int, int]:
    """The position of the last use of a thing, and the length of its name there: a red light bulb is also a bulb."""
    words = thing.split()
    names = [" ".join(["", *words[first:], ""]) for first in range(len(words))]
    return max((used.rfind(name) + len(name), len(name)) if name in used else (0, 0) for name in names)
