"""Limits on what is asked live, and what it cost: whole answers and refused ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from wean.errors import UsageError, WeanError


class BudgetError(WeanError):
    """The budget cannot hold the next answer; everything answered so far is in the ledger."""


@dataclass
class Spending:
    """Answers, tokens (read and written) and dollars (of known prices) that were spent or are reserved."""

    calls: int = 0
    tokens: int = 0
    dollars: float = 0.0

    def add(self, other: Spending, sign: int = 1) -> None:
        """Adds another spending, or subtracts it with `sign=-1`."""
        self.calls += sign * other.calls
        self.tokens += sign * other.tokens
        self.dollars += sign * other.dollars


class Budget:
    """Limits on live answers; one object may be shared by several models and threads.

    Before an answer is asked for, the most that it can cost is reserved, and replaced by its real cost once it is
    there, so that concurrent answers do not exceed the limit together. Answers from the ledger are free. A limit of 0
    means that nothing may be asked live.

    Example:
        >>> budget = Budget(calls=100, dollars=0.5)

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
        self._reserved = Spending()
        self._changed = threading.Condition()

    @property
    def spent(self) -> Spending:
        """A copy of what was spent so far."""
        with self._changed:
            return replace(self._spent)

    @property
    def nothing_allowed(self) -> bool:
        """True where a limit is 0."""
        return 0 in (self.dollars, self.tokens, self.calls)

    def charge(self, spent: Spending) -> None:
        """Counts what a refused answer cost.

        Raises:
            BudgetError: Nothing is left for another try.
        """
        with self._changed:
            self._spent.add(spent)
            for limit, used, unit in (
                (self.tokens, self._spent.tokens, f"{self.tokens} tokens"),
                (self.dollars, self._spent.dollars, f"${self.dollars}"),
            ):
                if limit is not None and used >= limit:
                    raise self._used_up(unit)

    def _used_up(self, limit: str) -> BudgetError:
        spent = f"spent: {self._spent.calls} calls, {self._spent.tokens} tokens, ${self._spent.dollars:.4f}"
        return BudgetError(
            f"the budget of {limit} cannot hold the next answer ({spent}); "
            "everything answered so far is in the ledger: raise the budget and run again"
        )

    @contextmanager
    def reserve(self, most: Spending) -> Iterator[Spending]:
        """Reserves the most that some answers can cost; yields a `Spending` to be filled with their real cost.

        Raises:
            BudgetError: The limit cannot hold it, even after everything under way has come in.
        """
        with self._changed:
            while limit := self._exceeded_by(most):
                if self._reserved.calls == 0:
                    raise self._used_up(limit)
                # What is under way may cost less than was reserved for it: wait, then look again.
                self._changed.wait()
            self._reserved.add(most)
        actual = Spending()
        try:
            yield actual
        finally:
            with self._changed:
                self._reserved.add(most, sign=-1)
                self._spent.add(actual)
                self._changed.notify_all()

    def _exceeded_by(self, most: Spending) -> str | None:
        """The limit that `most` would exceed, in words."""
        total = replace(self._spent)
        total.add(self._reserved)
        total.add(most)
        if self.calls is not None and total.calls > self.calls:
            return f"{self.calls} calls"
        if self.tokens is not None and (total.tokens > self.tokens or self.tokens == 0):
            return f"{self.tokens} tokens"
        # Sums of cents are not exact in binary: a thousandth of a cent must not stop a run.
        if self.dollars is not None and (total.dollars > self.dollars + 1e-5 or self.dollars == 0):
            return f"${self.dollars:g}"
        return None


class Refused:
    """What refused answers of one model cost: empty, cut, filtered and failed ones, as far as the server says.

    Args:
        budget: Charged with it.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self.count = 0
        self.spent = Spending()
        self.priced = True

    def add(self, spent: Spending, *, priced: bool) -> None:
        """Counts one refused answer, whose price is known or not.

        Raises:
            BudgetError: The budget is used up.
        """
        with self._lock:
            self.count += 1
            self.spent.add(spent)
            self.priced &= priced
        if self._budget is not None:
            self._budget.charge(spent)
