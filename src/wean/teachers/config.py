"""The settings of teachers and priors: how and when a language model is asked, and how its answers are used."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Mode = Literal["soft", "sampled", "argmax"]
Elicitation = Literal["verbalized", "samples", "logprobs"]


class AdviceConfig(BaseModel):
    """How a teacher is asked for plans, how its answers are used, and when a learning student asks it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    mode: Mode = "soft"
    """All plans with their probabilities, one drawn plan a step, or the most probable action."""
    elicitation: Elicitation = "verbalized"
    """The model states probabilities, is asked several times, or scores the choices."""
    temperature: float | None = Field(None, ge=0)
    """Sampling temperature of the questions (of the softmax for logprobs); none leaves it to the model."""
    when: Literal["always", "new", "uncertain", "disagree", "every"] = "always"
    """Asks at every step, in new situations, where the student is uncertain or disagrees, or every n-th step."""
    every: int = Field(10, gt=0)
    """For when=every: steps from one question to the next."""
    min_entropy: float = Field(0.5, ge=0, le=1)
    """For when=uncertain: entropy of the student, as a share of the greatest possible, from which on it asks."""
    min_disagreement: float = Field(0.5, ge=0, le=1)
    """For when=disagree: total variation between student and last known advice from which on it asks."""
    max_questions: int | None = Field(None, ge=0)
    """Questions in a run at most; without advice from there on. None sets no limit, 0 asks nothing."""
    memory: bool = True
    """A situation asked about once stays advised; without it every advised step counts as a question."""

    @property
    def asks_everywhere(self) -> bool:
        """Whether the rules and caps of asking are left at their defaults: a question for every situation."""
        rule = {"when", "every", "min_entropy", "min_disagreement", "max_questions", "memory"}
        return self.model_dump(include=rule) == AdviceConfig().model_dump(include=rule)


class PriorConfig(BaseModel):
    """How a language model is asked for a prior over the actions, and how its answers are used."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    elicitation: Elicitation = "verbalized"
    """The model states probabilities, proposes `k` actions in free words, or scores all actions."""
    temperature: float | None = Field(None, gt=0)
    """Flattens the prior above 1 and sharpens it below; for `samples` the model's own sampling temperature."""
    k: int | None = Field(None, gt=0)
    """Proposals a situation (for `samples` 5 by default); none keeps the whole distribution."""
    epsilon: float = Field(0.0, ge=0, le=1)
    """Share of the uniform distribution that is mixed in; above 0 no action is ruled out."""
