"""Where an agent acts. Knows nothing of language models or of learning."""

from wean.tasks.described import DescribedTask
from wean.tasks.situation import LazySituation, Situation

__all__ = ["DescribedTask", "LazySituation", "Situation"]
