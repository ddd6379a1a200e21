"""A small writer of ONNX graphs, for networks whose tracing would take minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wean.extras import require

_IR_VERSION = 10


class Graph:
    """A graph that grows operator by operator; values go by their names."""

    def __init__(self, opset: int) -> None:
        self._onnx, self._opset = require("onnx", extra="export"), opset
        self._nodes: list[Any] = []
        self._constants: dict[Any, str] = {}
        self._tensors: list[Any] = []
        self._inputs: list[Any] = []

    def input(self, name: str, shape: Sequence[str | int], whole: bool = False) -> str:
        """An input of numbers, of whole ones (int64) or floats; a named axis may have any size."""
        self._inputs.append(self._value(name, shape, whole))
        return name

    def __call__(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """The result of an operator of ONNX."""
        return self.many(kind, *inputs, names=[name or f"v{len(self._nodes)}"], **attributes)[0]

    def many(self, kind: str, *inputs: str, names: Sequence[str], **attributes: Any) -> list[str]:
        """The results of an operator that has several."""
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, list(names), **attributes))
        return list(names)

    def split(self, value: str, sizes: Sequence[int]) -> list[str]:
        """Parts of a value along its last axis."""
        names = [f"v{len(self._nodes)}_{number}" for number in range(len(sizes))]
        return self.many("Split", value, self.whole(*sizes), names=names, axis=-1)

    def whole(self, *numbers: int) -> str:
        """A constant list of whole numbers."""
        return self._constant(numbers, np.array(numbers, np.int64))

    def number(self, value: float) -> str:
        """A constant number."""
        return self._constant(("float", value), np.array(value, np.float32))

    def truth(self, value: bool) -> str:
        """A constant truth value."""
        return self._constant(("bool", value), np.array(value))

    def weight(self, value: Tensor, transposed: bool = False) -> str:
        """A tensor of a network; one that is used twice is written once."""
        key = ("weight", value.data_ptr(), tuple(value.shape), transposed)
        return self._constant(key, (value.detach().T if transposed else value.detach()).contiguous().float().numpy())

    def linear(self, value: str, *parts: torch.nn.Linear) -> str:
        """Linear layers side by side, applied to the last axis."""
        whole = torch.cat([one.weight.detach().float() for one in parts])
        # The weights of parts are new tensors, whose addresses may come again.
        found = self("MatMul", value, self._constant(("linear", len(self._nodes)), whole.T.contiguous().numpy()))
        biases = [bias for one in parts if (bias := dict(one.named_parameters()).get("bias")) is not None]
        if not biases:
            return found
        together = torch.cat([one.detach().float() for one in biases]).numpy()
        return self("Add", found, self._constant(("bias", len(self._nodes)), together))

    def write(self, path: Path, outputs: Mapping[str, Sequence[str | int]]) -> None:
        """Writes the graph, with the named values as its outputs."""
        helper = self._onnx.helper
        results = [self._value(name, shape, False) for name, shape in outputs.items()]
        graph = helper.make_graph(self._nodes, path.stem, self._inputs, results, self._tensors)
        opsets = [helper.make_opsetid("", self._opset)]
        model = helper.make_model(graph, producer_name="wean", opset_imports=opsets, ir_version=_IR_VERSION)
        self._onnx.save(model, str(path))
        require("onnx.checker", extra="export").check_model(str(path), full_check=True)

    def _constant(self, key: Any, value: Any) -> str:
        if key not in self._constants:
            self._constants[key] = f"c{len(self._constants)}"
            self._tensors.append(self._onnx.numpy_helper.from_array(value, self._constants[key]))
        return self._constants[key]

    def _value(self, name: str, shape: Sequence[str | int], whole: bool) -> Any:
        kinds = self._onnx.TensorProto
        return self._onnx.helper.make_tensor_value_info(name, kinds.INT64 if whole else kinds.FLOAT, list(shape))
