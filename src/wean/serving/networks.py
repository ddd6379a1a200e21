"""Students' networks as ONNX: one step of a batch of any size."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wean.extras import require
from wean.students.action_values import ActionValues, TextValues
from wean.students.student import Student

OPSET = 20


class _Step(nn.Module):
    """One step of a student: probabilities in double precision, as it acts by them, and its memory after it."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, observation: Tensor, memory: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Maps observations (B, ...), memory (B, M) and starts (B,) to probabilities (B, A) and memory (B, M)."""
        logits, _, after = self.student(observation.unsqueeze(0), memory, start.unsqueeze(0))
        return logits.squeeze(0).double().softmax(-1), after


class _Glance(nn.Module):
    """One step of a student without a memory."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, observation: Tensor) -> Tensor:
        """Maps observations (B, ...) to probabilities (B, A)."""
        members = observation.shape[0]
        nothing, starts = observation.new_zeros(members, 0, dtype=torch.float32), torch.zeros(1, members).bool()
        logits, _, _ = self.student(observation.unsqueeze(0), nothing, starts)
        found: Tensor = logits.squeeze(0).double().softmax(-1)
        return found


class _SummedEmbedding(nn.Module):
    """What `nn.EmbeddingBag` of mode `sum` computes, in operators that ONNX has: its own becomes a loop."""

    def __init__(self, bag: nn.EmbeddingBag) -> None:
        super().__init__()
        self.weight = bag.weight

    def forward(self, indices: Tensor) -> Tensor:
        """Maps indices (B, K) to sums (B, width) of rows."""
        return nn.functional.embedding(indices, self.weight).sum(1)


class _TextNetwork(nn.Module):
    def __init__(self, student: TextValues) -> None:
        super().__init__()
        self.student = student

    def forward(self, situations: Tensor, actions: Tensor, pairs: Tensor) -> Tensor:
        """See `TextValues.value_vectors`."""
        return self.student.value_vectors(situations, actions, pairs)


class _Rows(nn.Module):
    """The values of the situations that a table has met, and one row for all that it has not."""

    def __init__(self, student: ActionValues) -> None:
        super().__init__()
        met = len(student.situations)
        weight = torch.as_tensor(student.head.get_parameter("weight").detach())
        self.table = nn.Parameter(torch.cat([weight[:met], torch.zeros(1, weight.shape[1])]), requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Maps numbers of situations (B,) to values (B, A)."""
        return nn.functional.embedding(rows, self.table)


class _Encoder(nn.Module):
    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.model, self._pool = encoder.model, encoder.pool

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Maps token numbers (B, T) and which of them are real (B, T) to vectors (B, size)."""
        pooled: Tensor = self._pool(self.model(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
        return pooled


def write_student(student: Student, observations: NDArray[Any], path: Path) -> None:
    """Writes a step of a student that sees arrays; two observations (2, ...) show what they are like."""
    student = copy.deepcopy(student)
    bags = [(name, one) for name, one in student.named_modules() if isinstance(one, nn.EmbeddingBag)]
    for name, bag in bags:
        # Its padding row is zeros and stays so, so summing it changes nothing.
        student.set_submodule(name, _SummedEmbedding(bag))
    seen = torch.from_numpy(observations[:2])
    if not student.memory_size:
        _write(_Glance(student), {"observation": seen}, ["probabilities"], path)
        return
    inputs = {"observation": seen, "memory": student.first_state(2), "start": torch.zeros(2, dtype=torch.bool)}
    _write(_Step(student), inputs, ["probabilities", "memory_after"], path)


def write_values(student: ActionValues, path: Path) -> None:
    """Writes the values of a student: of vectors of texts, or of rows of its table."""
    if not isinstance(student, TextValues):
        _write(_Rows(student), {"rows": torch.tensor([0, 0])}, ["values"], path)
        return
    size = student.config["size"]
    inputs = {
        "situations": torch.rand(2, size),
        "actions": torch.rand(3, size),
        "pairs": torch.tensor([[0, 1, 2, 0], [2, 1, 0, 1]]),
    }
    axes = {"situations": ("batch",), "actions": ("distinct",), "pairs": ("batch", "choices")}
    _write(_TextNetwork(student), inputs, ["values"], path, axes)


def write_encoder(encoder: Any, path: Path) -> None:
    """Writes a sentence encoder (`wean.lm.model.SentenceEncoder`)."""
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[1, 5:] = 0
    inputs = {"ids": torch.arange(14).view(2, 7), "mask": mask}
    _write(_Encoder(encoder), inputs, ["vectors"], path, dict.fromkeys(inputs, ("batch", "length")))


def quantize(path: Path) -> None:
    """Replaces a network by one whose weights are whole numbers of 8 bits."""
    with _quietly():
        quantization = require("onnxruntime.quantization", extra="export")
        whole = path.with_suffix(".int8")
        quantization.quantize_dynamic(path, whole, weight_type=quantization.QuantType.QInt8)
    whole.replace(path)


def _write(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    axes: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Writes a module as ONNX.

    Args:
        module: The network.
        inputs: Its inputs by name, at least two rows each: PyTorch takes a size of 1 for fixed.
        outputs: Names of its outputs.
        path: The file.
        axes: For each input the names of its first axes that may have any size; of all the first by default.
    """
    require("onnxscript", extra="export")
    checker = require("onnx.checker", extra="export")
    named = axes or dict.fromkeys(inputs, ("batch",))
    free = {name: dict(enumerate(named[name])) for name in inputs}
    module = module.eval().requires_grad_(False)
    with _quietly():
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(free.values()),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        if program is None:
            raise RuntimeError("torch.onnx.export gave no program")
        program.save(path)
        checker.check_model(str(path), full_check=True)


@contextmanager
def _quietly() -> Iterator[None]:
    """Holds back warnings and log lines of the exporter, on which a user of wean cannot act."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "root")]
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
