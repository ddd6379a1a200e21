"""What a gateway decides: who answers a request, and what its audits say."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from wean.evaluation.statistics import wilson
from wean.serving.gateway.chat import Asked, Completed, as_message
from wean.serving.gateway.trust import Trust
from wean.students.deciding import Decider, Verdict
from wean.teachers.logged_answers import read_answer, write_answer
from wean.teachers.logged_prompts import Prompt, PromptReader


@dataclass(frozen=True)
class Rules:
    """When a student decides alone.

    Attributes:
        audits: Audits of a kind of prompts before the student decides any of that kind alone.
        floor: Share of its decisions in which the language model is asked anyway.
        window: Audits by which a fall of the agreement is noticed.
    """

    audits: int = 100
    floor: float = 0.05
    window: int = 200


class Thought(NamedTuple):
    """What the student would answer, and is sure enough of."""

    prompt: Prompt
    verdict: Verdict


class Judge:
    """The student of a gateway with its audits.

    Args:
        decider: The student; None passes everything on.
        reader: Finds the choices in prompts.
        rules: When it decides alone.

    Attributes:
        switches: What changed and when, for people.
        alone: Requests that the student answered.
        saved_dollars: What the language model would have cost there, as far as its mean price is known.
        saved_seconds: The time that it would have taken there.
    """

    def __init__(self, decider: Decider | None, reader: PromptReader, rules: Rules) -> None:
        self._reader, self._rules = reader, rules
        self._random = random.Random()
        self.switches: list[str] = []
        self.alone, self.saved_dollars, self.saved_seconds = 0, 0.0, 0.0
        self.use(decider)

    def use(self, decider: Decider | None) -> None:
        """Takes another student, which has to earn its trust from the beginning."""
        kinds = decider.kinds if decider is not None else {}
        agreement = decider.agreement if decider is not None else 1.0
        self.decider = decider
        self._trust = {name: Trust(agreement, self._rules.audits, self._rules.window) for name in kinds}
        self._costs = {name: [kind.seconds or 0.0, kind.cost_usd or 0.0] for name, kind in kinds.items()}

    def consider(self, asked: Asked) -> Thought | None:
        """What the student would answer; None where it does not know or is not sure enough."""
        if self.decider is None or not asked.can_be_decided:
            return None
        prompt = self._reader.read(asked.conversation.messages, asked.conversation.tools)
        kind = None if prompt is None else self.decider.kinds.get(prompt.kind)
        if prompt is None or kind is None or kind.threshold is None:
            return None
        verdict = self.decider.decide(prompt.kind, prompt.text, prompt.choices)
        return Thought(prompt, verdict) if verdict is not None and verdict.confidence >= kind.threshold else None

    def answers_alone(self, thought: Thought) -> bool:
        """Whether the student gives its answer, or the language model is asked anyway."""
        return self._trust[thought.prompt.kind].alone and self._random.random() >= self._rules.floor

    def answer(self, thought: Thought) -> dict[str, Any]:
        """The student's answer as a message; counts it."""
        assert self.decider is not None
        kind = thought.prompt.kind
        self.alone += 1
        self.saved_seconds += self._costs[kind][0]
        self.saved_dollars += self._costs[kind][1]
        return write_answer(self.decider.kinds[kind].form, thought.prompt, thought.verdict.weights.tolist())

    def audit(self, thought: Thought, completed: Completed) -> None:
        """Compares what the student would have answered with what the language model did; counts it."""
        trust = self._trust.get(thought.prompt.kind)
        read = read_answer(as_message(completed), thought.prompt, self._reader.answer)
        if trust is None:
            return
        best = int(thought.verdict.weights.argmax())
        # An answer that names no choice is nothing that the student could have given.
        agrees = read is not None and read.weights[best] >= max(read.weights) - 1e-6
        if trust.record(agrees):
            what = "the student decides alone" if trust.alone else "agreement fell: everything goes to the model"
            self.switches.append(f"{time.strftime('%Y-%m-%d %H:%M:%S')}, kind {thought.prompt.kind}: {what}")

    def numbers(self) -> Mapping[str, Any]:
        """What the page shows: no prompt, no answer, no name."""
        audits, agreed = (sum(getattr(trust, name) for trust in self._trust.values()) for name in ("audits", "agreed"))
        found = wilson(agreed, audits) if audits else None
        kinds = self.decider.kinds if self.decider is not None else {}
        return {
            "alone": self.alone,
            "audits": audits,
            "agreement": None if found is None else [found.mean, found.low, found.high],
            "saved_dollars": self.saved_dollars if any(kind.cost_usd for kind in kinds.values()) else None,
            "saved_seconds": self.saved_seconds if any(kind.seconds for kind in kinds.values()) else None,
            "switches": self.switches[-50:],
            "kinds": [
                {
                    "kind": name,
                    "threshold": kinds[name].threshold,
                    "why": kinds[name].why,
                    "alone": trust.alone,
                    "audits": trust.audits,
                    "needed": self._rules.audits,
                    "agreement": None if trust.interval is None else [trust.interval.mean, trust.interval.low],
                }
                for name, trust in self._trust.items()
            ],
        }
