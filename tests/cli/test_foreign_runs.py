"""A run folder is data: whatever its files name, no module is imported unless the user names it in this command."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wean as library
from wean.errors import UsageError
from wean.experiment.build import seen_by_run
from wean.experiment.runner import Runner
from wean.experiment.settings import resolve
from wean.report.report import write_report

Wean = Callable[..., tuple[int, str, str]]
TINY = (
    "total_timesteps=128",
    "num_envs=4",
    "num_steps=16",
    "student.hidden=8",
    "evaluation.curve_points=0",
    "evaluation.episodes=2",
    "evaluation.recorded_episodes=0",
)
CODE = """
from pathlib import Path
Path("imported").write_text("yes")
import wean
def make(**options):
    return wean.make("FrozenLake4x4", **options)
def answer(messages):
    return "0"
"""


@pytest.fixture
def wean(command_line: Wean, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Wean:
    """Runs the command line in a folder with a run and with code that says when it is imported."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for module in [name for name in sys.modules if name.endswith("payload")]:
        monkeypatch.delitem(sys.modules, module)
    Runner(resolve("ppo", "FrozenLake4x4", overrides=TINY), "run").run()
    for folder in (tmp_path, tmp_path / "run"):
        (folder / "payload.py").write_text(CODE)
    return command_line


def _edit(**values: str) -> None:
    text = Path("run/config.yaml").read_text()
    for name, value in values.items():
        text = re.sub(rf"^{name}: .*$", f"{name}: '{value}'", text, flags=re.M)
    Path("run/config.yaml").write_text(text)


@pytest.mark.parametrize("task", ["payload:make", "run.payload:make", "payload:FrozenLake-v1", "payload:SimpleDoorKey"])
def test_a_task_of_a_module_is_not_imported_because_a_file_names_it(wean: Wean, task: str) -> None:
    _edit(task=task)
    code, out, error = wean("eval", "run", "--episodes", "2")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert f"--task {task}" in error
    for command in (
        ("compare", "run"),
        ("demos", "FrozenLake4x4", "--policy", "run", "--episodes", "1"),
        ("train", "ppo", "--task", "FrozenLake4x4", "--out", "run", "--resume", *TINY),
        ("train", "ppo", "--task", "FrozenLake4x4", "--out", "run", *TINY),
    ):
        wean(*command)
    library.load("run").act(0)
    write_report(Path("run"))
    with pytest.raises(UsageError, match=r"names the task.*name it yourself"):
        seen_by_run("run")
    assert not Path("imported").exists()


def test_the_line_that_it_is_refused_with_works(wean: Wean) -> None:
    _edit(task="payload:make")
    _, _, error = wean("eval", "run", "--episodes", "2")
    option = re.search(r"--task \S+?(?=[,\s])", error)
    assert option is not None
    code, out, _ = wean("eval", "run", "--episodes", "2", *option.group().split())
    assert code == 0
    assert "payload:make" in out


def test_a_model_of_a_module_is_not_imported_because_a_file_names_it(wean: Wean) -> None:
    settings = resolve("when2ask", model="scripted:payload:answer").as_yaml()
    Path("run/config.yaml").write_text(settings)
    for command in (("eval", "run", "--task", "SimpleDoorKey"), ("demos", "SimpleDoorKey", "--policy", "run")):
        code, _, error = wean(*command)
        assert (code, error.count("\n")) == (2, 1)
        assert "--model scripted:payload:answer" in error
    with pytest.raises(UsageError, match="name it yourself"):
        seen_by_run("run")
    assert not Path("imported").exists()


def test_the_student_names_its_class_and_never_a_module(wean: Wean) -> None:
    config = Path("run/student/config.json")
    config.write_text(config.read_text().replace('"dense"', '"payload:make"'))
    Path("run/student/SHA256SUMS").unlink()
    code, _, error = wean("eval", "run", "--episodes", "2")
    assert (code, error.count("\n")) == (1, 1)
    _edit(method="payload:make")
    assert wean("eval", "run", "--episodes", "2")[0] != 0
    assert not Path("imported").exists()


def test_a_run_of_a_task_made_in_python_says_what_works(wean: Wean) -> None:
    from payload import make  # type: ignore[import-not-found]

    settings = {"evaluation": {"episodes": 2, "curve_points": 0, "recorded_episodes": 0}}
    run = library.train("ppo", make, out="own", total_timesteps=128, num_envs=4, num_steps=16, **settings)
    page = (run.folder / "report.html").read_text()
    assert "wean.evaluate(&#39;own&#39;, make, episodes=2, seed=10000)" in page
    assert library.evaluate("own", make, episodes=2).episodes.lengths.size == 2
    code, _, error = wean("eval", "own", "--episodes", "2")
    assert (code, error.count("\n")) == (2, 1)
    assert "was made in Python by payload.make; name one with --task payload:make" in error
    assert wean("eval", "own", "--episodes", "2", "--task", "payload:make")[0] == 0
