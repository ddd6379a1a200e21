"""Where an agent acts. Knows nothing of language models or of learning."""

from wean.tasks.checking import check_task
from wean.tasks.described import DescribedTask, describe
from wean.tasks.situation import LazySituation, Situation

__all__ = ["DescribedTask", "LazySituation", "Situation", "check_task", "describe"]
