"""A language model as a prior over the actions that can be taken, asked in one of three ways."""

from __future__ import annotations

from wean.llm.answers import Message
from wean.tasks.situation import Situation

# The wording under which wean's recorded answers were given: changing a letter of it orphans them.
VERBALIZED = (
    "You are told what is the case now and which choices there are. Think in one to three sentences about which of "
    "them make sense, then finish with one JSON object on a line of its own: "
    '{"choices": [{"choice": "...", "probability": 0.0}]}. List every choice that you think is reasonable (one is '
    "fine), word for word as you were told, give each the probability that it is the best one now, and let the "
    "probabilities sum to 1."
)
SAMPLED = (
    "You are told what is the case now and which choices there are. Answer with the one choice that you think is best, "
    "word for word as you were told, and nothing else."
)


def messages(situation: Situation, instruction: str = VERBALIZED) -> list[Message]:
    """Writes the question about a situation: goal and instruction as system message, the case and the choices as
    user message.
    """
    listed = "\n".join(f"- {choice}" for choice in situation.choices)
    return [
        {"role": "system", "content": f"{situation.goal} {instruction}"},
        {"role": "user", "content": f"{situation.text}\n\nThe choices are:\n{listed}"},
    ]
