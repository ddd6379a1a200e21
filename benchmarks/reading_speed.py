"""How long does a student that reads take for an action? CPU seconds on one thread, ScienceWorld itself not counted.

    python benchmarks/reading_speed.py [RUN ...] [--quick] [--json] [--save]

Plays the first dev variation of some tasks with the students of these runs; without any, with a pretrained student
that has learnt nothing: it reads as much, and its actions are as long. `branches` reads the likely admissible actions
side by side; `one by one` is the same search with a pass for each partial action.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import MEASURED_ANEW, finish, hardware, options
from wean.agents.reading import sight_in
from wean.algorithms.finetune import FinetuneConfig
from wean.data.shipped import training_data
from wean.experiment.build_text import read_demonstrations
from wean.lm.precision import halves_speedup
from wean.runtime.prompt import PromptConfig
from wean.runtime.reading import Reader
from wean.students.text.creation import pretrained_student
from wean.students.text.decoder import CausalDecoder
from wean.students.text.examples import prompt_texts
from wean.students.text.student import TextStudent, load_text_student
from wean.tasks.scienceworld import TASKS, ScienceWorld

NAME, PLAYED = "reading_speed", ("boil", "use-thermometer", "find-animal", "test-conductivity", "grow-plant")


def untaught() -> TextStudent:
    """A pretrained student with the vocabulary of the demonstrations."""
    config = FinetuneConfig(data="scienceworld-short")
    read = partial(read_demonstrations, config=config, note=lambda note: None)
    learn, choose, annotations = training_data(config.data, read, "", 0.0)
    texts = list(dict.fromkeys(prompt_texts([*learn, *choose], annotations)))
    return pretrained_student(config.model, PromptConfig(context=3072), 1, texts=texts, vocabulary=2048)


def seconds(student: TextStudent, env: ScienceWorld, name: str, moves: int, branches: bool) -> list[float]:
    """CPU seconds of each action in an episode, the sub-goal that may come before it included."""
    task = next(task for task in TASKS if task.name == name)
    env.reset(options={"task": name, "variation": task.variations("dev")[0]})
    reader = Reader(CausalDecoder(student, branches=branches), student.tokenizer, student.prompt)
    took: list[float] = []
    answer, ended = "", False
    while len(took) < moves and not ended:
        sight = sight_in(env, answer)  # asked for here, so that the simulator's time does not count
        began = time.process_time()
        action = reader.act(sight)
        took.append(time.process_time() - began)
        observation, _, terminated, truncated, info = env.step(action)
        answer, ended = str(info.get("feedback", observation)), terminated or truncated
    return took


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__, MEASURED_ANEW)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of runs")
    arguments = parser.parse_args()
    measured_on = hardware("torch", "scienceworld")
    torch.set_num_threads(1)
    moves = 6 if arguments.quick else 25
    played = PLAYED[:2] if arguments.quick else PLAYED
    students = {run.name: load_text_student(run / "student") for run in arguments.runs} or {"untaught": untaught()}
    env = ScienceWorld(max_moves=None)
    rows: list[dict[str, Any]] = []
    for name, student in students.items():
        for way, branches in (("branches", True), ("one by one", False)):
            took = [one for task in played for one in seconds(student, env, task, moves, branches)]
            parameters = student.parameter_count()
            rows.append(
                {"student": name, "parameters": parameters, "way": way, "actions": len(took)}
                | {"median": float(np.median(took)), "mean": float(np.mean(took)), "p90": float(np.quantile(took, 0.9))}
            )
    env.close()
    lines = [
        "| student | parameters | way | actions | median s | mean s | nine in ten under |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['student']} | {row['parameters']:,} | {row['way']} | {row['actions']} | {row['median']:.3f} | "
        f"{row['mean']:.3f} | {row['p90']:.3f} |"
        for row in rows
    ]
    finish(NAME, measured_on, {"rows": rows, "bfloat16_speedup": halves_speedup()}, "\n".join(lines), arguments)


if __name__ == "__main__":
    main()
