"""Models that run in this process, by way of `wean.lm`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from wean.errors import UsageError
from wean.llm.backends.backend import Reply
from wean.llm.prices import FREE, Price
from wean.llm.question import Question, Sample, estimate_tokens


class LocalBackend:
    """Generates and scores with a local transformers model, loaded when first needed.

    Args:
        name: A directory, hub id, GGUF file, or the short name of a fetched model.
        batch_size: Questions given to the model at once.
        options: What `wean.lm.model.load_model` takes.
    """

    concurrency = 1
    can_score = True
    price: Price | None = FREE

    def __init__(self, name: str, batch_size: int = 32, **options: Any) -> None:
        if not name:
            raise UsageError("hf: needs a directory, hub id or short name, such as hf:smollm2-135m")
        if batch_size < 1:
            raise UsageError(f"batch_size is at least 1, not {batch_size}")
        self.name = f"hf:{name}"
        self.batch_size = batch_size
        self.extra: dict[str, Any] = {}
        self._spec = name
        self._options = options
        self._loaded: Any = None
        self._provenance: dict[str, str] = {}
        # One forward pass uses all cores; a second thread beside it would only take memory.
        self._lock = threading.RLock()

    @property
    def identity(self) -> str:
        """Name and digest of the weights; loads the model."""
        return str(self._model().identity)

    def ask(self, samples: Sequence[Sample]) -> list[Reply]:
        """Answers samples in batches of equal parameters."""
        replies: dict[int, Reply] = {}
        with self._lock:
            for group in _groups(samples):
                ask = self._score if samples[group[0]][0].kind == "score" else self._generate
                start = time.perf_counter()
                answered = ask([samples[position] for position in group])
                seconds = (time.perf_counter() - start) / len(group)
                for position, (text, read, written, estimated) in zip(group, answered, strict=True):
                    replies[position] = Reply(text, read, written, estimated, seconds, 0.0, provenance=self._provenance)
        return [replies[position] for position in range(len(samples))]

    def close(self) -> None:
        """Lets go of the weights."""
        with self._lock:
            self._loaded = None

    def _generate(self, samples: list[Sample]) -> list[tuple[str, int, int, bool]]:
        parameters = samples[0][0].parameters
        seed = parameters.get("seed")
        sampling = {
            "temperature": parameters.get("temperature", 1.0),
            "top_p": parameters.get("top_p", 1.0),
            "max_tokens": parameters.get("max_tokens", 512),
        }
        if seed is None:
            return self._generate_together(samples, sampling)
        # With a seed, sample i is the same whether it was asked alone or beside others, so each has its own
        # call.
        answers = self._model().generate(
            [question.messages for question, _ in samples], 1, **sampling, seed=seed + samples[0][1]
        )
        return [(answer.text, answer.prompt_tokens, answer.completion_tokens, False) for (answer,) in answers]

    def _generate_together(self, samples: list[Sample], sampling: dict[str, Any]) -> list[tuple[str, int, int, bool]]:
        """Without a seed the samples of a question are exchangeable, and share one reading of its prompt."""
        by_question: dict[bytes, list[int]] = {}
        for position, (question, _) in enumerate(samples):
            by_question.setdefault(question.digest, []).append(position)
        result: dict[int, tuple[str, int, int, bool]] = {}
        by_number: dict[int, list[list[int]]] = {}
        for positions in by_question.values():
            by_number.setdefault(len(positions), []).append(positions)
        for n, groups in by_number.items():
            requests = [samples[positions[0]][0].messages for positions in groups]
            answers = self._model().generate(requests, n, **sampling, seed=None)
            for positions, texts in zip(groups, answers, strict=True):
                for position, answer in zip(positions, texts, strict=True):
                    result[position] = (answer.text, answer.prompt_tokens, answer.completion_tokens, False)
        return [result[position] for position in range(len(samples))]

    def _score(self, samples: list[Sample]) -> list[tuple[str, int, int, bool]]:
        questions = [question for question, _ in samples]
        scores = self._model().score_batch(
            [question.messages for question in questions],
            [question.parameters["candidates"] for question in questions],
            questions[0].parameters["normalisation"],
        )
        return [
            (json.dumps([float(value) for value in values]), _estimate(question), 0, True)
            for question, values in zip(questions, scores, strict=True)
        ]

    def _model(self) -> Any:
        with self._lock:
            if self._loaded is None:
                from wean.lm.model import load_model

                self._loaded = load_model(self._spec, **self._options)
                # Another version of the library may round differently: not another question, but worth knowing.
                self._provenance = {"engine": _engine()}
            return self._loaded


def _engine() -> str:
    versions = []
    for package in ("transformers", "torch"):
        with suppress(PackageNotFoundError):
            versions.append(f"{package} {version(package)}")
    return ", ".join(versions)


def _estimate(question: Question) -> int:
    candidates = sum(len(candidate) for candidate in question.parameters["candidates"])
    return estimate_tokens(question.characters + candidates)


def _groups(samples: Sequence[Sample]) -> list[list[int]]:
    """Positions of samples that one call of the model can answer together."""
    groups: dict[object, list[int]] = {}
    for position, (question, number) in enumerate(samples):
        parameters = question.parameters
        if question.kind == "score":
            alike: object = ("score", parameters["normalisation"])
        else:
            sampling = tuple(parameters.get(name) for name in ("temperature", "top_p", "max_tokens", "seed"))
            alike = ("generate", sampling, number if "seed" in parameters else None)
        groups.setdefault(alike, []).append(position)
    return list(groups.values())
