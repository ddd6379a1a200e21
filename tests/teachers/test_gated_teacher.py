"""When a teacher is asked: the rules by hand, the cap, the counts, and a resumed run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from small_tasks import Corridor
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import Advice, AdviceConfig
from wean.teachers.gated_teacher import GatedTeacher, QueryContext, wanted
from wean.teachers.teacher import Teacher

RIGHT = Advice(((("right",), 1.0),))
STUDENT = np.array([[0.5, 0.5], [1.0, 0.0], [0.9, 0.1]])
ADVICE = np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]], np.float32)


def moments(step: int = 0) -> QueryContext:
    return QueryContext(step, np.array([True, False, False]), STUDENT, ADVICE)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (AdviceConfig(when="always"), [True, True, True]),
        (AdviceConfig(when="new"), [True, False, False]),
        # Normalised entropies: 1, 0 and (0.9 ln(10/9) + 0.1 ln 10) / ln 2 = 0.469.
        (AdviceConfig(when="uncertain", min_entropy=0.4), [True, False, True]),
        (AdviceConfig(when="uncertain", min_entropy=0.5), [True, False, False]),
        (AdviceConfig(when="uncertain", min_entropy=0.0), [True, True, True]),
        # Total variation: 0.5, nothing known, 0.1.
        (AdviceConfig(when="disagree", min_disagreement=0.5), [True, True, False]),
        (AdviceConfig(when="disagree", min_disagreement=0.6), [False, True, False]),
        (AdviceConfig(when="disagree", min_disagreement=0.05), [True, True, True]),
    ],
)
def test_the_rules_by_hand(rule: AdviceConfig, expected: list[bool]) -> None:
    assert wanted(rule, moments()).tolist() == expected


def test_every_nth_step_begins_with_the_first() -> None:
    asked = [bool(wanted(AdviceConfig(when="every", every=3), moments(step)).all()) for step in range(7)]
    assert asked == [True, False, False, True, False, False, True]


# --- at work ---------------------------------------------------------------------------------------------------------


class Asked:
    """Three members of a corridor, and what the teacher behind a rule was really asked."""

    def __init__(self, rule: AdviceConfig, advice: Advice = RIGHT) -> None:
        self.texts: list[str] = []
        self._advice = advice
        self.tasks = SerialTasks([Corridor] * 3)
        self.tasks.reset([0, 1, 2], [0, 1, 2])
        self.sparing = GatedTeacher(Teacher(self._ask, rule))

    def _ask(self, situations: Sequence[Situation]) -> list[Advice]:
        self.texts += [situation.text for situation in situations]
        return [self._advice] * len(situations)

    def step(self, student: Any = None, go: Sequence[int] = (0,)) -> list[bool]:
        """Guides all members, then moves the named ones to the right; returns who was advised."""
        guidance = self.sparing.guide(self.tasks, [0, 1, 2], 2, student)
        assert (guidance.probabilities.sum(1) == guidance.advised).all()
        if go:
            self.tasks.step(go, [1] * len(go))
        return [bool(advised) for advised in guidance.advised]


def test_with_memory_each_distinct_situation_is_one_question() -> None:
    asked = Asked(AdviceConfig())
    assert [asked.step(), asked.step(), asked.step()] == [[True] * 3] * 3
    assert asked.texts == ["You are in cell 0.", "You are in cell 1.", "You are in cell 2."]
    assert asked.sparing.counts == {"moments": 9, "advised": 9, "questions": 3, "not_asked": 0, "over_limit": 0}
    assert asked.sparing.notes == []


def test_without_memory_each_moment_is_a_question_but_nobody_pays_twice() -> None:
    asked = Asked(AdviceConfig(memory=False))
    asked.step()
    asked.step()
    assert asked.sparing.counts["questions"] == 6
    assert asked.texts == ["You are in cell 0.", "You are in cell 1."]


def test_new_without_memory_advises_only_at_the_first_meeting() -> None:
    asked = Asked(AdviceConfig(when="new", memory=False))
    assert asked.step() == [True, False, False]
    assert asked.step() == [True, False, False]  # member 0 is in cell 1 now
    assert asked.step(go=()) == [True, False, False]
    assert asked.step() == [False, False, False]
    assert asked.sparing.counts["questions"] == 3
    assert asked.sparing.counts["not_asked"] == 9


@pytest.mark.parametrize("memory", [False, True])
def test_an_uncertain_student_asks_for_itself_and_memory_is_free(memory: bool) -> None:
    asked = Asked(AdviceConfig(when="uncertain", min_entropy=0.9, memory=memory))
    sure, unsure = [1.0, 0.0], [0.5, 0.5]
    assert asked.step(np.array([sure, sure, sure])) == [False, False, False]
    assert asked.step(np.array([sure, sure, unsure]), go=()) == [False, memory, True]  # member 1 stands where 2 does
    assert asked.step(np.array([sure, sure, sure])) == [False, memory, memory]
    assert asked.sparing.counts["questions"] == 1


def test_a_student_that_agrees_with_the_last_advice_does_not_ask_again() -> None:
    asked = Asked(AdviceConfig(when="disagree", min_disagreement=0.5, memory=False))
    right, left = [0.0, 1.0], [1.0, 0.0]
    assert asked.step(np.array([right, right, right]), go=()) == [True, True, True]  # nothing is known yet
    assert asked.step(np.array([right, left, right]), go=()) == [False, True, False]
    assert asked.sparing.counts["questions"] == 4


@pytest.mark.parametrize("memory", [False, True])
def test_the_cap_ends_new_advice_and_says_so_once(memory: bool) -> None:
    asked = Asked(AdviceConfig(max_questions=2, memory=memory))
    first = asked.step()
    assert first == ([True] * 3 if memory else [True, True, False])
    later = [asked.step() for _ in range(3)]
    # With memory: cell 0 and 1 stay advised, cell 2 and 3 are never asked about.
    assert later == ([[True] * 3, [False, True, True], [False, True, True]] if memory else [[False] * 3] * 3)
    assert asked.sparing.counts["questions"] == 2
    assert asked.sparing.counts["over_limit"] == asked.sparing.counts["not_asked"] == (2 if memory else 10)
    assert asked.sparing.notes == [
        "all 2 questions of advice.max_questions are asked: from here on there is no new advice"
    ]


def test_a_budget_of_nothing_asks_nothing_and_says_so_once() -> None:
    asked = Asked(AdviceConfig(max_questions=0))
    assert [asked.step(), asked.step()] == [[False] * 3] * 2
    assert asked.texts == []
    assert asked.sparing.counts == {"moments": 6, "advised": 0, "questions": 0, "not_asked": 6, "over_limit": 6}
    asked.sparing.note_silence()
    assert asked.sparing.notes == [
        "advice.max_questions is 0: nobody is asked, the student learns without advice",
    ]


@pytest.mark.parametrize("nonsense", [Advice((), ("What a lovely day!",)), Advice(((("fly to the moon",), 1.0),))])
def test_nonsense_is_no_advice_and_said_once(nonsense: Advice) -> None:
    asked = Asked(AdviceConfig(), nonsense)
    assert asked.step() == [False] * 3
    asked.sparing.note_silence()
    asked.step()
    asked.sparing.note_silence()
    assert asked.sparing.notes == [
        "nothing that the teacher has said could be read and carried out: the student learns without advice"
    ]
    assert asked.sparing.teacher.unadvised == 6
    assert asked.sparing.counts["advised"] == 0


@pytest.mark.parametrize(
    "rule",
    [
        AdviceConfig(),
        AdviceConfig(when="new", memory=False),
        AdviceConfig(when="every", every=3, memory=False),
        AdviceConfig(when="disagree", memory=False, max_questions=9),
        AdviceConfig(max_questions=2),
    ],
)
def test_a_resumed_run_asks_as_if_it_had_not_been_stopped(rule: AdviceConfig) -> None:
    student = np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])
    whole, begun, resumed = Asked(rule), Asked(rule), Asked(rule)
    for asked in (whole, begun):
        for _ in range(2):
            asked.step(student)
    resumed.sparing.restore(begun.sparing.state())
    resumed.tasks.step([0], [1])
    resumed.tasks.step([0], [1])
    for _ in range(3):
        assert resumed.step(student, go=(1,)) == whole.step(student, go=(1,))
    assert resumed.sparing.counts == whole.sparing.counts
    assert resumed.sparing.notes == whole.sparing.notes
    assert resumed.sparing.state() == whole.sparing.state()
