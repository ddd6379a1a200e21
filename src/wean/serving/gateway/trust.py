"""Whether a student may decide alone: audits of its decisions against the language model's, for one kind of prompts."""

from __future__ import annotations

from collections import deque

from wean.evaluation.statistics import Interval, wilson


class Trust:
    """Counts audits, lets the student decide after enough of them, and takes that back when agreement falls.

    An audit is a decision for which the student was sure enough to decide alone and the language model was asked
    nevertheless. The student begins to decide when the last `needed` audits agree often enough; it stops when the upper
    end of the 95 % interval of the agreement of the last `window` audits lies below `agreement`, and has to earn it
    anew.

    Args:
        agreement: The wanted share of agreement.
        needed: Audits before it decides alone.
        window: Audits by which a fall is noticed.

    Attributes:
        alone: Whether it decides alone.
        audits: How many there were.
        agreed: In how many both chose the same.
    """

    def __init__(self, agreement: float, needed: int, window: int = 200) -> None:
        self.alone, self.audits, self.agreed = False, 0, 0
        self._agreement, self._needed = agreement, needed
        self._recent: deque[bool] = deque(maxlen=max(window, needed))

    def record(self, agrees: bool) -> bool:
        """Counts an audit; returns whether that changed who decides."""
        self.audits += 1
        self.agreed += agrees
        self._recent.append(agrees)
        count, right = len(self._recent), sum(self._recent)
        if self.alone:
            changes = wilson(right, count).high < self._agreement
        else:
            last = list(self._recent)[-self._needed :]
            changes = count >= self._needed and sum(last) >= self._agreement * len(last)
        if changes:
            self.alone = not self.alone
            self._recent.clear()
        return changes

    @property
    def interval(self) -> Interval | None:
        """Agreement of all audits with its 95 % interval; None without any."""
        return wilson(self.agreed, self.audits) if self.audits else None
