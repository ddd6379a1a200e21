"""`wean sweep`: what is wrong with its arguments is said in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

Wean = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pppo",), "did you mean"),
        (("ppo", "--set", "gama=0.9"), "did you mean"),
        (("ppo", "--set", "teacher.until=0.9"), "ppo has no use for teacher.until|unknown key"),
        (("ppo", "--set", "gamma"), "is not key=a,b"),
        (("ppo", "--set", "gamma=[0.9"), "cannot be read"),
        (("ppo", "--seeds", "1-x"), "write numbers and ranges"),
        (("ppo", "--seeds", "5-1"), "let it end later"),
        ((",",), "name at least one method"),
        (("ppo", "--model", "recorded:doorkey"), "ask no language model"),
        (("ppo", "--executor", "slurm"), "--executor is processes or ray"),
    ],
)
def test_wrong_arguments_are_one_line_and_leave_nothing(
    command_line: Wean, arguments: tuple[str, ...], message: str
) -> None:
    code, out, error = command_line("sweep", *arguments)
    assert (code, out) == (2, "")
    assert len(error.splitlines()) == 1
    assert any(part in error for part in message.split("|"))
    assert not Path("runs").exists()
