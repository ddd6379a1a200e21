"""What views of tasks share: those whose actions or observations are other ones than the task's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks


class TaskView:
    """Hands on what does not depend on the actions, and refuses what is known of the task's own actions only.

    A subclass says what its actions are and how they are carried out.

    Args:
        tasks: The tasks behind it.
    """

    no_expert: ClassVar[str]
    """Why nobody can say what is best to do here."""

    def __init__(self, tasks: SerialTasks) -> None:
        self._tasks = tasks
        self.num = tasks.num
        self.observation = tasks.observation

    def situations(self, which: Sequence[int]) -> list[Situation]:
        """See `Tasks.situations`."""
        return self._tasks.situations(which)

    def best_actions(self, which: Sequence[int]) -> list[list[Any]]:
        """See `Tasks.best_actions`; always refused."""
        raise UsageError(f"{self.no_expert}; let another policy play")

    def scripted_actions(self, which: Sequence[int]) -> list[int]:
        """See `Tasks.scripted_actions`; always refused."""
        raise UsageError("the scripted explorer takes the task's own actions; let another policy play")

    def achieved(self, which: Sequence[int]) -> list[tuple[str, ...]]:
        """See `Tasks.achieved`."""
        return self._tasks.achieved(which)

    def close(self) -> None:
        """See `Tasks.close`."""
        self._tasks.close()

    def render(self, index: int) -> NDArray[np.uint8]:
        """See `SerialTasks.render`."""
        return self._tasks.render(index)
