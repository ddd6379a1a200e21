"""How fast does a pretrained student train? Tokens per CPU second; transformers' and TRL's trainers beside it.

    python benchmarks/finetune_speed.py [--quick] [--json] [--save]

Every row trains SmolLM2-135M on the same windows of the demonstrations that come with wean, one window a
gradient step, on one thread. The first steps of a row are not counted. A CPU second is one of the process, so
what others do on the machine counts little; ratios within one run say more than the numbers.

whole, float32     every token of the vocabulary, float32
whole              every token of the vocabulary, numbers as measured at the start
cut                wean's default: the vocabulary cut to what occurs
cut, answers       the same without a loss on what is read (told_weight=0)
cut, half frozen   the lower 15 of 30 layers are not trained
Trainer            transformers' `Trainer`, bfloat16 where wean takes it, a loss on every token, whole vocabulary
SFTTrainer         TRL's, the same
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from harness import MEASURED_ANEW, finish, hardware, options
from wean.algorithms.finetune import FinetuneConfig, Finetuning, Precision
from wean.data.annotations import Annotation
from wean.data.shipped import training_data
from wean.data.trajectories import Key, Trajectory
from wean.experiment.build_text import read_demonstrations
from wean.lm.model import load_model
from wean.lm.precision import WORTH, halves_speedup
from wean.runtime.prompt import PromptConfig, Window
from wean.students.text.creation import WHOLE, Trained, pretrained_student
from wean.students.text.examples import Example, encode_episode, prompt_texts
from wean.students.text.student import TextStudent

NAME, MODEL, WARMING = "finetune_speed", "hf:smollm2-135m", 2
PROMPT = PromptConfig(context=3072)


class Clock:
    """Tokens and CPU seconds after each gradient step, of which the first ones are not counted."""

    def __init__(self) -> None:
        self._tokens, self._seconds = list[int](), list[float]()

    def step(self, tokens: int) -> None:
        """A gradient step is done, after which so many tokens have been read."""
        self._tokens.append(tokens)
        self._seconds.append(time.process_time())

    def speed(self) -> float:
        """Tokens per CPU second."""
        first = WARMING - 1
        return (self._tokens[-1] - self._tokens[first]) / (self._seconds[-1] - self._seconds[first])


def chosen(count: int) -> tuple[list[Trajectory], list[Trajectory], dict[Key, Annotation]]:
    """All demonstrations, some of them of middle length and of different tasks, and the sub-goals."""
    config = FinetuneConfig(data="scienceworld-short")
    read = partial(read_demonstrations, config=config, note=lambda note: None)
    learn, choose, annotations = training_data(config.data, read, "", 0.0)
    generator = np.random.default_rng(1)
    drawn = [learn[number] for number in generator.permutation(len(learn))]
    return [*learn, *choose], [one for one in drawn if 8 <= len(one.actions) <= 40][:count], dict(annotations)


def windows_of(student: TextStudent, some: Sequence[Trajectory], annotations: dict[Key, Annotation]) -> list[Example]:
    """One example of each demonstration."""
    return [encode_episode(one, annotations[one.key], student.episode(strict=True), 100) for one in some]


def own(student: TextStudent, examples: Sequence[Example], told_weight: float, precision: Precision) -> float:
    """Tokens per CPU second of wean's training."""
    config = FinetuneConfig(token_budget=1, num_epochs=1, told_weight=told_weight, precision=precision)
    algorithm = Finetuning(student, config, [examples], examples[:1], seed=1)
    clock = Clock()
    algorithm.learn(lambda update: clock.step(algorithm.tokens))
    return clock.speed()


def peer(trainer: Callable[..., Any], settings: Callable[..., Any], windows: Sequence[Window]) -> float:
    """Tokens per CPU second of a trainer of transformers or TRL on the same windows."""
    from datasets import Dataset
    from transformers import TrainerCallback

    clock, read = Clock(), np.cumsum([len(window.ids) for window in windows])

    class Steps(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            clock.step(int(read[state.global_step - 1]))

    local = load_model(MODEL, device="cpu")
    rows = Dataset.from_list([{"input_ids": list(w.ids), "labels": list(w.ids)} for w in windows])
    with tempfile.TemporaryDirectory() as folder:
        arguments = settings(
            output_dir=folder, per_device_train_batch_size=1, max_steps=len(windows), bf16=halves_speedup() > WORTH,
            use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
            learning_rate=5e-4, train_sampling_strategy="sequential", gradient_checkpointing=False,
        )  # fmt: skip
        local.model.train()
        trainer(
            model=local.model, args=arguments, train_dataset=rows, processing_class=local.tokenizer, callbacks=[Steps()]
        ).train()
    return clock.speed()


def main() -> None:
    """Measures and prints."""
    arguments = options(__doc__, MEASURED_ANEW).parse_args()
    measured_on = hardware("torch", "transformers", "trl")
    torch.set_num_threads(1)
    read, some, annotations = chosen(5 if arguments.quick else 12)
    texts = list(dict.fromkeys(prompt_texts(read, annotations)))

    def student(trained: Trained = WHOLE, cut: bool = True) -> TextStudent:
        return pretrained_student(MODEL, PROMPT, 1, trained, texts if cut else None, 2048)

    def trained(one: TextStudent, told_weight: float = 0.3, precision: Precision = "measured") -> float:
        return own(one, windows_of(one, some, annotations), told_weight, precision)

    whole = student(cut=False)
    windows = [window for example in windows_of(whole, some, annotations) for window in example.windows]
    plain = [Window(list(np.minimum(window.ids, 49151)), window.targets) for window in windows]  # marks are not theirs
    from transformers import Trainer, TrainingArguments
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    ways: dict[str, Callable[[], float]] = {
        "whole, float32": lambda: trained(whole, precision="float32"),
        "whole": lambda: trained(student(cut=False)),
        "cut": lambda: trained(student()),
        "cut, answers": lambda: trained(student(), 0.0),
        "cut, half frozen": lambda: trained(student(Trained(frozen_layers=15))),
        "Trainer": lambda: peer(Trainer, TrainingArguments, plain),
        "SFTTrainer": lambda: peer(SFTTrainer, SFTConfig, plain),
    }
    speeds = {name: way() for name, way in ways.items()}
    speedup = halves_speedup()
    results = {
        "windows": len(windows),
        "tokens": sum(len(window.ids) for window in windows),
        "bfloat16_speedup": speedup,
        "tokens_per_cpu_second": speeds,
        "ratio_to_trainer": {name: speed / speeds["Trainer"] for name, speed in speeds.items()},
    }
    lines = ["| way | tokens per CPU second | beside Trainer |", "|---|---:|---:|"]
    lines += [f"| {name} | {speed:.0f} | {speed / speeds['Trainer']:.2f} |" for name, speed in speeds.items()]
    lines += ["", f"{results['tokens']:,} tokens in {results['windows']} windows; bfloat16 products are {speedup:.1f} "]
    lines[-1] += "times as fast as float32 ones here."
    finish(NAME, measured_on, results, "\n".join(lines), arguments)


if __name__ == "__main__":
    main()
