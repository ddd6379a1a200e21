"""The teacher: modes, no advice, and one question per distinct situation."""

from collections.abc import Sequence

import numpy as np
import pytest

from small_tasks import Corridor
from wean.llm import scripted_model
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import (
    Advice,
    AdviceConfig,
    Mode,
    plan_question,
    sampled_plans,
    scored_plans,
    verbalized_plans,
)
from wean.teachers.teacher import Teacher

MIXED = Advice(((("right",), 0.7), (("left",), 0.3)))


def _tasks(count: int = 3) -> SerialTasks:
    tasks = SerialTasks([Corridor] * count)
    tasks.reset(range(count), range(count))
    return tasks


def _guide(advice: Advice, mode: Mode = "soft") -> tuple[np.ndarray, np.ndarray]:
    return Teacher(lambda situations: [advice] * len(situations), AdviceConfig(mode=mode)).guide(_tasks(), [0, 1, 2], 2)


def test_soft_keeps_all_plans() -> None:
    probabilities, advised = _guide(MIXED)
    assert probabilities == pytest.approx(np.tile([0.3, 0.7], (3, 1)))
    assert advised.all()


def test_argmax_keeps_the_most_probable_action() -> None:
    assert _guide(MIXED, "argmax")[0].tolist() == [[0.0, 1.0]] * 3


def test_sampled_draws_each_plan_as_often_as_it_is_probable() -> None:
    teacher = Teacher(lambda situations: [MIXED] * len(situations), AdviceConfig(mode="sampled"), seed=1)
    tasks = _tasks()
    drawn = np.concatenate([teacher.guide(tasks, [0, 1, 2], 2).probabilities for _ in range(500)])
    assert set(map(tuple, drawn.tolist())) == {(0.0, 1.0), (1.0, 0.0)}
    assert drawn[:, 1].mean() == pytest.approx(0.7, abs=0.04)


def test_a_plan_that_can_do_nothing_is_left_out() -> None:
    advice = Advice(((("fly",), 0.8), (("right",), 0.1), (("left",), 0.1)))
    assert _guide(advice)[0] == pytest.approx(np.full((3, 2), 0.5))


@pytest.mark.parametrize("advice", [Advice(()), Advice(((("fly",), 1.0),))])
@pytest.mark.parametrize("mode", ["soft", "sampled", "argmax"])
def test_no_advice_is_no_action_and_counted(advice: Advice, mode: Mode) -> None:
    teacher = Teacher(lambda situations: [advice] * len(situations), AdviceConfig(mode=mode))
    probabilities, advised = teacher.guide(_tasks(), [0, 1, 2], 2)
    assert not advised.any()
    assert probabilities.sum() == 0
    assert teacher.unadvised == 3


def test_each_distinct_situation_is_asked_once() -> None:
    asked: list[str] = []

    def ask(situations: Sequence[Situation]) -> list[Advice]:
        asked.extend(s.text for s in situations)
        return [MIXED] * len(situations)

    teacher, tasks = Teacher(ask), _tasks()
    teacher.guide(tasks, [0, 1, 2], 2)
    tasks.step([0], [1])
    teacher.guide(tasks, [0, 1, 2], 2)
    assert asked == ["You are in cell 0.", "You are in cell 1."]
    assert [(row["text"], row["met"]) for row in teacher.table()] == [
        ("You are in cell 0.", 5),
        ("You are in cell 1.", 1),
    ]


def test_a_restored_teacher_asks_nothing_again_and_draws_on() -> None:
    first = Teacher(lambda situations: [MIXED] * len(situations), AdviceConfig(mode="sampled"), seed=3)
    tasks = _tasks()
    first.guide(tasks, [0, 1, 2], 2)

    def refuse(situations: Sequence[Situation]) -> list[Advice]:
        raise AssertionError("asked again")

    second = Teacher(refuse, AdviceConfig(mode="sampled"), seed=99)
    second.restore(first.state())
    for _ in range(20):
        one, other = first.guide(tasks, [0, 1, 2], 2), second.guide(tasks, [0, 1, 2], 2)
        assert (one.probabilities == other.probabilities).all()
    assert first.table() == second.table()


KEY = Situation("Open the door.", "You see a key.", ("explore", "go to key"))


def test_verbalized_asks_once_with_goal_and_text() -> None:
    seen = []

    def answer(asked: list[dict[str, str]]) -> str:
        seen.append(asked)
        plans = '[{"skills": ["go to key"], "probability": 0.75}, {"skills": ["explore"], "probability": 0.25}]'
        return f'Sure.\n{{"plans": {plans}}}'

    advice = verbalized_plans(scripted_model(answer), [KEY])[0]  # type: ignore[arg-type]
    assert dict(advice.plans) == {("go to key",): 0.75, ("explore",): 0.25}
    assert seen == [plan_question(KEY)]
    assert seen[0][0]["content"].startswith("Open the door. Decide what it should do from here.")
    assert seen[0][1] == {"role": "user", "content": "You see a key."}


def test_samples_counts_plans_and_ignores_what_cannot_be_read() -> None:
    texts = ["go to key", "explore", "explore", "???", "explore", "go to key"]

    def answer(asked: list[dict[str, str]], sample: int) -> str:
        return f'{{"plans": [{{"skills": ["{texts[sample]}"]}}]}}' if texts[sample] != "???" else "no idea"

    advice = sampled_plans(scripted_model(answer), [KEY], n=6)[0]  # type: ignore[arg-type]
    assert dict(advice.plans) == pytest.approx({("go to key",): 2 / 5, ("explore",): 3 / 5})
    assert len(advice.answers) == 6


def test_samples_stops_early_when_settled() -> None:
    model = scripted_model(lambda asked: '{"plans": [{"skills": ["explore"]}]}')
    assert dict(sampled_plans(model, [KEY], n=10, settled=4)[0].plans) == {("explore",): 1.0}
    assert model.counts.asked == 4


def test_logprobs_is_the_softmax_over_the_choices() -> None:
    def score(asked: Sequence[object], candidates: Sequence[str]) -> list[float]:
        return [float(np.log({"explore": 0.2, "go to key": 0.6}[name])) for name in candidates]

    model = scripted_model(lambda asked: "", score=score)  # type: ignore[arg-type]
    assert dict(scored_plans(model, [KEY])[0].plans) == pytest.approx({("explore",): 0.25, ("go to key",): 0.75})
    flat = dict(scored_plans(model, [KEY], temperature=1e9)[0].plans)
    assert flat == pytest.approx({("explore",): 0.5, ("go to key",): 0.5})


def test_partial_makes_a_teacher() -> None:
    model = scripted_model(lambda asked: '{"plans": [{"skills": ["right"]}]}')
    teacher = Teacher(model)
    assert teacher.guide(_tasks(), [0, 1, 2], 2).probabilities[:, 1].tolist() == [1.0] * 3
