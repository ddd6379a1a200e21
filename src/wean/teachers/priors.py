"""A language model as a prior over the actions that can be taken, asked in one of three ways (2410.07927)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.llm.answers import Message
from wean.llm.model import LanguageModel
from wean.llm.opening import open_model
from wean.tasks.situation import Situation
from wean.tasks.vector import Tasks
from wean.teachers.config import PriorConfig
from wean.teachers.proposals import parse_choices, project
from wean.teachers.teacher import Guidance

# The wording under which wean's recorded answers were given: changing a letter of it orphans them.
_VERBALIZED = (
    "You are told what is the case now and which choices there are. Think in one to three sentences about which of "
    "them make sense, then finish with one JSON object on a line of its own: "
    '{"choices": [{"choice": "...", "probability": 0.0}]}. List every choice that you think is reasonable (one is '
    "fine), word for word as you were told, give each the probability that it is the best one now, and let the "
    "probabilities sum to 1."
)
_ONE = (
    "You are told what is the case now and which choices there are. Answer with the one choice that you think is best, "
    "word for word as you were told, and nothing else."
)
_PATIENCE = 20  # situations without a single proposal, after which a model is given up
_ANSWER_TOKENS = 40  # a choice and a few words around it


_Asked = tuple[str, tuple[str, ...]]  # a situation's text and choices


class Proposals(NamedTuple):
    """What a language model proposes in one situation.

    Attributes:
        weights: (A,) over the situation's choices, sum 1; all zeros where nothing readable was proposed.
        answers: The raw answers, for people to read.
    """

    weights: NDArray[np.float64]
    answers: tuple[str, ...] = ()


Ask = Callable[[Sequence[Situation]], Sequence[Proposals]]


def messages(situation: Situation, instruction: str = _VERBALIZED) -> list[Message]:
    """Writes the question: goal and instruction as system message, the case and the choices as user message."""
    listed = "\n".join(f"- {choice}" for choice in situation.choices)
    return [
        {"role": "system", "content": f"{situation.goal} {instruction}"},
        {"role": "user", "content": f"{situation.text}\n\nThe choices are:\n{listed}"},
    ]


def samples(
    model: LanguageModel, situations: Sequence[Situation], *, k: int = 5, temperature: float | None = None
) -> list[Proposals]:
    """Asks k times for one action in free words, and projects the answers on the choices; duplicates count.

    p(a | s) = sum over texts o of p(a | o) p(o | s), estimated by k texts, as the paper does (2410.07927).

    Args:
        model: The language model.
        situations: What to ask about.
        k: Answers a situation.
        temperature: Sampling temperature; None leaves it to the model.

    Returns:
        Shares of the answers that name a choice (see `project`); the others propose nothing.
    """
    requests = [messages(situation, _ONE) for situation in situations]
    found = model.generate(requests, k, temperature=temperature, max_tokens=_ANSWER_TOKENS)
    proposals = []
    for situation, row in zip(situations, found, strict=True):
        texts = tuple(answer.text for answer in row if answer.text is not None)
        weights = np.zeros(len(situation.choices))
        for text in texts:
            index = project(text, situation.choices)
            if index is not None:
                weights[index] += 1
        proposals.append(Proposals(_scaled(weights), texts))
    return proposals


def verbalized(
    model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None
) -> list[Proposals]:
    """Asks once; the model states choices and their probabilities itself.

    Args:
        model: The language model.
        situations: What to ask about.
        temperature: The stated probabilities are raised to 1 / temperature and scaled; None leaves them as they are.
    """
    answers = model.generate([messages(situation) for situation in situations])
    proposals = []
    for situation, (answer,) in zip(situations, answers, strict=True):
        weights = np.zeros(len(situation.choices))
        for index, probability in parse_choices(answer.text or "", situation.choices).items():
            weights[index] = probability
        if temperature is not None:
            weights = np.where(weights > 0, weights ** (1 / temperature), 0.0)
        proposals.append(Proposals(_scaled(weights), (answer.text,) if answer.text else ()))
    return proposals


def logprobs(
    model: LanguageModel, situations: Sequence[Situation], *, temperature: float | None = None
) -> list[Proposals]:
    """Scores every choice as the answer: softmax of log p(choice | question) / temperature over all choices.

    The log-probability is the mean over a choice's tokens, so that long choices are not unlikely for their length.

    Args:
        model: A language model that can score (a local one).
        situations: What to ask about.
        temperature: Above 1 flattens; None is 1.
    """
    requests = [messages(situation, _ONE) for situation in situations]
    scores = model.score(requests, [situation.choices for situation in situations], "token")
    proposals = []
    for situation, row in zip(situations, scores, strict=True):
        logits = np.asarray(row, float) / (temperature or 1.0)
        said = ", ".join(f"{name}: {score:.2f}" for name, score in zip(situation.choices, row, strict=True))
        proposals.append(Proposals(_scaled(np.exp(logits - logits.max())), (said,)))
    return proposals


class Prior:
    """What is reasonable: a language model's distribution over the choices of each situation.

    Each distinct situation is asked about once per prior (and, over runs, once in the life of the ledger).

    Args:
        model: What answers: the name of a language model as in `wean.llm.open_model` (`openai:...`, a URL, `hf:...`,
            `recorded:...`); one that is open; a mapping from the texts of situations to choices with their
            probabilities; or a function from new situations to proposals.
        config: How a language model is asked, and what becomes of its proposals: `k` of them, drawn once for each
            situation, instead of the distribution (duplicates count); and mixed with the uniform distribution,
            (1 - epsilon) p + epsilon / A.
        seed: Seeds the draws of `k`.

    Attributes:
        model: The language model behind it, if there is one.
    """

    def __init__(
        self,
        model: str | LanguageModel | Mapping[str, Mapping[str, float]] | Ask,
        config: PriorConfig | None = None,
        seed: int = 0,
    ) -> None:
        config = config or PriorConfig()
        opened = open_model(model) if isinstance(model, str) else model
        self.model = opened if isinstance(opened, LanguageModel) else None
        self._ask: Ask
        if isinstance(opened, LanguageModel):
            self._ask = _asked_of(opened, config)
        elif isinstance(opened, Mapping):
            self._ask = partial(_look_up, opened)
        else:
            self._ask = opened
        # Sampled proposals are `k` draws already.
        self._k = None if self.model is not None and config.elicitation == "samples" else config.k
        self._epsilon, self._seed = config.epsilon, seed
        self._known: dict[Hashable, Proposals] = {}
        self._situations: dict[Hashable, Situation] = {}
        self._said: dict[_Asked, Proposals] = {}
        self._met: Counter[Hashable] = Counter()
        self._met_before: dict[_Asked, int] = {}
        self._silent = 0
        self.unadvised = 0

    def propose(self, situations: Sequence[Situation]) -> list[Proposals]:
        """Gives the proposals for each situation; asks about the new ones among them, in one batch.

        The weights are those that act: of `k` drawn proposals if so, mixed with the uniform distribution. Where the
        model proposes nothing they are zeros: no advice, never an arbitrary action.
        """
        new = {s.key: s for s in situations if s.key not in self._known}
        if new:
            self._situations |= new
            unasked = {_asked(s): s for s in new.values() if _asked(s) not in self._said}
            if unasked:
                found = self._ask(list(unasked.values()))
                self._listen(found)
                pairs = zip(unasked.items(), found, strict=True)
                self._said |= {words: self._finished(s, proposals) for (words, s), proposals in pairs}
            self._known |= {key: self._said[_asked(s)] for key, s in new.items()}
        return [self._known[situation.key] for situation in situations]

    def weights(self, situations: Sequence[Situation]) -> list[NDArray[np.float64]]:
        """The weights of the proposals for each situation; see `propose`."""
        return [proposals.weights for proposals in self.propose(situations)]

    def count(self, situations: Sequence[Situation]) -> None:
        """Counts moments in which a learner acted by this prior, for `table` and `unadvised`.

        Raises:
            UsageError: If nothing was proposed in any of many moments: the prior is not one.
        """
        for situation, proposals in zip(situations, self.propose(situations), strict=True):
            self._met[situation.key] += 1
            self.unadvised += not proposals.weights.any()
        if self._silent >= 0 and self.unadvised >= _PATIENCE * 10:  # in a task of a few situations
            raise self._useless()

    def guide(
        self, tasks: Tasks, which: Sequence[int], num_actions: int, student: NDArray[np.float64] | None = None
    ) -> Guidance:
        """Action probabilities for the members of tasks whose choices are their numbered actions.

        Args:
            tasks: The tasks.
            which: The members to guide.
            num_actions: Size A of the action space; each situation has as many choices, in that order.
            student: The student's action probabilities, which make no difference here.
        """
        situations = tasks.situations(which)
        self.count(situations)
        rows = self.weights(situations)
        probabilities = np.zeros((len(which), num_actions), np.float32)
        for place, row in enumerate(rows):
            probabilities[place, : len(row)] = row
        return Guidance(probabilities, np.array([row.any() for row in rows], bool))

    def table(self) -> list[dict[str, Any]]:
        """Every situation asked about, most often met first, with its proposals: for people to read."""
        met = Counter(self._met_before)
        for key, situation in self._situations.items():
            met[_asked(situation)] += self._met[key]
        rows = []
        for (text, names), proposals in self._said.items():
            listed = sorted(zip(proposals.weights.tolist(), names, strict=True), key=lambda item: -item[0])
            rows.append(
                {
                    "text": text,
                    "choices": list(names),
                    "plans": [{"skills": [name], "probability": weight} for weight, name in listed if weight > 0],
                    "weights": proposals.weights.tolist(),
                    "met": met[text, names],
                    "answer": "\n\n".join(proposals.answers),
                    "advised": bool(proposals.weights.any()),
                }
            )
        return sorted(rows, key=lambda row: (-int(str(row["met"])), str(row["text"])))

    def state(self) -> dict[str, Any]:
        """What a resumed run needs: the table with every answer."""
        return {"unadvised": self.unadvised, "rows": self.table()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from `state`, without asking again."""
        self.unadvised = state["unadvised"]
        self._met.clear()
        if any(row["advised"] for row in state["rows"]):
            self._silent = -1
        for row in state["rows"]:
            asked = row["text"], tuple(row["choices"])
            self._said[asked] = Proposals(np.array(row["weights"]), (row["answer"],) if row["answer"] else ())
            self._met_before[asked] = row["met"]

    def _listen(self, found: Sequence[Proposals]) -> None:
        """Stops where a model has nothing to say from the start: it is the wrong one, or wrongly asked."""
        silent = sum(not proposals.weights.any() for proposals in found)
        self._silent = self._silent + silent if silent == len(found) and self._silent >= 0 else -1
        if self._silent >= _PATIENCE:
            raise self._useless()

    def _useless(self) -> UsageError:
        return UsageError(
            f"the prior proposed no action in any of the first {self._silent} situations; name another --model, "
            "or ask it otherwise (prior.elicitation=logprobs needs no words)"
        )

    def _finished(self, situation: Situation, proposals: Proposals) -> Proposals:
        """The weights that act: proposals drawn, and mixed with the uniform distribution."""
        weights = proposals.weights
        if not weights.any():
            return proposals
        if self._k is not None:
            # Seeded by the words, so that the order in which situations are met does not matter.
            digest = hashlib.sha256("\n".join((situation.text, *situation.choices)).encode()).digest()
            random = np.random.default_rng([self._seed, int.from_bytes(digest[:8], "little")])
            weights = random.multinomial(self._k, weights / weights.sum()) / self._k
        weights = (1 - self._epsilon) * weights + self._epsilon / len(weights)
        return Proposals(weights, proposals.answers)


def _scaled(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weights.sum()
    return weights / total if total > 0 else weights


def _asked(situation: Situation) -> _Asked:
    return situation.text, situation.choices


def _asked_of(model: LanguageModel, config: PriorConfig) -> Ask:
    """How a language model is asked, as the settings say."""
    if config.elicitation == "samples":
        return partial(samples, model, k=config.k or 5, temperature=config.temperature)
    ask = {"verbalized": verbalized, "logprobs": logprobs}[config.elicitation]
    return partial(ask, model, temperature=config.temperature)


def _look_up(answers: Mapping[str, Mapping[str, float]], situations: Sequence[Situation]) -> list[Proposals]:
    """Proposals from a mapping of situations' texts to choices with their probabilities.

    Raises:
        UsageError: If an answer is not among the situation's choices.
    """
    found = []
    for situation in situations:
        weighted = answers.get(situation.text, {})
        unknown = [name for name in weighted if name not in situation.choices]
        if unknown:
            choices = ", ".join(situation.choices)
            raise UsageError(f"{unknown[0]!r} is no choice in {situation.text!r}; there are {choices}")
        found.append(Proposals(_scaled(np.array([weighted.get(name, 0.0) for name in situation.choices]))))
    return found
