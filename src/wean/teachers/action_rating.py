"""A language model as judge: it rates what the student could begin, and the rating shifts the student's reward.

LMGT (2409.04744) asks about every pair of state and action: +1 for a good one, -1 for a bad one, 0 otherwise. In a task
with skills one question a situation does: it rates every skill that could begin there, and a primitive action takes the
best rating of the skills that it begins.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.llm.answers import Message
from wean.llm.model import LanguageModel
from wean.tasks.situation import Situation
from wean.tasks.vector import Steps, Tasks
from wean.teachers.plans import objects_in

# The wording under which wean's recorded answers were given: changing a letter of it orphans them.
_RATE = (
    "You judge what it does. You are also told which skills it could begin now. Rate each of them: 1 if it brings the "
    "task closer, -1 if it leads away from it or is of no use now, 0 if it makes no difference or you cannot tell. "
    "Rate each as if it could be done at once. Think in one or two sentences, then finish with one JSON object on a "
    'line of its own: {"ratings": {"...": 0, "...": 0}}, with every skill that you were told, named exactly as you '
    "were told."
)


class Verdict(NamedTuple):
    """What a judge says of one situation.

    Attributes:
        ratings: -1, 0 or 1 for the choices that it rated; empty where nothing could be read.
        unreadable: Ratings that were no numbers, e.g. NaN; they count as not given.
        answer: The raw answer, for people to read.
    """

    ratings: Mapping[str, int]
    unreadable: int = 0
    answer: str = ""


def question(situation: Situation) -> list[Message]:
    """Writes the question about a situation: goal and instruction as system message, the case and the choices."""
    told = "\n".join(f"- {choice}" for choice in situation.choices)
    return [
        {"role": "system", "content": f"{situation.goal} {_RATE}"},
        {"role": "user", "content": f"{situation.text}\n\nIt could begin:\n{told}"},
    ]


def rate(model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None) -> list[Verdict]:
    """Asks once a situation.

    Args:
        model: The language model.
        situations: What to ask about.
        temperature: Sampling temperature; None leaves it to the model.

    Returns:
        One verdict a situation.
    """
    answers = model.generate([question(situation) for situation in situations], temperature=temperature)
    return [
        parse_ratings(row[0].text or "", situation.choices) for situation, row in zip(situations, answers, strict=True)
    ]


def parse_ratings(text: str, choices: Sequence[str]) -> Verdict:
    """Reads the last JSON object in an answer that rates at least one of the choices.

    Args:
        text: The whole answer.
        choices: What could be rated; other names are passed over.

    Returns:
        The verdict; numbers beyond 1 count as 1, those beyond -1 as -1, fractions by the nearest whole number.
    """
    names = {choice.lower(): choice for choice in choices}
    verdict = Verdict({}, answer=text)
    for value in objects_in(text):
        rated = value.get("ratings", value) if isinstance(value, dict) else None
        if not isinstance(rated, dict):
            continue
        found: dict[str, int] = {}
        unreadable = 0
        for name, said in rated.items():
            choice = names.get(name.strip().lower())
            rating = _number(said)
            if choice is not None and rating is not None:
                found[choice] = rating
            unreadable += choice is not None and rating is None
        if found or unreadable:
            verdict = Verdict(found, unreadable, text)
    return verdict


def _number(value: Any) -> int | None:
    """Reads 1, -1.0 and "+1"; None where no number stands there."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return round(max(-1.0, min(1.0, number))) if math.isfinite(number) else None


class ActionRating:
    """A reward term (see `wean.algorithms.rewards`): the rating of the action that each member is about to take.

    Each distinct situation is asked about once; every later meeting is answered from memory. Where the judge gave no
    rating the shift is 0, which is said once and counted.

    Args:
        ask: Maps new situations to verdicts, e.g. `partial(rate, model)`.
    """

    name = "judge"

    def __init__(self, ask: Callable[[Sequence[Situation]], list[Verdict]]) -> None:
        self._ask = ask
        self._verdicts: dict[Hashable, Verdict] = {}
        self._situations: dict[Hashable, Situation] = {}
        self._met: Counter[Hashable] = Counter()
        self._before: dict[str, tuple[Verdict, int]] = {}  # of a resumed run, by text
        self.unrated = 0  # moments in which nothing was rated
        self._complained = False

    def begin(self, tasks: Tasks, which: Sequence[int]) -> None:
        """Nothing is kept from one episode to the next."""

    def before(self, tasks: Tasks, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rating (N,) of each member's action where it stands: -1, 0 or 1."""
        members = list(range(tasks.num))
        situations = tasks.situations(members)
        verdicts = self._judge(situations)
        plans = [[(choice,) for choice in verdict.ratings] for verdict in verdicts]
        firsts = tasks.first_actions(members, plans)
        shifts = np.zeros(tasks.num)
        for member, (verdict, first) in enumerate(zip(verdicts, firsts, strict=True)):
            rated = zip(verdict.ratings.values(), first, strict=True)
            shifts[member] = max((rating for rating, action in rated if action == actions[member]), default=0)
        return shifts

    def after(self, tasks: Tasks, stepped: Steps) -> NDArray[np.float64]:
        """Nothing: an action is judged when it is chosen."""
        return np.zeros(tasks.num)

    def _judge(self, situations: Sequence[Situation]) -> list[Verdict]:
        new = {s.key: s for s in situations if s.key not in self._verdicts}
        if new:
            self._situations |= new
            self._verdicts |= {key: self._before[s.text][0] for key, s in new.items() if s.text in self._before}
            unasked = {key: s for key, s in new.items() if key not in self._verdicts}
            if unasked:
                self._verdicts |= zip(unasked, self._ask(list(unasked.values())), strict=True)
                self._complain([self._verdicts[key] for key in unasked])
        verdicts = []
        for situation in situations:
            self._met[situation.key] += 1
            verdicts.append(self._verdicts[situation.key])
            self.unrated += not verdicts[-1].ratings
        return verdicts

    def _complain(self, verdicts: Sequence[Verdict]) -> None:
        """Says once that something was not rated."""
        if not self._complained and any(verdict.unreadable or not verdict.ratings for verdict in verdicts):
            self._complained = True
            warnings.warn("the judge gave no readable rating; the reward is not shifted there", stacklevel=2)

    def report(self) -> dict[str, Any]:
        """What a run's summary says of the judge."""
        rows = self.table()
        return {
            "name": self.name,
            "situations": len(rows),
            "unrated_situations": sum(not row["ratings"] for row in rows),
            "unreadable_ratings": sum(row["unreadable"] for row in rows),
            "unrated_moments": self.unrated,
        }

    def table(self) -> list[dict[str, Any]]:
        """Every situation met, most often first, with its ratings: for people to read."""
        met = Counter({text: count for text, (_, count) in self._before.items()})
        verdicts = {text: verdict for text, (verdict, _) in self._before.items()}
        for key, situation in self._situations.items():
            met[situation.text] += self._met[key]
            verdicts[situation.text] = self._verdicts[key]
        rows = [
            {
                "text": text,
                "ratings": dict(verdict.ratings),
                "unreadable": verdict.unreadable,
                "met": met[text],
                "answer": verdict.answer,
            }
            for text, verdict in verdicts.items()
        ]
        return sorted(rows, key=lambda row: (-met[str(row["text"])], row["text"]))

    def state(self) -> dict[str, Any]:
        """What a resumed run needs: the table with every answer."""
        return {"rows": self.table(), "unrated": self.unrated, "complained": self._complained}

    def restore(self, tasks: Tasks, state: dict[str, Any]) -> None:
        """Continues from `state`, without asking again."""
        self.unrated, self._complained = state["unrated"], state["complained"]
        for row in state["rows"]:
            self._before[row["text"]] = Verdict(row["ratings"], row["unreadable"], row["answer"]), row["met"]
