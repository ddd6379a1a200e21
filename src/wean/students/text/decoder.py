"""Decoding: what a text student generates after a prompt, and how it ranks given answers."""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wean.lm.precision import WORTH, halves_speedup
from wean.runtime.normalize import normalize
from wean.runtime.prompt import ACT, DONE, END, EpisodeEncoder
from wean.students.text.branches import BranchRanking
from wean.students.text.incremental import Ensemble, LeanLlama, incremental
from wean.students.text.student import TextStudent

MAX_ANSWER = 48
"""Greatest number of tokens in an answer."""
_MAX_EXPANDED, _BRANCHES = 100, 16  # partial texts in the search for an accepted one, and tokens tried after each
_MATCHED, _AHEAD = 3, 4  # last tokens that predict the next ones, and how many of these are read ahead


Predicate = Callable[[str], bool]
"""Whether a word is allowed, or a whole text accepted."""


class Generated(NamedTuple):
    """A generated text, and the log-probability of each token with the end mark; none for a text that was given."""

    text: str
    logs: tuple[float, ...] = ()


class Decoder(ABC):
    """A student that answers prompts.

    Attributes:
        tokens_read: Tokens that went through the model so far; those of an ensemble count once.
    """

    def __init__(self, student: TextStudent) -> None:
        self._student = student
        self.tokens_read = 0

    @abstractmethod
    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        """Whether one token is at least as probable after the prompt as a second one."""

    @abstractmethod
    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """The number of the most probable answer after the prompt; answers include the end mark."""

    @abstractmethod
    def _logits_after(self, prompt: list[int], answer: Sequence[int], read_ahead: bool = False) -> torch.Tensor:
        """The logits (vocabulary,) after a partial answer; the tokens likely to follow may be read ahead."""

    def generate(
        self, prompt: Sequence[int], allows: Predicate | None = None, accepts: Predicate | None = None
    ) -> Generated:
        """The answer by greedy decoding, of allowed words and accepted as a whole; see `greedy`."""
        ids = list(prompt)
        return greedy(
            lambda answer: self._logits_after(ids, answer, read_ahead=True),
            self._student,
            allows,
            accepts,
            lambda answer: self._logits_after(ids, answer),
        )


def greedy(
    logits_after: Callable[[list[int]], torch.Tensor],
    student: TextStudent,
    allows: Predicate | None = None,
    accepts: Predicate | None = None,
    search_logits_after: Callable[[list[int]], torch.Tensor] | None = None,
) -> Generated:
    """Generates the most probable token each time.

    Where that leads to a word that is not allowed, or to a text that is not accepted, a best-first search finds the
    most probable whole text instead.

    Args:
        logits_after: The logits (vocabulary,) after a partial answer.
        student: The student; its tokenizer and marks are used.
        allows: Whether a word may be used; None for all.
        accepts: Whether a whole text may be generated; None for all.
        search_logits_after: Used in place of `logits_after` during the search.
    """
    search_logits_after = search_logits_after or logits_after
    answer: list[int] = []
    logs: list[float] = []
    while len(answer) < MAX_ANSWER:
        found = logits_after(answer).log_softmax(-1)
        token = int(found.argmax())
        if allows and not _allowed_tokens(student, answer, allows)(token):
            return _search(search_logits_after, student, allows, accepts)
        logs.append(float(found[token]))
        if token == student.mark[END]:
            break
        answer.append(token)
    text = student.decode(answer)
    if accepts and not accepts(text):
        return _search(search_logits_after, student, allows, accepts)
    return Generated(text, tuple(logs))


def _search(
    logits_after: Callable[[list[int]], torch.Tensor],
    student: TextStudent,
    allows: Predicate | None,
    accepts: Predicate | None,
) -> Generated:
    """The most probable accepted text of allowed words; after many expansions the last one reached."""
    frontier: list[tuple[float, list[int], tuple[float, ...]]] = [(0.0, [], ())]
    answer: list[int] = []
    logs: tuple[float, ...] = ()
    for _ in range(_MAX_EXPANDED):
        if not frontier:
            break
        cost, answer, logs = heapq.heappop(frontier)
        if answer and answer[-1] == student.mark[END]:
            if not accepts or accepts(student.decode(answer)):
                break
            continue
        found = logits_after(answer).log_softmax(-1).topk(_BRANCHES)
        is_allowed = _allowed_tokens(student, answer, allows) if allows else lambda token: True
        for log, token in zip(found.values.tolist(), found.indices.tolist(), strict=True):
            if len(answer) < MAX_ANSWER and is_allowed(token):
                heapq.heappush(frontier, (cost - log, [*answer, token], (*logs, log)))
    return Generated(student.decode(answer), logs)


def _allowed_tokens(student: TextStudent, answer: list[int], allows: Predicate) -> Callable[[int], bool]:
    """Whether a token may follow a partial answer: it must not complete a word that is not allowed."""
    words = student.decode(answer).split()
    if not words or allows(words[-1]):
        return lambda token: True
    end = student.mark[END]
    return lambda token: token != end and len(student.decode([*answer, token]).split()) <= len(words)


class CausalDecoder(Decoder):
    """Decodes with a causal student, or with an ensemble of it and others.

    What two prompts share from the start is read once: keys and values of an episode stay in the cache. So do the
    logits after all partial answers to the last prompt: the search for an accepted text passes them again. In greedy
    decoding the tokens that followed the last time are read ahead: a pass over a few tokens takes hardly longer than
    over one, and much of an answer was generated or read before (2304.04487).
    """

    def __init__(self, student: TextStudent, others: Sequence[TextStudent] = (), branches: bool = True) -> None:
        super().__init__(student)
        dtype = torch.bfloat16 if halves_speedup() > WORTH else torch.float32
        models = [incremental(one.model.eval(), student.prompt.context, dtype) for one in (student, *others)]
        self._model = Ensemble(models) if others else models[0]
        alone = models[0] if branches and not others else None
        self._branching = alone if isinstance(alone, LeanLlama) and alone.branches else None
        self._ids: list[int] = []
        self._logits = torch.empty(0)  # (1 + tokens read ahead, vocabulary): after the last tokens of `_ids`
        self._prompt: list[int] = []
        self._known: dict[tuple[int, ...], torch.Tensor] = {}  # logits after `_prompt` and a partial answer

    @torch.inference_mode()
    def read(self, ids: Sequence[int], ahead: Sequence[int] = ()) -> torch.Tensor:
        """Reads tokens; returns the logits (vocabulary,) of the next one.

        Tokens `ahead` that may follow are read in the same pass, so that the logits after them are known if they do.
        """
        ids, known = list(ids), self._ids[: len(ids)]
        extra = len(self._ids) - len(ids)
        if known == ids and extra < len(self._logits):
            return self._logits[-1 - extra]
        common = min(_common(known, ids), len(ids) - 1)  # the last one is always read: its logits are wanted
        self._ids = [*ids, *ahead]
        self._logits = self._model.run(self._ids[common:], common, 1 + len(ahead))
        self.tokens_read += len(self._ids) - common
        return self._logits[0]

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        """See `Decoder.prefers`; the second token is read ahead."""
        logits = self.read(prompt, [second])
        return bool(logits[first] >= logits[second])

    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """See `Decoder.rank`.

        Best first by partial answers: an answer only gets less probable with every token, so the first one completed is
        the best, and few of thousands of answers are ever read. Several in one pass where the model reads branches.
        """
        if self._branching is not None:
            return self._rank_branches(self._branching, list(prompt), answers)
        ids, frontier = list(prompt), [(0.0, 0, list(range(len(answers))))]
        while True:
            cost, length, numbers = heapq.heappop(frontier)
            longer: dict[int, list[int]] = {}
            for number in numbers:
                if len(answers[number]) == length:
                    return number
                longer.setdefault(answers[number][length], []).append(number)
            logs = self._logits_after(ids, answers[numbers[0]][:length]).log_softmax(-1)
            for token, with_token in longer.items():
                heapq.heappush(frontier, (cost - float(logs[token]), length + 1, with_token))

    @torch.inference_mode()
    def _rank_branches(self, model: LeanLlama, prompt: list[int], answers: Sequence[Sequence[int]]) -> int:
        """The same, with several partial answers in one pass."""
        ranked = BranchRanking(model, len(prompt), self.read(prompt), answers).best()
        self._ids, self._logits = [*prompt, *ranked.read], ranked.logits[None]
        self.tokens_read += ranked.tokens
        return ranked.number

    def _logits_after(self, prompt: list[int], answer: Sequence[int], read_ahead: bool = False) -> torch.Tensor:
        if prompt != self._prompt:
            self._prompt, self._known = prompt, {}
        key = tuple(answer)
        if key not in self._known:
            ids = [*prompt, *answer]
            self._known[key] = self.read(ids, likely_next(ids) if read_ahead else ())
        return self._known[key]


class EpisodeDecoder:
    """A student that decodes within one episode."""

    def __init__(self, student: TextStudent, decoder: Decoder, episode: EpisodeEncoder) -> None:
        self._student, self._decoder, self._episode = student, decoder, episode

    @property
    def goal(self) -> str:
        """The current sub-goal; empty where there is none."""
        return self._episode.goal

    def generate_goal(self, allows: Predicate | None = None, accepts: Predicate | None = None) -> Generated:
        """The sub-goal that the student generates, of allowed words and accepted."""
        return self._decoder.generate(self._episode.window.ids, allows, accepts)

    def generate_action(self, allows: Predicate | None = None, accepts: Predicate | None = None) -> Generated:
        """The action that the student generates, of allowed words and accepted."""
        return self._decoder.generate(self._action_prompt(), allows, accepts)

    def rank_goals(self, goals: Sequence[str]) -> Generated:
        """The most probable of some sub-goals."""
        answers = [self._episode.answer(goal) for goal in goals]
        return Generated(goals[self._decoder.rank(self._episode.window.ids, answers)])

    def rank_actions(self, actions: Sequence[str]) -> int:
        """The number of the most probable of some actions."""
        return self._decoder.rank(self._action_prompt(), [self._episode.answer(action) for action in actions])

    def prefers_done(self) -> bool:
        """Whether the end of the sub-goal is at least as probable as another action."""
        mark = self._student.mark
        return self._decoder.prefers(self._episode.window.ids, mark[DONE], mark[ACT])

    def certainty(self, text: str, logs: Sequence[float], beginning: str) -> float:
        """The probability of a generated text, given how it begins."""
        answer, given = self._episode.answer(text), self._student.encode(normalize(beginning))
        skipped = len(given) if answer[: len(given)] == given else 0
        return math.exp(sum(logs[skipped:]))

    def _action_prompt(self) -> list[int]:
        return [*self._episode.window.ids, self._student.mark[ACT]]


def likely_next(ids: list[int]) -> list[int]:
    """Up to four tokens that followed where the last three tokens stood before, or the last two, or the last one."""
    back = ids[::-1]
    position, found, longest = 0, 0, 0
    for _ in range(back.count(back[0]) - 1):
        position = back.index(back[0], position + 1)
        matched = next((n for n in range(_MATCHED, 1, -1) if back[position : position + n] == back[:n]), 1)
        if matched > longest:
            found, longest = position, matched
        if longest == _MATCHED:
            break
    return back[max(0, found - _AHEAD) : found][::-1]


def _common(ours: list[int], theirs: list[int]) -> int:
    """The number of tokens that two sequences share from their start."""
    if theirs[: len(ours)] == ours:
        return len(ours)
    return next(place for place, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other)


_BATCH = 64  # answers ranked side by side


class Seq2SeqDecoder(Decoder):
    """Decodes with an encoder-decoder student: its encoder reads the prompt, its decoder generates and ranks answers.

    A prompt ends where the answer begins, as in training: a final `<act>` is the answer's first token. The last prompt
    stays encoded.
    """

    def __init__(self, student: TextStudent) -> None:
        super().__init__(student)
        self._model = student.model.eval()
        self._prompt: tuple[int, ...] = ()
        self._encoded: Any = None

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        """See `Decoder.prefers`."""
        logits = self._logits_after(prompt, [])
        return bool(logits[first] >= logits[second])

    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        """See `Decoder.rank`."""
        encoded, begun = self._encode(prompt)
        found: list[float] = []
        for start in range(0, len(answers), _BATCH):
            rows = [[*begun, *answer] for answer in answers[start : start + _BATCH]]
            width = max(map(len, rows))
            padded = [row + [self._student.pad] * (width - len(row)) for row in rows]
            logs = self._logits(encoded, [row[:-1] for row in padded]).log_softmax(-1)
            of_tokens = logs.gather(-1, torch.tensor(padded, device=logs.device).unsqueeze(-1)).squeeze(-1)
            found += [float(of_tokens[i, len(begun) : len(row)].sum()) for i, row in enumerate(rows)]
        return max(range(len(answers)), key=found.__getitem__)

    def _logits_after(self, prompt: Sequence[int], answer: Sequence[int], read_ahead: bool = False) -> Tensor:
        encoded, begun = self._encode(prompt)
        return self._logits(encoded, [[*begun, *answer]])[0, -1]

    @torch.inference_mode()
    def _encode(self, ids: Sequence[int]) -> tuple[Tensor, list[int]]:
        """The encoded prompt (1, T, width), and the tokens with which the answer has begun."""
        begun = [ids[-1]] if ids[-1] == self._student.mark[ACT] else []
        prompt = tuple(ids[: len(ids) - len(begun)])
        if prompt != self._prompt:
            tokens = torch.tensor([prompt], device=self._model.device)
            self._encoded = self._model.get_encoder()(input_ids=tokens, attention_mask=torch.ones_like(tokens))
            self._prompt = prompt
            self.tokens_read += len(prompt)
        return self._encoded.last_hidden_state, begun

    @torch.inference_mode()
    def _logits(self, encoded: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
        """Logits (rows, 1 + tokens, vocabulary) before each token of the rows and after the last."""
        start = self._model.config.decoder_start_token_id
        inputs = torch.tensor([[start, *row] for row in rows], device=encoded.device)
        hidden = encoded.expand(len(rows), -1, -1)
        self.tokens_read += inputs.numel()
        mask = torch.ones(hidden.shape[:2], dtype=torch.long, device=encoded.device)
        output = self._model(encoder_outputs=(hidden,), attention_mask=mask, decoder_input_ids=inputs)
        logits: Tensor = output.logits.float()
        return logits


def decoder_for(student: TextStudent, others: Sequence[TextStudent] = ()) -> Decoder:
    """The decoder of a student, or of an ensemble with others."""
    return Seq2SeqDecoder(student) if student.model.config.is_encoder_decoder else CausalDecoder(student, others)
