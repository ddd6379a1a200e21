"""Hand-made rules of the text agent, apart from everything that is learnt.

The rest of wean uses these names alone: `mine_patterns` in training, `DemonstratedPatterns` in the student's folder,
and `ActingRules` while acting.
"""

from wean.students.text.rules.acting import ActingRules, StateKey
from wean.students.text.rules.patterns import DemonstratedPatterns, mine_patterns

__all__ = ["ActingRules", "DemonstratedPatterns", "StateKey", "mine_patterns"]
