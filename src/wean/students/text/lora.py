"""LoRA (2106.09685): low-rank adapters on a pretrained student, trained in place of its matrices, by way of peft."""

from __future__ import annotations

import copy
from typing import Any

from wean.extras import quiet, require
from wean.students.text.student import TextStudent


def add_adapters(student: TextStudent, rank: int) -> None:
    """Puts adapters W + B A with B of that rank on all linear layers but the head; the other matrices are frozen.

    Its embeddings are trained as they are: the marks among them are new. Adapters count twice (alpha = 2 rank).
    """
    peft = require("peft")
    config = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=_linear_layers(student.model)
    )
    with quiet():
        peft.inject_adapter_in_model(config, student.model)
    student.model.get_input_embeddings().weight.requires_grad_(True)


def merged(student: TextStudent) -> TextStudent:
    """A copy of the student with its adapters added to its matrices; itself where it has none."""
    if not any("lora_" in name for name, _ in student.model.named_parameters()):
        return student
    layers = require("peft.tuners.lora").LoraLayer
    model = copy.deepcopy(student.model)
    for name, module in list(model.named_modules()):
        if isinstance(module, layers):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    return TextStudent(model, student.tokenizer, student.habits)


def _linear_layers(model: Any) -> list[str]:
    """Last names of the linear layers, the head left out."""
    from torch import nn

    head = model.get_output_embeddings()
    named = model.named_modules()
    return sorted({name.rsplit(".", 1)[-1] for name, one in named if isinstance(one, nn.Linear) and one is not head})
