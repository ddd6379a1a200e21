"""Every benchmark has one command line; what means nothing for one is refused in a line that gives the reason."""

import ast
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text())
OPTIONS = ("--quick", "--json", "--from-runs", "--save")


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_script_has_a_first_line_for_the_list() -> None:
    for name in SCRIPTS:
        assert ast.get_docstring(ast.parse((BENCHMARKS / f"{name}.py").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_takes_the_four_options(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
        return int(ended.value.code or 0), *capsys.readouterr()

    _, told, _ = called("--help")
    for option in OPTIONS:
        assert option in told or option == "--from-runs"
    if "--from-runs" not in told:
        code, _, error = called("--from-runs", "nowhere", "--seeds", "0")
        assert code == 2
        assert error.splitlines() == [
            f"{name}.py: --from-runs means nothing here: it trains no runs; everything is measured anew"
        ]


@pytest.mark.slow
def test_kept_runs_give_the_committed_table(tmp_path: Path) -> None:
    done = script("advice_budget", "--from-runs", str(tmp_path), "--json")
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed == json.loads((BENCHMARKS / "results/advice_budget.json").read_text())
