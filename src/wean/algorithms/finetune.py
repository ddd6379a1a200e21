"""Sub-goal distillation (2405.02749): a student learns to generate the sub-goals and actions of demonstrations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field, model_validator
from torch import Tensor, nn

from wean.algorithms.algorithm import Needs, Update, load_optimizer_tensors, optimizer_tensors, take_step
from wean.config import SETTINGS
from wean.errors import UsageError, WeanError
from wean.lm.precision import WORTH, halves_speedup
from wean.runtime.prompt import ACT, DONE
from wean.students.text.examples import Batch, Example, batched, collate, shuffled_batches
from wean.students.text.student import TextStudent, with_copies

Precision = Literal["measured", "bfloat16", "float32"]
SCRATCH, RUN = "scratch", "run:"
_OF_SCRATCH = {
    "learning_rate": 2e-3,
    "beta2": 0.95,
    "token_budget": 2048,
    "num_epochs": 8,
}
"""What a new model's settings are where they are not given: it knows nothing, and reads more often, in larger steps."""


class FinetuneConfig(BaseModel):
    """Settings of sub-goal distillation."""

    model_config = SETTINGS

    data: str = "scienceworld-short"
    """Demonstrations: JSONL (.gz too) or Parquet files, or wean's (`scienceworld-short`, `-train`), with commas."""
    annotations: str = ""
    """Their sub-goals, as `wean annotate` writes them; by default wean's, or FILE.subgoals.jsonl beside the file."""
    dev: str = ""
    """Demonstrations that choose the checkpoint; for wean's those of dev variations, else a share of `data` is kept."""
    dev_share: float = Field(0.1, ge=0, lt=1)
    """Share of each task's demonstrations, the last variations, that choose the checkpoint; never test variations."""
    missing: Literal["refuse", "skip"] = "refuse"
    """Whether demonstrations without sub-goals are refused or left out."""
    subgoals: bool = True
    """Learns sub-goals; without them the flat baseline, which learns the actions alone."""
    feeding: Literal["sequence", "step"] = "sequence"
    """One sequence a demonstration, or (2405.02749) one prompt for each sub-goal and each action."""
    actions: int = Field(100, gt=0, le=1_000_000)
    """Greatest number of a demonstration's actions that are learnt; an evaluation ends after a hundred moves."""
    model: str = "hf:smollm2-135m"
    """`hf:NAME`, a pretrained model; `scratch`, a new small one; `run:FOLDER`, a run's student, trained further."""
    lora_rank: int = Field(0, ge=0, le=4_096)
    """Rank of the adapters (LoRA) that are trained on a pretrained model's matrices; 0 trains it as a whole."""
    frozen_layers: int = Field(0, ge=0, le=200)
    """Lower layers of a pretrained model that are not trained; with its vectors of tokens, except the head's."""
    hidden: int = Field(256, gt=0, le=8_192)
    """Width of a new model."""
    layers: int = Field(4, gt=0, le=200)
    """Depth of a new model."""
    heads: int = Field(4, gt=0, le=256)
    """Attention heads of a new model."""
    vocabulary: int = Field(2048, ge=300, le=1_000_000)
    """Tokens of a new tokenizer, at most; a pretrained model's is cut to what occurs, and to as many at least."""
    context: int = Field(3072, ge=256, le=1_000_000)
    """Greatest number of tokens that the student reads; longer episodes open anew, see docs."""
    swap_entities: float = Field(0.5, ge=0, le=1)
    """Share of the demonstrations that are read with other names, drawn anew in each pass: teaches to look names up."""
    drop_distractors: float = Field(0.5, ge=0, le=1)
    """Greatest share of the things a demonstration shows and makes no use of that is left out, drawn in each pass."""
    inject_mistakes: float = Field(0.1, ge=0, lt=1)
    """Chance before each action that the demonstration makes a mistake and corrects it; the correction is learnt."""
    told_weight: float = Field(0.3, ge=0, le=1e6)
    """Weight in the loss of the tokens that a causal student reads and does not generate."""
    num_epochs: float = Field(2, gt=0, le=1e6)
    """Passes of as many demonstrations as there are, those of long tasks less often; 8 for a new model."""
    token_budget: int = Field(1024, gt=0, le=10_000_000)
    """Greatest number of tokens of a gradient step, padding included; 2048 for a new model."""
    learning_rate: float = Field(5e-4, gt=0, le=100)
    """AdamW's greatest step size, 2e-3 for a new model; a tenth of it is left at the end (cosine)."""
    beta2: float = Field(0.98, ge=0, lt=1)
    """AdamW's decay of the mean squared gradient; 0.95 for a new model."""
    warmup: float = Field(0.03, ge=0, lt=1)
    """Share of the run in which the step size rises from zero."""
    precision: Precision = "measured"
    """Numbers of the products: bfloat16 on a GPU and where a processor is measured to be faster with it, or as said."""
    weight_decay: float = Field(0.1, ge=0, le=100)
    """AdamW's weight decay, of matrices only."""
    max_grad_norm: float = Field(1.0, gt=0, le=1e6)
    """Gradients are scaled down to this norm."""
    measurements: int = Field(5, gt=0, le=1_000_000)
    """How often the dev demonstrations are read in a run; a checkpoint is written each time."""

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        return _OF_SCRATCH | values if values.get("model") == SCRATCH else values


class TargetLoss(nn.Module):
    """Negative log-likelihood of the targets: L = - 1/N sum log p(target | everything before it in its window).

    Without `told_weight` the head runs at the targets alone; with it the weighted mean over the tokens that the student
    reads and does not generate is added. Padding stands at the ends, after all targets, so no mask is needed.
    """

    def __init__(self, model: Any, pad: int, told_weight: float = 0.0) -> None:
        super().__init__()
        self.model, self._pad, self._told_weight = model, pad, told_weight

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean loss, and for each target (N,) whether it is the most probable token."""
        hidden = self.model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
        head = self.model.get_output_embeddings()
        logits = head(hidden[batch.rows, batch.columns]).float()
        logits = with_copies(self.model, hidden, batch.ids, batch.rows, batch.columns, logits)
        loss = nn.functional.cross_entropy(logits, batch.labels)
        if self._told_weight and self.training:
            told = batch.ids[:, 1:] != self._pad
            told[batch.rows, batch.columns] = False
            others = head(hidden[:, :-1][told]).float()
            loss = loss + self._told_weight * nn.functional.cross_entropy(others, batch.ids[:, 1:][told])
        return loss, logits.argmax(-1) == batch.labels


class Seq2SeqLoss(nn.Module):
    """The same loss of an encoder-decoder model: the encoder reads what comes before the targets."""

    def __init__(self, model: Any, pad: int) -> None:
        super().__init__()
        self.model, self._pad = model, pad

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """See `TargetLoss.forward`; each window has one answer, at its end."""
        first = torch.zeros(len(batch.ids), dtype=torch.long, device=batch.ids.device)
        first[batch.rows[batch.starts]] = batch.columns[batch.starts] + 1
        position = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        prompts = batch.ids.masked_fill(position >= first[:, None], self._pad)
        width = int((batch.columns + 2 - first[batch.rows]).max())
        labels = torch.full((len(batch.ids), width), -100, device=batch.ids.device)
        behind = batch.columns + 1 - first[batch.rows]
        labels[batch.rows, behind] = batch.labels
        mask = (position < first[:, None]).long()
        logits = self.model(input_ids=prompts, attention_mask=mask, labels=labels).logits[batch.rows, behind].float()
        return nn.functional.cross_entropy(logits, batch.labels), logits.argmax(-1) == batch.labels


class Finetuning:
    """Trains a text student on examples; others choose the checkpoint.

    Attributes:
        tokens: Tokens read in gradient steps, padding not counted.
        flops: FLOPs of the gradient steps (`TextStudent.training_flops`).
        precision: The number type of its products on this processor, in words.

    Args:
        student: Trained in place.
        config: Settings.
        passes: Examples to learn from, of each pass.
        dev: Examples to choose by; without any the last checkpoint is taken.
        seed: Seed of their order.
    """

    Config = FinetuneConfig
    needs = Needs()
    matching = False
    matched = teacher_weight = 0.0
    unit: ClassVar[Literal["gradient_steps"]] = "gradient_steps"

    def __init__(
        self,
        student: TextStudent,
        config: FinetuneConfig,
        passes: Sequence[Sequence[Example]],
        dev: Sequence[Example],
        seed: int = 0,
    ) -> None:
        from accelerate import Accelerator

        if not passes[0]:
            raise UsageError("there is no demonstration to learn from; lower dev_share or bring more")
        self.student, self.config = student, config
        cuda = torch.cuda.is_available()
        halves, self.precision = _precision(config.precision, cuda)
        # The precision is not its business: it would be that of every other fine-tuning of this process, too.
        self._accelerator = Accelerator(mixed_precision="no", cpu=not cuda)
        self._halves = halves
        loss: nn.Module = TargetLoss(student.model, student.pad, config.told_weight)
        if student.is_seq2seq:
            loss = Seq2SeqLoss(student.model, student.pad)
        self.loss = self._accelerator.prepare(loss)
        self._optimizer = _adamw(student.model, config)
        generator = np.random.default_rng(seed)
        batches = [b for examples in passes for b in shuffled_batches(examples, config.token_budget, generator)]
        batches = batches[: math.ceil(len(batches) * config.num_epochs / len(passes))]  # a pass may be a part of one
        world, rank = self._accelerator.num_processes, self._accelerator.process_index
        self._batches = batches[rank : len(batches) // world * world : world] or batches[:1]
        ordered = sorted((window for example in dev for window in example.windows), key=lambda window: len(window.ids))
        self._dev = batched(ordered, config.token_budget)
        self.done = 0
        self.spent = 0.0
        self.tokens = 0
        self.flops = 0.0

    @property
    def total(self) -> int:
        """Gradient steps of the whole run."""
        return len(self._batches)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent so far, by activity."""
        return {"learning": self.spent}

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Trains to the end; calls `on_update` after every gradient step.

        Raises:
            WeanError: The loss is no longer finite, or the accelerator's memory is too small.
        """
        while self.done < self.total:
            started = time.perf_counter()
            windows = self._batches[self.done]
            rate = self.config.learning_rate * _schedule(self.done, self.total, self.config.warmup)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self.loss.train()
            try:
                with self._autocast():
                    loss, right = self.loss(self._moved(collate(windows, self.student.pad)))
                take_step(self._optimizer, loss, self.config.max_grad_norm, self.done, self.unit)
            except torch.OutOfMemoryError:
                raise WeanError(
                    f"the accelerator's memory is too small; set token_budget={max(1, self.config.token_budget // 2)} "
                    "and train anew, the last checkpoint stays"
                ) from None
            self.done += 1
            self.spent += time.perf_counter() - started
            lengths = [len(window.ids) for window in windows]
            self.tokens += sum(lengths)
            self.flops += self.student.training_flops(lengths)
            metrics = {"loss": float(loss.detach()), "accuracy": float(right.float().mean()), "learning_rate": rate}
            if on_update is not None:
                on_update(Update(self.done, {"tokens": self.tokens, **metrics}))

    @torch.inference_mode()
    def measure(self) -> dict[str, float]:
        """The loss and the shares of exactly right answers in the dev examples; empty if there are none.

        `loss`, `exact`, and of each kind of answer `exact_action`, `exact_goal`, `exact_done`. An answer is exactly
        right if each of its tokens is the most probable one.
        """
        self.loss.eval()
        mark = self.student.mark
        total, count = 0.0, 0
        found: dict[str, list[bool]] = {"action": [], "goal": [], "done": []}
        for windows in self._dev:
            batch = self._moved(collate(windows, self.student.pad))
            with self._autocast():
                loss, right = self.loss(batch)
            total, count = total + float(loss) * len(right), count + len(right)
            first = [i for i, start in enumerate(batch.starts.tolist()) if start]
            labels, hits = batch.labels.tolist(), right.tolist()
            for begin, end in zip(first, [*first[1:], len(hits)], strict=True):
                kind = {mark[ACT]: "action", mark[DONE]: "done"}.get(labels[begin], "goal")
                found[kind].append(all(hits[begin:end]))
        if not count:
            return {}
        every = [hit for hits in found.values() for hit in hits]
        kinds = {f"exact_{kind}": sum(hits) / len(hits) for kind, hits in found.items() if hits}
        return {"loss": total / count, "exact": sum(every) / len(every), **kinds}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs: tensors, and JSON values."""
        counts = {"done": self.done, "spent": self.spent, "tokens": self.tokens, "flops": self.flops}
        weights = {f"student.{name}": value for name, value in self.student.tensors().items()}
        return {**optimizer_tensors(self._optimizer), **weights}, counts

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""
        weights = {n.removeprefix("student."): value for n, value in tensors.items() if n.startswith("student.")}
        self.student.load_tensors(weights)
        load_optimizer_tensors(self._optimizer, tensors)
        self.done, self.spent = values["done"], values["spent"]
        self.tokens, self.flops = values["tokens"], values["flops"]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._accelerator.device.type, torch.bfloat16, enabled=self._halves)

    def _moved(self, batch: Batch) -> Batch:
        return Batch(*(tensor.to(self._accelerator.device) for tensor in batch))


def _precision(wanted: Precision, cuda: bool) -> tuple[bool, str]:
    """Whether products are of bfloat16 numbers, and that in words."""
    if wanted != "measured" or cuda:
        halves = wanted != "float32"
        return halves, "bfloat16" if halves else "float32"
    speedup = halves_speedup()
    if speedup > WORTH:
        return True, f"bfloat16 ({speedup:.1f} times as fast as float32 on this processor)"
    return False, f"float32 (bfloat16 is {speedup:.1f} times as fast on this processor)"


def _adamw(model: Any, config: FinetuneConfig) -> torch.optim.AdamW:
    """AdamW (1711.05101); vectors (norms, biases) do not decay."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2), fused=True)


def _schedule(update: int, total: int, warmup: float) -> float:
    """Share of the greatest step size: rises over the warm-up, then half a cosine down to a tenth."""
    rising = max(1, round(warmup * total))
    if update < rising:
        return (update + 1) / rising
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (update - rising) / max(1, total - rising)))
