"""When a teacher is asked while a student learns: a rule for every step, a cap for the run, and a count of questions.

Questions are counted as if a live model without a ledger were asked: with `memory` one for each distinct situation of
the run, without it one for each step at which advice is wanted.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.tasks.situation import Situation
from wean.tasks.vector import Tasks
from wean.teachers.elicitation import Advice, AdviceConfig
from wean.teachers.teacher import Guidance, Teacher


class QueryContext(NamedTuple):
    """The inputs of the rule `advice.when`, for N members at one step.

    `new` (N,) is true where the situation was not met before in this run, at its first member; `student` (N, A) are
    action probabilities, `advice` (N, A) the last known advice for the situation, zeros where none is known.
    """

    step: int
    new: NDArray[np.bool_]
    student: NDArray[np.float64]
    advice: NDArray[np.float32]


def wanted(rule: AdviceConfig, context: QueryContext) -> NDArray[np.bool_]:
    """(N,) bool, where the rule `advice.when` asks, regardless of memory and cap.

    `uncertain` takes the entropy of the student over the logarithm of the number of actions, `disagree` the total
    variation distance between its action probabilities and the last known advice; where none is known it asks.
    """
    members, actions = context.student.shape
    if rule.when == "new":
        return context.new
    if rule.when == "every":
        return np.full(members, context.step % rule.every == 0)
    if rule.when == "uncertain":
        logs = np.log(np.maximum(context.student, 1e-12))
        entropy = -(context.student * logs).sum(1) / np.log(actions)
        return np.asarray(entropy >= rule.min_entropy)
    if rule.when == "disagree":
        distance = 0.5 * np.abs(context.student - context.advice).sum(1)
        return np.asarray((distance >= rule.min_disagreement) | (context.advice.sum(1) == 0))
    return np.ones(members, bool)


class GatedTeacher:
    """A teacher that is asked by a rule, and guides a learning student.

    Attributes:
        config: The teacher's settings; `when` and the fields after it are the rule.
        counts: Steps of members at which guidance was wanted (`moments`), those of them that were `advised`, those at
            which the teacher was not asked (`not_asked`, of which `over_limit` only because of the cap), and questions
            (see the module).
        notes: Messages for the user, each one once.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.teacher, self.config = teacher, teacher.config
        self.counts = dict.fromkeys(("moments", "advised", "questions", "not_asked", "over_limit"), 0)
        self.notes: list[str] = []
        self._step = 0
        self._texts: dict[Hashable, str] = {}  # by the situations' keys, so that words are built once
        self._met: set[str] = set()
        self._asked: set[str] = set()

    def guide(
        self, tasks: Tasks, which: Sequence[int], num_actions: int, student: NDArray[np.float64] | None = None
    ) -> Guidance:
        """Guides the members where the rule asks or an answer is remembered; see `Teacher.guide`.

        `student` are its action probabilities (N, A), for the rules that depend on them.
        """
        situations = tasks.situations(which)
        if student is None:
            student = np.full((len(which), num_actions), 1 / num_actions)
        new = np.array([self._meet(situation) for situation in situations])
        advice = np.zeros((len(which), num_actions), np.float32)
        if self.config.when == "disagree":
            known = [place for place, situation in enumerate(situations) if self._was_asked(situation)]
            advice[known] = self._guidance(tasks, which, situations, known, num_actions).probabilities
        wants = wanted(self.config, QueryContext(self._step, new, student, advice))
        asked = {place for place in np.flatnonzero(wants).tolist() if self._ask(situations[place])}
        remembered = {place for place, s in enumerate(situations) if self.config.memory and self._was_asked(s)}
        places = sorted(asked | remembered)
        found = self._guidance(tasks, which, situations, places, num_actions)
        guidance = Guidance(np.zeros((len(which), num_actions), np.float32), np.zeros(len(which), bool))
        guidance.probabilities[places], guidance.advised[places] = found
        self.teacher.unadvised += int((~found.advised).sum())
        self._step += 1
        self.counts["moments"] += len(which)
        self.counts["advised"] += int(found.advised.sum())
        self.counts["not_asked"] += len(which) - len(places)
        return guidance

    def advise(self, situations: Sequence[Situation]) -> list[Advice]:
        """The advice for each situation, independent of any student (for sub-goals and their rewards).

        Memory and cap decide, not the rule's `when`; advice has no plans where nothing is asked.
        """
        found, places = [Advice(())] * len(situations), []
        for place, situation in enumerate(situations):
            self._meet(situation)
            if (self.config.memory and self._was_asked(situation)) or self._ask(situation):
                places.append(place)
        for place, advice in zip(places, self.teacher.advise([situations[place] for place in places]), strict=True):
            found[place] = advice
        self.counts["moments"] += len(situations)
        self.counts["not_asked"] += len(situations) - len(places)
        self.counts["advised"] += sum(bool(advice.plans) for advice in found)
        return found

    def note_silence(self) -> None:
        """Adds a note, once, if no question so far has led to advice."""
        if self.counts["questions"] and not self.counts["advised"]:
            note = "nothing that the teacher has said could be read and carried out: the student learns without advice"
            if note not in self.notes:
                self.notes.append(note)

    def _guidance(
        self, tasks: Tasks, which: Sequence[int], situations: Sequence[Situation], places: Sequence[int], actions: int
    ) -> Guidance:
        """The teacher's guidance for the members at some places of `which`."""
        if not places:
            return Guidance(np.zeros((0, actions), np.float32), np.zeros(0, bool))
        advices = self.teacher.advise([situations[place] for place in places])
        return self.teacher.ground(tasks, [which[place] for place in places], advices, actions)

    def _meet(self, situation: Situation) -> bool:
        """Whether a situation is met for the first time in this run."""
        if situation.key in self._texts:
            return False
        text = self._texts[situation.key] = situation.text
        new = text not in self._met
        self._met.add(text)
        return new

    def _was_asked(self, situation: Situation) -> bool:
        """Whether a situation that was met has been asked about."""
        return self._texts[situation.key] in self._asked

    def _ask(self, situation: Situation) -> bool:
        """Whether a wanted question is asked: it is not remembered, and within the cap."""
        if self.config.memory and self._was_asked(situation):
            return False
        limit = self.config.max_questions
        if limit is not None and self.counts["questions"] >= limit:
            self.counts["over_limit"] += 1
            if self.counts["over_limit"] == 1:
                self.notes.append(
                    f"all {limit:,} questions of advice.max_questions are asked: from here on there is no new advice"
                    if limit
                    else "advice.max_questions is 0: nobody is asked, the student learns without advice"
                )
            return False
        self.counts["questions"] += 1
        self._asked.add(self._texts[situation.key])
        return True

    def state(self) -> dict[str, Any]:
        """What a resumed run needs: the teacher's state, the counts, and what was met and asked."""
        return {
            "teacher": self.teacher.state(),
            "counts": self.counts,
            "notes": self.notes,
            "step": self._step,
            "met": sorted(self._met),
            "asked": sorted(self._asked),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from `state`, without asking again."""
        self.teacher.restore(state["teacher"])
        self.counts, self.notes, self._step = dict(state["counts"]), list(state["notes"]), state["step"]
        self._met, self._asked = set(state["met"]), set(state["asked"])
