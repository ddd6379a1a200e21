"""A student distilled from logs, as a gateway uses it: calibrated, with a threshold for each kind of prompt."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wean.errors import WeanError
from wean.files import read_json, writing
from wean.students.action_values import TextValues
from wean.students.saving import load_student
from wean.students.sentence_vectors import CachedEncoder

SCHEMA = "wean-decider/1"
FILE = "decider.json"
"""The file beside a student's weights that says where it may decide."""
_KEPT = 50_000  # vectors of texts met at work


@dataclass(frozen=True)
class Kind:
    """What is known of a kind of prompts.

    Attributes:
        number: Its place among the kinds, by which the student tells them apart.
        form: How its answers are written.
        threshold: The confidence from which on the student may decide; None where it may not.
        why: Why it may not; empty where it may.
        seconds: The mean time that the language model takes, if known.
        cost_usd: Its mean price, if known.
    """

    number: int
    form: str
    threshold: float | None
    why: str = ""
    seconds: float | None = None
    cost_usd: float | None = None


class Verdict(NamedTuple):
    """What the student would choose.

    Attributes:
        weights: (A,) its weights of the choices, as it learned them from the language model's.
        confidence: The calibrated probability that the language model makes the same first choice.
    """

    weights: NDArray[np.float64]
    confidence: float


def shown_text(text: str, number: int, kinds: int) -> str:
    """The words in which the student reads a situation: with the number of its kind where there are several."""
    return text if kinds == 1 else f"Kind {number}. {text}"


def save_decider(folder: Path, temperature: float, agreement: float, kinds: Mapping[str, Kind]) -> None:
    """Writes beside a student where it may decide.

    Raises:
        WeanError: The file cannot be written.
    """
    about = {"schema": SCHEMA, "temperature": temperature, "agreement": agreement}
    values = about | {"kinds": {name: asdict(kind) for name, kind in kinds.items()}}
    with writing(folder / FILE) as unfinished:
        unfinished.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


class Decider:
    """The student at work.

    Args:
        folder: A run folder, or its student's.

    Attributes:
        kinds: What it knows, by the digest of the kind.
        agreement: The agreement that its thresholds were chosen for.

    Raises:
        WeanError: There is no such student, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        place = folder / "student" if (folder / "student").is_dir() else folder
        student = load_student(place)
        try:
            about = read_json(place / FILE, "train it again")
            self.kinds = {name: Kind(**kind) for name, kind in about["kinds"].items()}
            self.agreement, self._temperature = float(about["agreement"]), float(about["temperature"])
            sound = about["schema"] == SCHEMA and isinstance(student, TextValues)
        except (FileNotFoundError, KeyError, TypeError, AttributeError, ValueError):
            sound = False
        if not sound or not isinstance(student, TextValues):
            raise WeanError(f"{folder} holds no student distilled from logs; train one with `wean train distill`")
        self._student = student
        known = zip(student.situations.texts, student.vectors, strict=True)
        self._known: dict[str, Tensor] = dict(known)
        self._met: OrderedDict[str, Tensor] = OrderedDict()
        self._encoder: CachedEncoder | None = None

    @torch.inference_mode()
    def decide(self, kind: str, text: str, choices: Sequence[str]) -> Verdict | None:
        """The student's weights of the choices, and how sure it is; None for a kind that it does not know."""
        about = self.kinds.get(kind)
        if about is None:
            return None
        words = shown_text(text, about.number, len(self.kinds))
        vectors = self._vectors([words, *choices])
        pairs = torch.arange(len(choices)).unsqueeze(0)
        logits = self._student.value_vectors(vectors[:1], vectors[1:], pairs)[0].double()
        weights: NDArray[np.float64] = logits.softmax(-1).numpy()
        return Verdict(weights, float((logits / self._temperature).softmax(-1).max()))

    def _vectors(self, texts: Sequence[str]) -> Tensor:
        found = []
        for text in texts:
            vector = self._known.get(text)
            if vector is None and text in self._met:
                vector = self._met[text]
                self._met.move_to_end(text)
            if vector is None:
                vector = self._met[text] = self._encoded(text)
                if len(self._met) > _KEPT:
                    self._met.popitem(last=False)
            found.append(vector)
        return torch.stack(found)

    def _encoded(self, text: str) -> Tensor:
        if self._encoder is None:
            self._encoder = CachedEncoder(self._student.config["encoder"])
        size = self._student.config["size"]
        return torch.from_numpy(self._encoder.encode([text])[0].copy()) * math.sqrt(size)
