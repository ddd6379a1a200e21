"""A limit on what may be asked live: in dollars, tokens or calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wean.errors import UsageError, WeanError


class BudgetError(WeanError):
    """The budget cannot hold the next answer; everything answered so far is in the ledger."""


@dataclass
class Spending:
    """What was spent, or is set aside for answers on their way.

    Attributes:
        calls: Answers.
        tokens: Tokens read and written.
        dollars: Dollars, as far as prices are known.
    """

    calls: int = 0
    tokens: int = 0
    dollars: float = 0.0

    def add(self, other: Spending, sign: int = 1) -> None:
        """Adds (or with `sign=-1` takes away) another spending."""
        self.calls += sign * other.calls
        self.tokens += sign * other.tokens
        self.dollars += sign * other.dollars


class Budget:
    """Limits on live answers; one object may be shared by several models and threads.

    Before an answer is asked for, the most that it can cost is set aside, and put right once it is there; so
    that answers under way together do not overrun the limit. What the ledger already knows is free. A limit
    of 0 means that nothing may be asked live.

    Args:
        dollars: Most dollars; needs a model whose price is known.
        tokens: Most tokens, read and written together.
        calls: Most answers.
    """

    def __init__(self, *, dollars: float | None = None, tokens: int | None = None, calls: int | None = None) -> None:
        for name, limit in (("dollars", dollars), ("tokens", tokens), ("calls", calls)):
            if limit is not None and not limit >= 0:
                raise UsageError(f"a budget of {limit} {name} makes no sense; give 0 (ask nothing) or more")
        self.dollars = dollars
        self.tokens = tokens
        self.calls = calls
        self._spent = Spending()
        self._set_aside = Spending()
        self._changed = threading.Condition()

    @property
    def spent(self) -> Spending:
        """A copy of what was spent so far."""
        with self._changed:
            return Spending(self._spent.calls, self._spent.tokens, self._spent.dollars)

    @property
    def nothing_allowed(self) -> bool:
        """True where a limit is 0."""
        return 0 in (self.dollars, self.tokens, self.calls)

    @contextmanager
    def set_aside(self, most: Spending) -> Iterator[Spending]:
        """Sets the most that an answer can cost aside while it is being asked for.

        Args:
            most: The most that it can cost.

        Yields:
            A `Spending` to be filled with what it did cost; left empty where no answer came.

        Raises:
            BudgetError: The limit cannot hold it, even when everything under way has come in.
        """
        with self._changed:
            while limit := self._exceeded_by(most):
                if self._set_aside.calls == 0:
                    raise BudgetError(
                        f"the budget of {limit} cannot hold the next answer ({self._describe()}); "
                        "everything answered so far is in the ledger: raise the budget and run again"
                    )
                # What is under way may cost less than was set aside for it: wait, then look again.
                self._changed.wait()
            self._set_aside.add(most)
        actual = Spending()
        try:
            yield actual
        finally:
            with self._changed:
                self._set_aside.add(most, sign=-1)
                self._spent.add(actual)
                self._changed.notify_all()

    def _exceeded_by(self, most: Spending) -> str | None:
        calls = self._spent.calls + self._set_aside.calls + most.calls
        tokens = self._spent.tokens + self._set_aside.tokens + most.tokens
        dollars = self._spent.dollars + self._set_aside.dollars + most.dollars
        if self.calls is not None and calls > self.calls:
            return f"{self.calls} calls"
        if self.tokens is not None and (tokens > self.tokens or self.tokens == 0):
            return f"{self.tokens} tokens"
        # Sums of cents are not exact in binary: a thousandth of a cent must not stop a run.
        if self.dollars is not None and (dollars > self.dollars + 1e-5 or self.dollars == 0):
            return f"${self.dollars:g}"
        return None

    def _describe(self) -> str:
        spent = self._spent
        return f"spent: {spent.calls} calls, {spent.tokens} tokens, ${spent.dollars:.4f}"
