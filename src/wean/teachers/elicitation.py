"""How a language model is asked for plans, and how its uncertainty is obtained: three named ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from wean.llm.answers import Answer, Message, tokens_used
from wean.llm.model import LanguageModel
from wean.tasks.situation import Situation
from wean.teachers.plans import Advice, Plan, parse_plans

# The wording under which wean's recorded answers were given: changing a letter of it orphans them.
_VERBALIZED = (
    "Decide what it should do from here. Think in one or two sentences, then finish with one JSON object on a line of "
    'its own: {"plans": [{"skills": ["...", "..."], "probability": 0.0}]}. List every plan that you think is '
    "reasonable (one is fine), name each thing exactly as you were told, give each plan the probability that it is "
    "the right one, and let the probabilities sum to 1."
)
_SAMPLED = (
    "Decide what it should do from here. Think in one or two sentences, then finish with one JSON object on a line of "
    'its own: {"plans": [{"skills": ["...", "..."]}]}, with the one plan that you think is best. Name each thing '
    "exactly as you were told."
)
_SCORED = "Decide what it should do next. Answer with one of these and nothing else: {choices}."


def messages(situation: Situation, instruction: str = _VERBALIZED) -> list[Message]:
    """Writes the question about a situation: goal and instruction as system message, the case now as user message."""
    return [
        {"role": "system", "content": f"{situation.goal} {instruction}"},
        {"role": "user", "content": situation.text},
    ]


def verbalized(
    model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None
) -> list[Advice]:
    """Asks once; the model states plans and their probabilities itself.

    Args:
        model: The language model.
        situations: What to ask about.
        temperature: Sampling temperature; None leaves it to the model, 0 is greedy.

    Returns:
        One advice a situation.
    """
    requests = [messages(situation) for situation in situations]
    answers = model.generate(requests, temperature=temperature)
    return [
        _advice([parse_plans(answer.text or "") for answer in row], request, row)
        for request, row in zip(requests, answers, strict=True)
    ]


def samples(
    model: LanguageModel,
    situations: Sequence[Situation],
    *,
    n: int = 10,
    settled: int = 4,
    temperature: float | None = None,
) -> list[Advice]:
    """Asks up to n times and counts the plans, as LLM4Teach does (2311.13373; n = 10).

    A question is settled, and no longer asked, once its first `settled` answers all give the same plan.

    Args:
        model: The language model.
        situations: What to ask about.
        n: Answers a question at most.
        settled: Equal first answers after which a question counts as settled; `n` switches this off.
        temperature: Sampling temperature; None leaves it to the model.

    Returns:
        One advice a situation; answers without a readable plan do not count.
    """
    rows: list[list[Answer]] = [[] for _ in situations]
    open_ = list(range(len(situations)))
    asked = 0
    while open_ and asked < n:
        batch = min(settled, n - asked)
        requests = [messages(situations[index], _SAMPLED) for index in open_]
        found = model.generate(requests, batch, temperature=temperature, first_sample=asked)
        asked += batch
        for index, answers in zip(open_, found, strict=True):
            rows[index].extend(answers)
        open_ = [index for index in open_ if not _settled(rows[index])]
    return [
        _advice([_best(parse_plans(answer.text or "")) for answer in row], messages(situation, _SAMPLED), row)
        for situation, row in zip(situations, rows, strict=True)
    ]


def logprobs(
    model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None
) -> list[Advice]:
    """Scores every choice as the answer and takes the softmax; each choice is a plan of one skill.

    Args:
        model: A language model that can score (a local one).
        situations: What to ask about.
        temperature: Divides the log-probabilities (1 by default); above 1 flattens the distribution.

    Returns:
        One advice a situation, over all of its choices.
    """
    requests = [messages(s, _SCORED.format(choices=", ".join(s.choices))) for s in situations]
    scores = model.score(requests, [situation.choices for situation in situations])
    advices = []
    for situation, request, row in zip(situations, requests, scores, strict=True):
        logits = np.asarray(row, float) / (temperature or 1.0)
        weights = np.exp(logits - logits.max())
        probabilities = weights / weights.sum()
        plans = tuple(((name,), float(p)) for name, p in zip(situation.choices, probabilities, strict=True))
        answer = ", ".join(f"{name}: {score:.2f}" for name, score in zip(situation.choices, row, strict=True))
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
    counted: Counter[Plan] = Counter()
    for plans in parsed:
        for plan, probability in plans:
            counted[plan] += probability  # type: ignore[assignment]
    total = sum(counted.values())
    plans_ = tuple((plan, float(weight) / total) for plan, weight in counted.items()) if total else ()
    texts = tuple(answer.text for answer in answers if answer.text is not None)
    return Advice(plans_, texts, sum(tokens_used(request, answer) for answer in answers))
