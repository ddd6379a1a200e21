"""Questions to a language model about situations, and three ways to obtain its uncertainty, each for plans and choices.

`verbalized`: it states probabilities; `samples`: it answers several times; `logprobs`: it scores every choice. Plans
are a teacher's advice, choices a prior over the actions; an action rating asks for ratings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from wean.config import SETTINGS
from wean.llm.answers import Answer, Message, tokens_used
from wean.llm.model import LanguageModel
from wean.tasks.situation import Situation, first_named
from wean.teachers.reading import Plan, Verdict, parse_choices, parse_plans, parse_ratings, project

Mode = Literal["soft", "sampled", "argmax"]
Elicitation = Literal["verbalized", "samples", "logprobs"]


class AdviceConfig(BaseModel):
    """How a teacher is asked for plans, how its answers are used, and when a learning student asks it."""

    model_config = SETTINGS

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

    model_config = SETTINGS

    elicitation: Literal[Elicitation, "plans"] = "verbalized"
    """The model states probabilities, proposes `k` actions in free words, scores all, or states plans (see docs)."""
    temperature: float | None = Field(None, gt=0)
    """Flattens the prior above 1 and sharpens it below; for `samples` the model's own sampling temperature."""
    k: int | None = Field(None, gt=0)
    """Proposals a situation (for `samples` 5 by default); none keeps the whole distribution."""
    epsilon: float = Field(0.0, ge=0, le=1)
    """Share of the uniform distribution that is mixed in; above 0 no action is ruled out."""


# The recorded answers belong to these instructions: changing a letter of one orphans them.
_PLANS = (
    "Decide what it should do from here. Think in one or two sentences, then finish with one JSON object on a line of "
    'its own: {"plans": [{"skills": ["...", "..."], "probability": 0.0}]}. List every plan that you think is '
    "reasonable (one is fine), name each thing exactly as you were told, give each plan the probability that it is "
    "the right one, and let the probabilities sum to 1."
)
_PLAN = (
    "Decide what it should do from here. Think in one or two sentences, then finish with one JSON object on a line of "
    'its own: {"plans": [{"skills": ["...", "..."]}]}, with the one plan that you think is best. Name each thing '
    "exactly as you were told."
)
_SKILL = "Decide what it should do next. Answer with one of these and nothing else: {choices}."
_CHOICES = (
    "You are told what is the case now and which choices there are. Think in one to three sentences about which of "
    "them make sense, then finish with one JSON object on a line of its own: "
    '{"choices": [{"choice": "...", "probability": 0.0}]}. List every choice that you think is reasonable (one is '
    "fine), word for word as you were told, give each the probability that it is the best one now, and let the "
    "probabilities sum to 1."
)
_CHOICE = (
    "You are told what is the case now and which choices there are. Answer with the one choice that you think is best, "
    "word for word as you were told, and nothing else."
)
_RATINGS = (
    "You judge what it does. You are also told which skills it could begin now. Rate each of them: 1 if it brings the "
    "task closer, -1 if it leads away from it or is of no use now, 0 if it makes no difference or you cannot tell. "
    "Rate each as if it could be done at once. Think in one or two sentences, then finish with one JSON object on a "
    'line of its own: {"ratings": {"...": 0, "...": 0}}, with every skill that you were told, named exactly as you '
    "were told."
)
_ANSWER_TOKENS = 40  # a choice and a few words around it


class Advice(NamedTuple):
    """A teacher's advice in one situation: distinct plans with probabilities that sum to 1, or none for "no advice".

    `answers` are the raw answers; `tokens` are estimated from the texts' lengths where the model gave no counts.
    """

    plans: tuple[tuple[Plan, float], ...]
    answers: tuple[str, ...] = ()
    tokens: int = 0


class Proposals(NamedTuple):
    """A prior's proposals in one situation: weights (A,) over its choices and the raw answers.

    The weights have sum 1, or are zeros where nothing readable was proposed.
    """

    weights: NDArray[np.float64]
    answers: tuple[str, ...] = ()


# ---- questions ------------------------------------------------------------------------------------------------------


def plan_question(situation: Situation, instruction: str = _PLANS) -> list[Message]:
    """Goal and instruction as system message, the situation as user message."""
    return _chat(situation, instruction, situation.text)


def choice_question(situation: Situation, instruction: str = _CHOICES) -> list[Message]:
    """Goal and instruction as system message, the situation and its choices as user message."""
    return _chat(situation, instruction, f"{situation.text}\n\nThe choices are:\n{_listed(situation)}")


def rating_question(situation: Situation) -> list[Message]:
    """Goal and instruction as system message, the situation and the skills that could begin as user message."""
    return _chat(situation, _RATINGS, f"{situation.text}\n\nIt could begin:\n{_listed(situation)}")


def _chat(situation: Situation, instruction: str, text: str) -> list[Message]:
    return [{"role": "system", "content": f"{situation.goal} {instruction}"}, {"role": "user", "content": text}]


def _listed(situation: Situation) -> str:
    return "\n".join(f"- {choice}" for choice in situation.choices)


# ---- plans ----------------------------------------------------------------------------------------------------------


def verbalized_plans(
    model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None
) -> list[Advice]:
    """Asks once for plans with probabilities; the temperature is that of sampling, None leaves it to the model."""
    requests = [plan_question(situation) for situation in situations]
    answers = model.generate(requests, temperature=temperature)
    return [
        _advice([parse_plans(answer.text or "") for answer in row], request, row)
        for request, row in zip(requests, answers, strict=True)
    ]


def sampled_plans(
    model: LanguageModel,
    situations: Sequence[Situation],
    *,
    n: int = 10,
    settled: int = 4,
    temperature: float | None = None,
) -> list[Advice]:
    """Asks up to n times and counts the plans, as LLM4Teach does (2311.13373; n = 10).

    A question is no longer asked once its first `settled` answers all give the same plan; `settled=n` switches this
    off. Answers without a readable plan do not count.
    """
    requests = [plan_question(situation, _PLAN) for situation in situations]
    rows: list[list[Answer]] = [[] for _ in situations]
    open_ = list(range(len(situations)))
    asked = 0
    while open_ and asked < n:
        batch = min(settled, n - asked)
        found = model.generate([requests[i] for i in open_], batch, temperature=temperature, first_sample=asked)
        asked += batch
        for index, answers in zip(open_, found, strict=True):
            rows[index].extend(answers)
        open_ = [index for index in open_ if not _settled(rows[index])]
    return [
        _advice([_best(parse_plans(answer.text or "")) for answer in row], request, row)
        for request, row in zip(requests, rows, strict=True)
    ]


def scored_plans(
    model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None
) -> list[Advice]:
    """Scores every choice as the answer and takes the softmax; each choice is a plan of one skill.

    The model must be one that can score (a local one). The temperature divides the log-probabilities (1 by default).
    """
    requests = [plan_question(s, _SKILL.format(choices=", ".join(s.choices))) for s in situations]
    scores = model.score(requests, [situation.choices for situation in situations])
    advices = []
    for situation, request, row in zip(situations, requests, scores, strict=True):
        weights, answer = _softmax(situation, row, temperature)
        plans = tuple(((name,), float(p)) for name, p in zip(situation.choices, weights, strict=True))
        advices.append(Advice(plans, (answer,), tokens_used(request, Answer(answer))))
    return advices


def _best(plans: tuple[tuple[Plan, float], ...]) -> tuple[tuple[Plan, float], ...]:
    """One sample counts as one plan: the one to which it gives most."""
    return ((max(plans, key=lambda item: item[1])[0], 1.0),) if plans else ()


def _settled(row: Sequence[Answer]) -> bool:
    plans = {_best(parse_plans(answer.text or "")) for answer in row}
    return len(plans) == 1 and plans != {()}


def _advice(
    parsed: Sequence[tuple[tuple[Plan, float], ...]], request: Sequence[Message], answers: Sequence[Answer]
) -> Advice:
    weights: dict[Plan, float] = {}
    for plan, probability in (weighted for plans in parsed for weighted in plans):
        weights[plan] = weights.get(plan, 0) + probability
    total = sum(weights.values())
    plans_ = tuple((plan, float(weight) / total) for plan, weight in weights.items()) if total else ()
    texts = tuple(answer.text for answer in answers if answer.text is not None)
    return Advice(plans_, texts, sum(tokens_used(request, answer) for answer in answers))


# ---- choices --------------------------------------------------------------------------------------------------------


def verbalized_choices(
    model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None
) -> list[Proposals]:
    """Asks once for choices with probabilities, which are raised to 1 / temperature and scaled (None: as they are)."""
    answers = model.generate([choice_question(situation) for situation in situations])
    proposals = []
    for situation, (answer,) in zip(situations, answers, strict=True):
        weights = np.zeros(len(situation.choices))
        for index, probability in parse_choices(answer.text or "", situation.choices).items():
            weights[index] = probability
        if temperature is not None:
            weights = np.where(weights > 0, weights ** (1 / temperature), 0.0)
        proposals.append(Proposals(scaled(weights), (answer.text,) if answer.text else ()))
    return proposals


def sampled_choices(
    model: LanguageModel, situations: Sequence[Situation], *, k: int = 5, temperature: float | None = None
) -> list[Proposals]:
    """Asks k times for one action in free words, and projects the answers on the choices; duplicates count.

    p(a | s) = sum over texts o of p(a | o) p(o | s), estimated by k texts (2410.07927). An answer that names no choice
    (see `project`) proposes nothing.
    """
    requests = [choice_question(situation, _CHOICE) for situation in situations]
    found = model.generate(requests, k, temperature=temperature, max_tokens=_ANSWER_TOKENS)
    proposals = []
    for situation, row in zip(situations, found, strict=True):
        texts = tuple(answer.text for answer in row if answer.text is not None)
        weights = np.zeros(len(situation.choices))
        for index in (project(text, situation.choices) for text in texts):
            if index is not None:
                weights[index] += 1
        proposals.append(Proposals(scaled(weights), texts))
    return proposals


def planned_choices(
    model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None
) -> list[Proposals]:
    """Asks for plans with probabilities, as a teacher is asked; each proposes its first item that is a choice here.

    The question does not list the choices: situations that differ in them alone are one question.
    """
    proposals = []
    for situation, advice in zip(situations, verbalized_plans(model, situations, temperature=temperature), strict=True):
        weights = np.zeros(len(situation.choices))
        for plan, probability in advice.plans:
            places = (first_named([item], situation.choices) for item in plan)
            place = next((place for place in places if place is not None), None)
            if place is not None:
                weights[place] += probability
        proposals.append(Proposals(scaled(weights), advice.answers))
    return proposals


def scored_choices(
    model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None
) -> list[Proposals]:
    """Scores every choice as the answer: softmax of log p(choice | question) / temperature over all choices.

    The log-probability is the mean over a choice's tokens, so that long choices are not unlikely for their length. The
    model must be one that can score (a local one). A temperature above 1 flattens; None is 1.
    """
    requests = [choice_question(situation, _CHOICE) for situation in situations]
    scores = model.score(requests, [situation.choices for situation in situations], "token")
    found = [_softmax(situation, row, temperature) for situation, row in zip(situations, scores, strict=True)]
    return [Proposals(weights, (answer,)) for weights, answer in found]


def scaled(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (A,) scaled to sum 1; zeros stay zeros."""
    total = weights.sum()
    return weights / total if total > 0 else weights


def _softmax(
    situation: Situation, scores: Sequence[float], temperature: float | None
) -> tuple[NDArray[np.float64], str]:
    """Probabilities (A,) of a situation's choices from their log-probabilities, and these in words."""
    logits = np.asarray(scores, float) / (temperature or 1.0)
    answer = ", ".join(f"{name}: {score:.2f}" for name, score in zip(situation.choices, scores, strict=True))
    return scaled(np.exp(logits - logits.max())), answer


# ---- ratings --------------------------------------------------------------------------------------------------------


def rate(model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None) -> list[Verdict]:
    """Asks once for ratings of each situation's choices; the temperature is that of sampling."""
    answers = model.generate([rating_question(situation) for situation in situations], temperature=temperature)
    return [
        parse_ratings(row[0].text or "", situation.choices) for situation, row in zip(situations, answers, strict=True)
    ]
