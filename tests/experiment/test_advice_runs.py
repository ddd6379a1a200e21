"""Training with a teacher that may not be asked much, or says nothing of use: it goes on, says so once, and counts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wean.errors import UsageError
from wean.experiment.runner import Runner
from wean.experiment.settings import resolve
from wean.llm import Ledger
from wean.tasks.registration import make_task

SMALL = (
    "total_timesteps=512",
    "num_envs=8",
    "num_steps=32",
    "num_minibatches=2",
    "student.hidden=16",
    "evaluation.curve_points=2",
    "evaluation.curve_episodes=1",
    "evaluation.episodes=1",
    "evaluation.recorded_episodes=0",
)


def learn(
    out: Path, *overrides: str, model: str | None = None, ledger: Ledger | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Trains in SimpleDoorKey; returns the summary and what was said."""
    said: list[str] = []
    config = resolve("llm4teach", "SimpleDoorKey", model, 1, [*SMALL, *overrides])
    make: Callable[[], Any] = partial(make_task, "SimpleDoorKey")
    return Runner(config, out, ledger=ledger, say=said.append, make=make).run(), said


def test_by_default_a_question_is_a_distinct_situation(tmp_path: Path) -> None:
    summary, said = learn(tmp_path / "run")
    advice = summary["advice"]
    assert advice["moments"] == 512
    assert 3 <= advice["questions"] <= 6
    assert advice["questions"] == summary["curve"][-1]["questions"]
    assert (advice["not_asked"], advice["over_limit"], advice["unparsed"]) == (0, 0, 0)
    assert advice["advised"] + summary["unadvised"] == 512
    assert said == advice["notes"] == []


def test_without_memory_every_moment_is_a_question_and_the_curve_counts_them(tmp_path: Path) -> None:
    summary, _ = learn(tmp_path / "run", "advice.memory=false")
    assert summary["advice"]["questions"] == 512
    assert [point["questions"] for point in summary["curve"]] == [0, 256, 512]
    assert summary["llm"]["asked"] == 0  # the answers are recorded: nobody was really asked
    assert summary["llm"]["distinct"] <= 6


def test_every_nth_step(tmp_path: Path) -> None:
    summary, _ = learn(tmp_path / "run", "advice.when=every", "advice.every=4", "advice.memory=false")
    assert summary["advice"]["questions"] == 128
    assert summary["advice"]["not_asked"] == 384


def test_a_student_with_an_open_mind_asks_until_it_is_sure(tmp_path: Path) -> None:
    always = ("advice.when=uncertain", "advice.memory=false", "advice.min_entropy=0")
    assert learn(tmp_path / "always", *always)[0]["advice"]["questions"] == 512
    sure = ("advice.when=uncertain", "advice.memory=false", "advice.min_entropy=0.999", "learning_rate=0.01")
    summary, _ = learn(tmp_path / "some", *sure)
    first, half, whole = (point["questions"] for point in summary["curve"])
    assert (first, half > 200) == (0, True)  # a new student knows nothing
    assert whole - half < half
    assert summary["advice"]["not_asked"] > 0


def test_at_the_cap_training_goes_on_and_says_so_once(tmp_path: Path) -> None:
    summary, said = learn(tmp_path / "run", "advice.max_questions=300", "advice.memory=false")
    assert summary["env_steps"] == 512
    assert summary["advice"]["questions"] == summary["curve"][-1]["questions"] == 300
    assert summary["advice"]["over_limit"] == summary["advice"]["not_asked"] == 212
    assert said == ["all 300 questions of advice.max_questions are asked: from here on there is no new advice"]
    assert summary["advice"]["notes"] == said
    page = (tmp_path / "run" / "report.html").read_text()
    assert "It was asked sparingly: 300 questions" in page


def test_a_budget_of_zero_learns_as_plain_ppo_does(tmp_path: Path) -> None:
    summary, said = learn(tmp_path / "run", "advice.max_questions=0")
    assert said == ["advice.max_questions is 0: nobody is asked, the student learns without advice"]
    assert summary["advice"]["questions"] == summary["advice"]["advised"] == 0
    assert summary["advice"]["moments"] == summary["advice"]["over_limit"] == 512
    plain, _ = learn(tmp_path / "plain", "teacher.start=0")
    for key in ("success", "return", "length"):
        assert summary["final"][key] == plain["final"][key]
    assert [point["return"] for point in summary["curve"]] == [point["return"] for point in plain["curve"]]


def test_sub_goals_keep_to_the_budget_too(tmp_path: Path) -> None:
    config = resolve("beacons", "SimpleDoorKey", None, 1, [*SMALL, "advice.max_questions=0"])
    said: list[str] = []
    summary = Runner(config, tmp_path / "run", say=said.append).run()
    assert said == ["advice.max_questions is 0: nobody is asked, the student learns without advice"]
    assert summary["advice"]["questions"] == summary["rewards"]["reached"] == 0
    assert summary["rewards"]["unplanned_moments"] == summary["advice"]["over_limit"] > 0


def dreamer(messages: list[dict[str, str]]) -> str:
    """A model whose plans name what is not there."""
    return '{"plans": [{"skills": ["go to dragon", "pick up sword"], "probability": 1.0}]}'


def test_a_teacher_whose_plans_lead_nowhere_is_as_none(tmp_path: Path) -> None:
    ledger = Ledger(":memory:")
    summary, said = learn(tmp_path / "run", model=f"scripted:{__name__}:dreamer", ledger=ledger)
    assert said == [
        "nothing that the teacher has said could be read and carried out: the student learns without advice"
    ]
    assert summary["unadvised"] == summary["advice"]["moments"] == 512
    assert summary["advice"]["advised"] == 0
    assert summary["advice"]["unparsed"] == 0
    plain, _ = learn(tmp_path / "plain", "teacher.start=0")
    assert summary["final"]["return"] == plain["final"]["return"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("advice.max_questions=-1", "max_questions"),
        ("advice.every=0", "every"),
        ("advice.min_entropy=1.5", "min_entropy"),
        ("advice.when=sometimes", "'always', 'new', 'uncertain', 'disagree' or 'every'"),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        learn(tmp_path / "run", setting)
    assert "\n" not in str(caught.value)
