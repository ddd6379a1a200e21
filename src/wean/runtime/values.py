"""Values of actions in words: what the student kept from training, and its sentence encoder for what is new."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .acting import posterior
from .folder import Folder, PolicyError
from .proposals import KeptProposals

_MOST_TEXTS = 4096  # new texts whose vectors are kept


class Words(NamedTuple):
    """A situation: what it says, and what can be chosen."""

    text: str
    choices: tuple[str, ...]


class Values:
    """Values the actions of situations, and turns them into probabilities with the prior's proposals.

    Args:
        folder: The exported folder.
        threads: Threads of a network.

    Raises:
        ExportError: The folder is damaged.
    """

    def __init__(self, folder: Folder, threads: int) -> None:
        self._folder, self._threads = folder, threads
        self._temperature = float(folder.field("temperature", int, float))
        self._session = folder.session("model.onnx", threads)
        self._by_text = folder.field("encoder", dict, type(None)) is not None
        self._encode: Any = None
        try:
            kept = json.loads(folder.read("situations.json"))
            texts: list[str] = kept["texts"]
            moments = [Words(texts[text], tuple(texts[one] for one in choices)) for text, choices in kept["moments"]]
            self._numbers = {words: number for number, words in enumerate(moments)}
            self._proposed = {
                moments[int(number)]: np.array(row, np.float32) for number, row in kept["proposals"].items()
            }
            self._kept = KeptProposals((*words, row.tolist()) for words, row in self._proposed.items())
            self._vectors: dict[str, NDArray[np.float32]] = {}
            if self._by_text:
                rows = np.load(io.BytesIO(folder.read("vectors.npy")), allow_pickle=False)
                self._vectors = dict(zip(texts, rows, strict=True))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            if isinstance(error, PolicyError):
                raise
            raise folder.damaged("situations.json and vectors.npy do not belong together") from None
        self._known = len(self._vectors)

    def choose(self, situations: Sequence[Any], greedy: bool) -> NDArray[np.float64]:
        """Probabilities (B, A) of the actions of B situations.

        Raises:
            PolicyError: One is no situation, or a text is new and its encoder cannot be used.
        """
        met = _met(situations)
        values = self._of(met)
        return posterior(values, self._prior(met, values.shape[1]), 0.0 if greedy else self._temperature)

    def of(self, situations: Sequence[Any]) -> NDArray[np.float32]:
        """Values (B, A) of the actions of B situations, arbitrary beyond the actions of one with fewer.

        Raises:
            PolicyError: See `choose`.
        """
        return self._of(_met(situations))

    def _of(self, met: Sequence[Words]) -> NDArray[np.float32]:
        width = max(len(one.choices) for one in met)
        if not self._by_text:
            unknown = len(self._numbers)
            rows = np.array([self._numbers.get(one, unknown) for one in met], np.int64)
            (table,) = self._session.run(("values",), {"rows": rows})
            if width > table.shape[1]:
                raise PolicyError(
                    f"the table values {table.shape[1]} actions, the situation offers {width}; offer fewer"
                )
            found: NDArray[np.float32] = table[:, :width]
            return found
        self._learn([text for one in met for text in (one.text, *one.choices)])
        places: dict[str, int] = {}
        pairs = np.zeros((len(met), width), np.int64)
        for row, one in enumerate(met):
            pairs[row, : len(one.choices)] = [places.setdefault(choice, len(places)) for choice in one.choices]
        given = {
            "situations": np.stack([self._vectors[one.text] for one in met]),
            "actions": np.stack([self._vectors[choice] for choice in places]),
            "pairs": pairs,
        }
        (values,) = self._session.run(("values",), given)
        valued: NDArray[np.float32] = values
        return valued

    def _prior(self, met: Sequence[Words], width: int) -> NDArray[np.float32]:
        """(B, width) what the prior proposed there in training, or with the same text; elsewhere uniform."""
        prior = np.zeros((len(met), width), np.float32)
        for row, one in enumerate(met):
            proposed = self._proposed.get(one)
            proposed = self._kept.recall(*one) if proposed is None else proposed
            prior[row, : len(one.choices)] = np.float32(1 / len(one.choices)) if proposed is None else proposed
        return prior

    def _learn(self, texts: Sequence[str]) -> None:
        """Encodes texts that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if not new:
            return
        if len(self._vectors) > self._known + _MOST_TEXTS:  # the oldest new ones go
            for text in list(self._vectors)[self._known : self._known + _MOST_TEXTS // 2]:
                if text not in texts:
                    del self._vectors[text]
        self._encode = self._encode or _encoder(self._folder, self._threads)
        for text in new:
            self._vectors[text] = self._encode(text)


def _met(situations: Sequence[Any]) -> list[Words]:
    if not situations:
        raise PolicyError("there is no situation to act in; give at least one")
    return [_words(one) for one in situations]


def _words(situation: Any) -> Words:
    """The words of a situation that comes from outside.

    Raises:
        PolicyError: It has none.
    """
    try:
        if isinstance(situation, Mapping):
            text, choices = situation["text"], situation["choices"]
        else:
            text, choices = situation.text, situation.choices
    except (KeyError, AttributeError):
        raise PolicyError(
            f"this student reads situations, not {type(situation).__name__}; give text and choices"
        ) from None
    valid = isinstance(text, str) and isinstance(choices, list | tuple) and len(choices) > 0
    if not valid or not all(isinstance(choice, str) for choice in choices):
        raise PolicyError("a situation has a text and at least one choice, all of them strings; give those")
    return Words(text, tuple(choices))


def _encoder(folder: Folder, threads: int) -> Any:
    """The sentence encoder: a function from a text to its vector.

    Raises:
        PolicyError: The package `tokenizers` is missing.
        ExportError: The folder is damaged.
    """
    about = folder.field("encoder", dict)
    length, scale = folder.field("max_length", int, of=about), folder.field("scale", int, float, of=about)
    tokenizer = folder.tokenizer("tokenizer.json", "the situation has new words, and reading them")
    tokenizer.enable_truncation(length)
    tokenizer.no_padding()
    session = folder.session("encoder.onnx", threads)

    def encode(text: str) -> NDArray[np.float32]:
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        (vectors,) = session.run(("vectors",), {"ids": ids, "mask": np.ones_like(ids)})
        scaled: NDArray[np.float32] = vectors[0] * np.float32(scale)
        return scaled

    return encode
