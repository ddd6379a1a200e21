"""`import wean`: what it offers, what it costs, and that its examples do what they show."""

import doctest
import importlib
import inspect
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import wean

SOURCE = Path(__file__).parents[1] / "src"


def test_every_public_name_is_there_with_a_docstring() -> None:
    for name in wean.__all__:
        assert inspect.getdoc(getattr(wean, name)), name
    assert set(wean.__all__) <= set(dir(wean))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        wean.trian  # noqa: B018


@pytest.mark.parametrize("name", wean.__all__)
def test_the_example_of_a_public_name_does_what_it_shows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    thing = getattr(wean, name)
    module = importlib.import_module(thing.__module__)
    tests = [t for t in doctest.DocTestFinder(recurse=False).find(thing, name, module=False) if t.examples]
    assert tests, f"the docstring of wean.{name} has no example"
    for test in tests:
        test.globs |= vars(module) | {"wean": wean}
        assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0


def _seconds(code: str) -> float:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
        taken.append(time.perf_counter() - started)
    return min(taken)


def test_importing_wean_costs_next_to_nothing() -> None:
    assert _seconds("import wean") - _seconds("pass") < 0.3


def test_help_begins_as_a_first_page() -> None:
    shown = inspect.getdoc(wean) or ""
    assert shown.startswith("wean trains small agents that no longer need their language model.")
    assert all(name in shown for name in ("wean.train", "wean.load", "wean.evaluate", "wean --help"))
