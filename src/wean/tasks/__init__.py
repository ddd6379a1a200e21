"""Where an agent acts. Knows nothing of language models or of learning."""

from wean.tasks.situation import LazyWords, Situation, Words

__all__ = ["LazyWords", "Situation", "Words"]
