"""Where an agent acts. Knows nothing of language models or of learning."""

from wean.tasks.contract import DescribedTask, check_task, describe
from wean.tasks.situation import LazySituation, Situation

__all__ = ["DescribedTask", "LazySituation", "Situation", "check_task", "describe"]
