"""Language models and sentence encoders on this machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wean.errors import UsageError, WeanError
from wean.extras import quiet, require
from wean.files import read_json, sha256
from wean.lm import cache, packages
from wean.lm.generation import GeneratedText, Sampling, Way, batches, generate_ids, generation_way
from wean.lm.prompts import Messages, PromptWriter
from wean.lm.scoring import Normalisation, Scorer, whole_logits

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_WEIGHT_FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "spiece.model", "merges.txt", "vocab.txt"]


class LocalModel:
    """A loaded language model, causal or encoder-decoder.

    Calls from several threads wait for one another: one forward pass already uses every core.

    Attributes:
        identity: Name and digest of weights and tokenizer, never a path; with the number type where it is not float32,
            since that changes answers too.
        model: The transformers model, in evaluation mode.
        tokenizer: Its tokenizer.
        max_length: Longest sequence that the model can read, in tokens; None where it has no limit of its own.
        prompts: Turns messages into tokens.
        scorer: Scores candidates.
    """

    def __init__(self, model: Any, tokenizer: Any, identity: str) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.identity = identity
        self.max_length = _max_length(model.config)
        self._stop_ids = _stop_ids(model, tokenizer)
        self.prompts = PromptWriter(
            tokenizer, encoder_decoder=bool(model.config.is_encoder_decoder), stop_ids=self._stop_ids
        )
        self.scorer = Scorer(model)
        self._way: Way | None = None
        self._lock = threading.Lock()

    def generate(
        self,
        requests: Sequence[Messages],
        n: int = 1,
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
    ) -> list[list[GeneratedText]]:
        """Answers each request (a list of `{"role", "content"}`) n times.

        The answers to a request depend on its messages, the seed and the number of the sample, and not on the other
        requests of the call (up to rounding of the batched products).

        Args:
            requests: The requests.
            n: Answers per request; with temperature 0 they are all the same.
            temperature: 0 is greedy.
            top_p: Probability mass that is kept; in (0, 1].
            max_tokens: Longest answer in tokens; less where the model's context ends before.
            seed: Same seed, same answers; None draws fresh ones.

        Raises:
            UsageError: A parameter is out of range or a message has a wrong shape.
            WeanError: A prompt is longer than the model can read.
        """
        if n < 1 or max_tokens < 1:
            raise UsageError("n and max_tokens must be at least 1")
        if temperature < 0 or not 0 < top_p <= 1:
            raise UsageError("temperature must be 0 or more and top_p in (0, 1]")
        prompts = [self.prompts.prompt_ids(request) for request in requests]
        for prompt in prompts:
            self._check_length(len(prompt), answer=1)
        copies = 1 if temperature == 0 else n
        sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed)
        pad_id = self.tokenizer.pad_token_id
        pad_id = 0 if pad_id is None else pad_id
        with self._lock:
            self._way = self._way or generation_way(self.model, pad_id)
            answers = generate_ids(
                self.model,
                prompts,
                copies,
                sampling,
                stop_ids=self._stop_ids,
                pad_id=pad_id,
                limit=self.max_length,
                way=self._way,
            )
        texts = [
            [GeneratedText(self.prompts.decode(ids), len(prompt), len(ids), ids[-1] in self._stop_ids) for ids in rows]
            for prompt, rows in zip(prompts, answers, strict=True)
        ]
        return [rows * n if copies == 1 else rows for rows in texts]

    def score(
        self,
        messages: Messages,
        candidates: Sequence[str],
        normalisation: Normalisation = "sum",
        *,
        end_of_turn: bool = True,
    ) -> list[float]:
        """Log-probability of each candidate as the answer to one request; see `score_batch`."""
        return self.score_batch([messages], [candidates], normalisation, end_of_turn=end_of_turn)[0]

    def score_batch(
        self,
        requests: Sequence[Messages],
        candidates: Sequence[Sequence[str]],
        normalisation: Normalisation = "sum",
        *,
        end_of_turn: bool = True,
    ) -> list[list[float]]:
        """Log-probability of each candidate as the answer to its request.

        By default the token that ends the turn is part of the answer, so `go` and `go north` are different answers, and
        the probabilities of all possible answers sum to one. With `end_of_turn=False` it is the probability that the
        answer begins with the candidate, which for `go` is never smaller than for `go north`. What several requests
        begin with is read and stored once.

        Args:
            requests: Each a list of messages.
            candidates: For each request its candidates; repeated ones get equal numbers.
            normalisation: `sum` is the log-probability; `token` divides it by the number of scored tokens; `word` by
                the candidate's words, split at white space.
            end_of_turn: Whether the answer must end after the candidate.

        Raises:
            UsageError: No candidate, an empty one, or an unknown normalisation.
            WeanError: Prompt and candidate together are longer than the model can read.
        """
        if len(requests) != len(candidates):
            raise UsageError(f"{len(requests)} requests but {len(candidates)} lists of candidates: give one list each")
        questions = [
            self.prompts.question(request, texts, end_of_turn=end_of_turn)
            for request, texts in zip(requests, candidates, strict=True)
        ]
        for question in questions:
            self._check_length(len(question.prompt), answer=max(map(len, question.answers)))
        with self._lock:
            return self.scorer.score(questions, candidates, normalisation)

    def _check_length(self, prompt: int, answer: int) -> None:
        # An encoder's prompt and its answer do not share one sequence; the answers of agents are short.
        total = prompt if self.model.config.is_encoder_decoder else prompt + answer
        if self.max_length is not None and total > self.max_length:
            raise WeanError(
                f"the prompt has {prompt} tokens and {self.identity.split('@')[0]} reads at most "
                f"{self.max_length}, answer included: shorten the situation or take a model that reads more"
            )


def load_model(name_or_path: str | Path, *, device: str | None = None, dtype: str = "float32") -> LocalModel:
    """Loads a language model.

    Args:
        name_or_path: A model that came as a package (`smollm2-135m`), a folder in the layout of transformers, a `.gguf`
            file (converted once, into the cache), or a hub id (`org/name`). A leading `hf:` is ignored.
        device: Where it runs, for example `cpu` or `cuda:0`; None takes a CUDA device where there is one.
        dtype: `float32`, `bfloat16` or `float16`.

    Raises:
        UsageError: No such model, or the extra `lm` is not installed.
        WeanError: The files are there but cannot be loaded.
    """
    transformers = require("transformers")
    if dtype not in _DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}: choose from {', '.join(_DTYPES)}")
    folder, identity = _locate(str(name_or_path).removeprefix("hf:"))
    with cache.loading(name_or_path, "language model of transformers"):
        config = transformers.AutoConfig.from_pretrained(folder)
        kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = kind.from_pretrained(folder, dtype=_DTYPES[dtype])
        loaded = LocalModel(model, tokenizer, identity if dtype == "float32" else f"{identity}+{dtype}")
        _check_works(loaded)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        loaded.model = model.to(place)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {place!r} cannot be used ({str(error).splitlines()[0]}): try device='cpu'") from error
    return loaded


def _check_works(loaded: LocalModel) -> None:
    """Reads a word and writes one in one ordinary pass; what is damaged in a model that loads raises here."""
    with torch.inference_mode():
        logits = whole_logits(loaded.model, loaded.prompts.prompt_ids([{"role": "user", "content": "a"}]), ())[-1]
    loaded.prompts.decode([int(logits.argmax())])


def _locate(name: str) -> tuple[Path, str]:
    """The folder that a name means, and the identity of what is in it."""
    if folder := packages.folder_of(name, "causal"):
        return folder, cache.identity_of(folder)
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise UsageError(f"no file {name}: give a .gguf file, a model folder, or a name from `wean models list`")
        return _converted(path)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(f"{name} has no config.json: give the folder of a transformers model")
        return path, cache.identity_of(path)
    return _from_hub(name)


def _converted(source: Path) -> tuple[Path, str]:
    """The folder of a GGUF file in the cache; converts it on first use."""
    digest = sha256(source)
    target = cache.model_dir(f"gguf-{digest[:16]}")
    if cache.read_manifest(target) is None:
        with cache.building(target) as scratch:
            cache.gguf_to_folder(source.resolve(), scratch)
            identity = f"gguf@sha256:{digest[:16]}"
            cache.write_manifest(scratch, name=target.name, kind="causal", identity=identity, source_sha256=digest)
    return target, cache.identity_of(target)


def _from_hub(name: str) -> tuple[Path, str]:
    hub = require("huggingface_hub")
    try:
        with quiet():
            try:
                folder = hub.snapshot_download(name, allow_patterns=_WEIGHT_FILES, local_files_only=True)
            except (OSError, ValueError):
                folder = hub.snapshot_download(name, allow_patterns=_WEIGHT_FILES)
    except Exception as error:
        # The hub client raises its own, http's and the system's errors; the remedy is the same for all.
        raise UsageError(
            f"no model {name!r}: not a folder or file, not in `wean models list`, "
            f"and the hub did not answer for it ({type(error).__name__})"
        ) from error
    return Path(folder), cache.identity_of(Path(folder), name)


def _max_length(config: Any) -> int | None:
    """Positions that a model has; None for relative positions, which have no end."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    if getattr(text, "relative_attention_num_buckets", None) is not None:
        return None
    length = getattr(text, "max_position_embeddings", None)
    return int(length) if length else None


def _stop_ids(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer: those of the generation settings, and the tokenizer's end of text."""
    declared = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = [declared] if isinstance(declared, int) else list(declared or [])
    if tokenizer.eos_token_id is not None:
        ids.append(tokenizer.eos_token_id)
    return [int(i) for i in dict.fromkeys(ids)]


_BATCH_TOKENS = 8192


class SentenceEncoder:
    """A sentence encoder as sentence-transformers publishes them: a transformer, mean pooling, unit length.

    `identity` is name and digest of weights and tokenizer; `size` counts the numbers per sentence; tokens after
    `max_length` are cut off, as the model was trained.
    """

    def __init__(self, model: Any, tokenizer: Any, identity: str, *, max_length: int, normalise: bool) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.identity = identity
        self.size = int(model.config.hidden_size)
        self.max_length = max_length
        self._normalise = normalise
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (N, size) float32 of texts, of length 1 where the model is specified so (`minilm` is).

        Raises:
            UsageError: `texts` is a single string.
        """
        if isinstance(texts, str):
            raise UsageError("encode takes a list of texts: write encode([text])")
        found = np.zeros((len(texts), self.size), dtype=np.float32)
        if not texts:
            return found
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.max_length)["input_ids"]
        with self._lock, torch.inference_mode():
            for group in batches(list(map(len, ids)), max_rows=len(ids), max_tokens=_BATCH_TOKENS):
                found[group] = self._batch([ids[i] for i in group])
        return found

    def _batch(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        padded = self.tokenizer.pad({"input_ids": [list(row) for row in rows]}, return_tensors="pt")
        mask = padded["attention_mask"].to(self.model.device)
        states = self.model(input_ids=padded["input_ids"].to(self.model.device), attention_mask=mask).last_hidden_state
        vectors: NDArray[np.float32] = self.pool(states, mask).float().cpu().numpy()
        return vectors

    def pool(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Vectors (N, size) of sentences from the states (N, T, size) of their tokens, of which `mask` has the real."""
        # The mean over real tokens only; the special ones at both ends count, as in training.
        weights = mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1e-9)
        return torch.nn.functional.normalize(pooled, dim=-1) if self._normalise else pooled


def load_encoder(name_or_path: str | Path = "minilm", *, device: str | None = None) -> SentenceEncoder:
    """Loads a sentence encoder: `minilm`, or a folder in the layout of sentence-transformers with mean pooling.

    It runs on `device`; None takes a CUDA device where there is one.

    Raises:
        UsageError: No such model, or the extra `lm` is not installed.
        WeanError: The folder cannot be loaded, or asks for another kind of pooling.
    """
    transformers = require("transformers")
    folder = _encoder_folder(str(name_or_path))
    pooling = _setting(folder / "1_Pooling" / "config.json")
    if pooling and not pooling.get("pooling_mode_mean_tokens", False):
        raise WeanError(
            f"{name_or_path} does not pool by the mean of its tokens: use an encoder that does, e.g. minilm"
        )
    modules = _setting(folder / "modules.json") or []
    normalise = any(str(module.get("type", "")).endswith("Normalize") for module in modules)
    with cache.loading(name_or_path, "sentence encoder"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)
    limit = int(getattr(model.config, "max_position_embeddings", 512))
    chosen = (_setting(folder / "sentence_bert_config.json") or {}).get("max_seq_length") or limit
    model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return SentenceEncoder(
        model, tokenizer, cache.identity_of(folder), max_length=min(int(chosen), limit), normalise=normalise
    )


def _encoder_folder(name: str) -> Path:
    if folder := packages.folder_of(name, "encoder"):
        return folder
    path = Path(name).expanduser()
    if not (path / "config.json").is_file():
        raise UsageError(f"no sentence encoder {name!r}: give a model folder, or a name from `wean models list`")
    return path


def _setting(path: Path) -> Any:
    return read_json(path, "get the model again") if path.is_file() else None
