"""What follows from an observation, told to a small student: it learns what follows, and hardly how to find out.

- Behind an observation with a number the sentence is told again that the task has for it (`<so>` "if its melting point
  is below 200.0 degrees, focus on the blue box"). A number that the action names itself is none.
- Where the task names none, the things are told of which the same was last found, the greater first, each behind the
  superlative that the task asks for (`<more>` steepest plane b `<less>` steepest plane c after "look at plane c" and
  "look at plane b"): which is meant depends on both, and that is learnt where they stand side by side.
- So it is with a state. After waiting, what the task says of "if" is told again, each sentence behind the state of the
  thing that was last made use of: `<so>` "off if it is electrically conductive, ... off if it is ...".

A sentence that was told again is not told a second time before another one was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from wean.students.text.normalize import plain

LESS, MORE, SO = "<less>", "<more>", "<so>"

_SENTENCE = re.compile(r"(?<=[^\W\d]|\))\.\s+")
_GREATER, _LESS = ("above", "over", "more", "greater", "higher"), ("below", "under", "less", "lower", "smaller")
_COMPARED = re.compile(rf"\b(?:{'|'.join(_GREATER + _LESS)})\b")
_SUPERLATIVE = re.compile(r"\b(?:\w{3,}est|most|least)\b")
_AMOUNT = re.compile(r"(?<![\w-])-?\d+(?:\.\d+)?")
_NUMBER = re.compile(r"\d+")
_STATE = re.compile(r"([\w ]+) , which is (\w+)(?! ?\w)")


class Consequences:
    """Of one episode.

    Args:
        description: The task in words.
    """

    def __init__(self, description: str) -> None:
        sentences = _SENTENCE.split(description)
        self._cases = [
            (float(amount[0]), found[0] in _GREATER, plain(sentence))
            for sentence in sentences
            if len(amount := _AMOUNT.findall(sentence)) == 1 and (found := _COMPARED.findall(sentence.lower()))
        ]
        conditions = [plain(sentence) for sentence in sentences if not _AMOUNT.search(sentence)]
        self._conditions = [sentence for sentence in conditions if sentence.startswith("if ")]
        self._asked = "".join(_SUPERLATIVE.findall(description.lower())[:1])
        self._told = ""
        self._amounts: dict[str, dict[str, float]] = {}

    def of(self, actions: Sequence[str], observation: str, look: Sequence[str]) -> str:
        """What is told behind an observation; empty where nothing follows.

        Args:
            actions: What was done lately in plain words, the last of it led to the observation.
            observation: What came of it.
            look: Lines of what can be seen now, in plain words.
        """
        words = actions[-1].split()
        if len(words) == 1 and not words[0].isdigit():  # waiting measures nothing; a digit answers a question
            return self._again(self._conditional(actions, look))
        amounts = _AMOUNT.findall(observation)
        if len(amounts) != 1 or amounts[0] in _NUMBER.findall(actions[-1]):
            return ""
        amount = float(amounts[0])
        if not self._cases:
            return self._compared(" ".join(words[:2]), " ".join(words[2:]), amount)
        holds = (case for limit, greater, case in self._cases if amount != limit and (amount > limit) == greater)
        return self._again(next(holds, ""))

    def _again(self, sentence: str) -> str:
        before, self._told = self._told, sentence or self._told
        return SO + sentence if self._told != before else ""

    def _conditional(self, actions: Sequence[str], look: Sequence[str]) -> str:
        """What the task makes depend on a state, which is that of the thing that was last made use of."""
        used = " . ".join(["", *actions, ""])
        states = [(_last(thing, used), state) for line in look for thing, state in _STATE.findall(line)]
        (end, _), state = max(states, default=((0, 0), ""))
        return " ".join(f"{state} {sentence}" for sentence in self._conditions) if end else ""

    def _compared(self, measure: str, thing: str, amount: float) -> str:
        """The thing of which an amount was found, and the one of which the same was found before."""
        of_things = self._amounts.setdefault(measure, {})
        of_things.pop(thing, None)
        other, last = next(reversed(of_things.items()), ("", amount))
        of_things[thing] = amount
        if amount == last:
            return ""
        more, less = (f"{self._asked} {one}".strip() for one in ((thing, other) if amount > last else (other, thing)))
        return MORE + more + LESS + less


def _last(thing: str, used: str) -> tuple[int, int]:
    """Where a thing was last made use of, and by how much of its name: a red light bulb is a bulb as well."""
    words = thing.split()
    names = [" ".join(["", *words[first:], ""]) for first in range(len(words))]
    return max((used.rfind(name) + len(name), len(name)) if name in used else (0, 0) for name in names)
