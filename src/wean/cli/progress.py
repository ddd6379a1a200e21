"""How far a command has come: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

FIRST_LINE, NEXT_LINES = 10.0, 30.0
"""Seconds before the first line without a terminal, and between the others."""


class Progress:
    """Shows one thing at a time on standard error; see `showing`."""

    def __init__(self, console: Console, bar: Bar) -> None:
        self._console, self._bar = console, bar
        self._task = bar.add_task("", total=None, unit="", note="", visible=False)
        self._doing = ""
        self._started = self._told = time.monotonic()

    def show(self, doing: str, done: float, total: float | None, unit: str = "", note: str = "") -> None:
        """Shows that `done` of `total` is done.

        Args:
            doing: What is being done; another word than before begins anew.
            done: How much of it is done.
            total: How much there is; None if that is not known.
            unit: What is counted.
            note: What else there is to say.
        """
        if doing != self._doing:
            self._doing = doing
            self._bar.reset(self._task, description=doing, visible=True)
        self._bar.update(self._task, completed=done, total=total, unit=unit, note=note)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._told >= (
            FIRST_LINE if self._told == self._started else NEXT_LINES
        ):
            self._told = now
            of = "" if total is None else f" of {total:,.0f}"
            told = " ".join(filter(None, (f"{done:,.0f}{of}", unit)))
            self.say(", ".join(filter(None, (f"{doing}: {told}", note, f"{now - self._started:,.0f} s"))))

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def showing() -> Iterator[Progress]:
    """What shows the progress of a command while it runs."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.fields[unit]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Progress(console, bar)
