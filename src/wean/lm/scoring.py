"""Exact log-probabilities of candidates as answers, every shared token computed once.

Candidates behind a prompt are a trie: the prompt is its stem, and candidates (or prompts) with a shared prefix share
branches. All inner nodes are run through the model exactly once, in rows of up to `BUDGET` nodes behind one cache: what
all share runs first and stays in the cache; behind it each node sees the cache, its ancestors and itself (a tree-shaped
attention mask), at its position in its own sequence. Nothing is copied per candidate and nothing is padded.

Otherwise the prompt's cache is copied for every candidate (`score_rows`), for models that cannot take a tree mask
(sliding windows, relative positions) and decoders behind an encoder. Where a cache cannot be copied either (recurrent
and hybrid models), every candidate is one ordinary pass without a cache. On SmolLM2-135M
(`benchmarks/scoring.py`) the tree row is faster with 24 candidates and several times faster with 400. What a
model honours is checked once on a small tree against ordinary passes.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Sequence
from typing import Any, Literal

import torch

from wean.errors import UsageError, WeanError, shown_error
from wean.lm.prompts import Question
from wean.lm.trie import Step, TokenTrie

Normalisation = Literal["sum", "token", "word"]
Strategy = Literal["tree", "rows", "whole"]

NORMALISATIONS: tuple[Normalisation, ...] = ("sum", "token", "word")
BUDGET = 512
"""Nodes of a trie that are run in one pass."""

_ROWS = 32
_SUMMED_ROWS = 16


class Scorer:
    """Scores the answers to questions with one causal or encoder-decoder model of transformers.

    Attributes:
        strategy: `tree`, `rows` or `whole`; None until the first call has found out what the model can do.
        nodes_run: Tokens of the last call that went through the model (encoder tokens not counted).
    """

    def __init__(self, model: Any, strategy: Strategy | None = None) -> None:
        self.model = model
        self.strategy = strategy
        self.nodes_run = 0

    def score(
        self,
        questions: Sequence[Question],
        candidates: Sequence[Sequence[str]],
        normalisation: Normalisation = "sum",
    ) -> list[list[float]]:
        """One number for every answer of every question; `candidates` are their texts, see `LocalModel.score_batch`.

        Raises:
            UsageError: Unknown normalisation.
        """
        if normalisation not in NORMALISATIONS:
            raise UsageError(f"unknown normalisation {normalisation!r}: choose from {', '.join(NORMALISATIONS)}")
        with torch.inference_mode():
            sums = self.log_probabilities(questions)
        return [
            [
                total / _measure(normalisation, answer, text)
                for total, answer, text in zip(totals, question.answers, texts, strict=True)
            ]
            for totals, question, texts in zip(sums, questions, candidates, strict=True)
        ]

    def log_probabilities(self, questions: Sequence[Question]) -> list[list[float]]:
        """Natural logarithm of the probability of every answer: the sum over its tokens."""
        if not questions:
            return []
        self.nodes_run = 0
        if self.strategy is None:
            if takes_tree_masks(self.model):
                self.strategy = "tree"
            else:
                self.strategy = "rows" if copies_caches(self.model) else "whole"
        if self.strategy == "whole":
            self.nodes_run = sum(len(one.prompt) + len(answer) for one in questions for answer in one.answers)
            return [plain_log_probabilities(self.model, question) for question in questions]
        if self.strategy == "rows":
            scored = [score_rows(self.model, question) for question in questions]
            self.nodes_run = sum(nodes for _, nodes in scored)
            return [sums for sums, _ in scored]
        trie = TokenTrie()
        paths: list[list[list[int]]] = []
        for question in questions:
            stem = trie.insert(question.prompt)[-1]
            paths.append([trie.insert(answer, stem) for answer in question.answers])
        wanted = {node for answers in paths for path in answers for node in path}
        found = self.run_tree(trie, wanted)
        return [[math.fsum(found[node] for node in path) for path in answers] for answers in paths]

    def run_tree(self, trie: TokenTrie, scored: set[int]) -> dict[int, float]:
        """Log-probability of each scored node given its ancestors."""
        cache = new_cache(self.model)
        found: dict[int, float] = {}
        for step in trie.plan(BUDGET):
            excess = cache.get_seq_length() - step.past
            if excess > 0:
                cache.crop(-excess)
            asked = [
                (row, child) for row, node in enumerate(step.nodes) for child in trie.children[node] if child in scored
            ]
            rows = sorted({row for row, _ in asked})
            logits = self._forward(trie, step, cache, rows)
            self.nodes_run += len(step.nodes)
            if not rows:
                continue
            place = {row: index for index, row in enumerate(rows)}
            picked = log_probability(
                logits, [place[row] for row, _ in asked], [trie.tokens[child] for _, child in asked]
            )
            found.update(zip((child for _, child in asked), picked, strict=True))
        return found

    def _forward(self, trie: TokenTrie, step: Step, cache: Any, rows: Sequence[int]) -> torch.Tensor:
        """Runs one step; returns the logits behind the given rows, (rows, vocabulary)."""
        device = self.model.device
        ids = torch.tensor([[trie.tokens[node] for node in step.nodes]], device=device)
        options: dict[str, Any] = {}
        parents = [trie.parents[node] for node in step.nodes]
        if parents[1:] != step.nodes[:-1]:
            # An additive float mask, since every attention implementation understands it.
            seen = torch.from_numpy(trie.ancestors(step.nodes)).to(device)
            mask = torch.zeros(
                1, 1, len(step.nodes), step.past + len(step.nodes), dtype=self.model.dtype, device=device
            )
            mask[0, 0, :, step.past :].masked_fill_(~seen, torch.finfo(self.model.dtype).min)
            options["attention_mask"] = mask
            options["position_ids"] = torch.tensor([[trie.depths[node] for node in step.nodes]], device=device)
        # The head is a third of a small model's work: it runs only where an answer's token is asked for.
        keep = torch.tensor(rows or [len(step.nodes) - 1], device=device)
        output = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=keep, **options)
        logits: torch.Tensor = output.logits[0]
        return logits


def new_cache(model: Any) -> Any:
    """An empty cache of the kind that the model wants."""
    from transformers import DynamicCache

    return DynamicCache(config=model.config)


def takes_tree_masks(model: Any) -> bool:
    """Whether a model can run a trie in one row.

    Every layer must keep all keys (no sliding window, no recurrent state), and a small bushy tree must give the logits
    of an ordinary pass, unlike in a model that takes positions from places in the row.
    """
    if model.config.is_encoder_decoder or model.config._attn_implementation not in ("sdpa", "eager"):
        return False
    from transformers.cache_utils import DynamicLayer

    cache = new_cache(model)
    probe, question = Scorer(model, "tree"), _probe(model)
    trie = TokenTrie()
    stem = trie.insert(question.prompt)
    ends = [trie.insert(answer, stem[-1]) for answer in question.answers]
    try:
        with torch.inference_mode():
            found = probe.run_tree(trie, {node for path in ends for node in path})
            prompt = torch.tensor([question.prompt], device=model.device)
            model(input_ids=prompt, past_key_values=cache, use_cache=True)
            if any(type(layer) is not DynamicLayer for layer in cache.layers):
                return False
            plain = plain_log_probabilities(model, question)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        # A model without `position_ids`, `logits_to_keep` or four-dimensional masks raises one of these.
        return False
    return _agree(model, [math.fsum(found[node] for node in path) for path in ends], plain)


def copies_caches(model: Any) -> bool:
    """Whether copies of a prompt's cache, one for each candidate, give the numbers of ordinary passes."""
    question = _probe(model)
    try:
        with torch.inference_mode():
            copied = score_rows(model, question)[0]
    except Exception:  # caches of recurrent layers lack methods, have other shapes, or other names
        return False
    with torch.inference_mode():
        return _agree(model, copied, plain_log_probabilities(model, question))


def _probe(model: Any) -> Question:
    """A small bushy question for a model."""
    # Tokens from the middle of the vocabulary: a model's special tokens can be untrained and noisy.
    vocabulary = model.get_input_embeddings().num_embeddings
    token = [vocabulary // 3 + i % max(1, vocabulary // 3) for i in range(24)]
    return Question(token[:12], [[token[12 + i], token[3], token[5], token[12 + i], token[7]] for i in range(8)])


def _agree(model: Any, found: Sequence[float], plain: Sequence[float]) -> bool:
    slack = 1e-5 if model.dtype == torch.float32 else 1e-2
    return all(abs(a - b) < slack * max(1.0, abs(b)) for a, b in zip(found, plain, strict=True))


def score_rows(model: Any, question: Question) -> tuple[list[float], int]:
    """Scores the answers of one question with a copied cache: every answer is a row behind a copy of the prompt's.

    Answers are padded on the right, behind the last token of their row, which a causal model cannot see. An answer that
    is a prefix of another one shares its row. Returns the log-probability of each answer, and how many tokens went
    through the model (padding included, an encoder's not).
    """
    trie = TokenTrie()
    paths = [trie.insert(answer) for answer in question.answers]
    # One row per longest inner path: an answer that another one begins with has its tokens in that row.
    ends = [n for n in range(len(trie)) if trie.children[n] and not trie.inner(trie.children[n])]
    rows = [trie.path(end) for end in ends]
    reader = (_EncoderReader if model.config.is_encoder_decoder else _CausalReader)(model, question)
    nodes = reader.nodes
    first = log_probability(reader.logits, [0] * len(trie.tops), [trie.tokens[top] for top in trie.tops])
    found = dict(zip(trie.tops, first, strict=True))
    for start in range(0, len(rows), _ROWS):
        group = rows[start : start + _ROWS]
        width = max(map(len, group))
        ids = torch.tensor([[trie.tokens[n] for n in row] + [0] * (width - len(row)) for row in group])
        logits = reader.continued(ids.to(model.device))
        nodes += ids.numel()
        for line, row in enumerate(group):
            asked = [(i, c) for i, node in enumerate(row) for c in trie.children[node] if c not in found]
            values = log_probability(logits[line], [i for i, _ in asked], [trie.tokens[c] for _, c in asked])
            found.update(zip((c for _, c in asked), values, strict=True))
    return [math.fsum(found[node] for node in path) for path in paths], nodes


class _CausalReader:
    """The cache of a prompt of a decoder-only model, and the logits behind it."""

    def __init__(self, model: Any, question: Question) -> None:
        self.model = model
        self.nodes = len(question.prompt)
        ids = torch.tensor([question.prompt], device=model.device)
        # Only the last logits are asked for: those of a long prompt would be the largest thing in memory.
        last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
        output = model(input_ids=ids, use_cache=True, **last)
        self.cache = output.past_key_values
        self.logits: torch.Tensor = output.logits[:, -1]

    def continued(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits behind each token of the rows, (rows, width, vocabulary)."""
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(ids.shape[0])
        logits: torch.Tensor = self.model(input_ids=ids, past_key_values=cache, use_cache=True).logits
        return logits


class _EncoderReader:
    """The encoder's states of a prompt, read once, and the decoder's logits before the first token."""

    def __init__(self, model: Any, question: Question) -> None:
        self.model = model
        self.nodes = 1
        ids = torch.tensor([question.prompt], device=model.device)
        self.states = model.get_encoder()(input_ids=ids).last_hidden_state
        self.start = torch.tensor([[model.config.decoder_start_token_id]], device=model.device)
        output = model(decoder_input_ids=self.start, encoder_outputs=(self.states,), use_cache=True)
        self.cache = output.past_key_values
        self.logits: torch.Tensor = output.logits[:, -1]

    def continued(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits behind each token of the rows, (rows, width, vocabulary)."""
        rows = ids.shape[0]
        cache = copy.copy(self.cache)
        cache.self_attention_cache = copy.deepcopy(self.cache.self_attention_cache)
        cache.self_attention_cache.batch_repeat_interleave(rows)
        # The keys and values of the prompt are the same for all rows: a view for each, no copy.
        cache.cross_attention_cache = copy.copy(self.cache.cross_attention_cache)
        cache.cross_attention_cache.layers = [copy.copy(layer) for layer in self.cache.cross_attention_cache.layers]
        for layer in cache.cross_attention_cache.layers:
            layer.keys = layer.keys.expand(rows, -1, -1, -1)
            layer.values = layer.values.expand(rows, -1, -1, -1)
        states = self.states.expand(rows, -1, -1)
        output = self.model(decoder_input_ids=ids, encoder_outputs=(states,), past_key_values=cache, use_cache=True)
        logits: torch.Tensor = output.logits
        return logits


def log_probability(logits: torch.Tensor, rows: Sequence[int], tokens: Sequence[int]) -> list[float]:
    """Natural log-probability of tokens, each predicted by a row of the logits (n, vocabulary); float32 or better."""
    if not len(rows):
        return []
    index, token = (torch.as_tensor(values, device=logits.device) for values in (rows, tokens))
    # A few rows at a time: a copy of all logits would be the largest thing in memory and slower than the sums.
    normal = torch.cat([torch.logsumexp(_precise(part), dim=-1) for part in torch.split(logits, _SUMMED_ROWS)])
    picked: list[float] = (_precise(logits[index, token]) - normal[index]).tolist()
    return picked


def _precise(values: torch.Tensor) -> torch.Tensor:
    return values if values.dtype == torch.float64 else values.float()


def plain_log_probabilities(model: Any, question: Question) -> list[float]:
    """The same numbers the slow way: one ordinary pass for each candidate, without a cache.

    Raises:
        WeanError: The model fails.
    """
    totals = []
    for answer in question.answers:
        # The logits behind the answer's last token are not asked for.
        logits = whole_logits(model, question.prompt, answer[:-1])[-len(answer) :]
        totals.append(math.fsum(log_probability(logits, range(len(answer)), answer)))
    return totals


def whole_logits(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
    """Logits behind each token of prompt and answer, or of an encoder-decoder's answer alone, from one ordinary pass.

    Raises:
        WeanError: The model fails.
    """
    try:
        if not model.config.is_encoder_decoder:
            ids = torch.tensor([[*prompt, *answer]], device=model.device)
            logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0]
            return logits
        ids = torch.tensor([list(prompt)], device=model.device)
        written = torch.tensor([[model.config.decoder_start_token_id, *answer]], device=model.device)
        behind: torch.Tensor = model(input_ids=ids, decoder_input_ids=written, use_cache=False).logits[0]
        return behind
    except Exception as error:  # an architecture's own code, which may fail in any way
        reason = shown_error(error)
        raise WeanError(f"{type(model).__name__} cannot be run ({reason}); take another model") from error


def _measure(normalisation: Normalisation, answer: Sequence[int], text: str) -> int:
    """What a sum of log-probabilities is divided by."""
    if normalisation == "token":
        return len(answer)
    return len(text.split()) if normalisation == "word" else 1
