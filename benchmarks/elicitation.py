"""How well a language model teaches SimpleDoorKey, by the way in which it is asked.

    wean models get smollm2-135m
    python benchmarks/elicitation.py [--quick] [--json] [--save]

Each teacher plays the same held-out episodes alone, through the skills; a moment without advice is a random action.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from harness import MEASURED_ANEW, finish, hardware, options
from wean.agents.references import RandomPolicy, RandomSkillsPolicy, TeacherPolicy
from wean.evaluation.evaluate import play_seeds
from wean.evaluation.scores import Scores, llm_counts
from wean.experiment.settings import advice_settings
from wean.llm import Ledger, open_model
from wean.tasks.registration import make_task
from wean.tasks.splits import FINAL_SEED
from wean.tasks.vector import SerialTasks
from wean.teachers.teacher import Teacher

NAME, TASK, ACTIONS = "elicitation", "SimpleDoorKey", 7
TEACHERS = (
    ("recorded:doorkey", "verbalized", None),
    ("hf:smollm2-135m", "verbalized", 0.0),
    ("hf:smollm2-135m", "samples", 0.7),
    ("hf:smollm2-135m", "logprobs", 1.0),
)


def main() -> None:
    """Parses, measures, prints."""
    arguments = options(__doc__, MEASURED_ANEW).parse_args()
    episodes = 100 if arguments.quick else 500
    measured_on = hardware("torch", "minigrid", "transformers")
    rows: list[dict[str, Any]] = []
    for name, elicitation, temperature in TEACHERS:
        if not (arguments.quick and elicitation == "samples"):
            rows.append(judge(name, elicitation, temperature, episodes))
    tasks = SerialTasks([partial(make_task, TASK)] * 100)
    for policy in (RandomSkillsPolicy(), RandomPolicy()):
        played = play_seeds(policy, tasks, episodes, FINAL_SEED)
        rows.append(Scores(TASK, policy.name, played, about={"seed": FINAL_SEED, "elicitation": ""}).as_dict())
    finish(NAME, measured_on, {"rows": rows}, markdown(rows), arguments)


def judge(name: str, elicitation: str, temperature: float | None, episodes: int) -> dict[str, Any]:
    """Plays the episodes with one teacher; every question is asked anew, in a ledger of its own."""
    model = open_model(name, ledger=None if name.startswith("recorded:") else Ledger(":memory:"))
    teacher = Teacher(model, advice_settings(elicitation=elicitation, temperature=temperature))
    tasks = SerialTasks([partial(make_task, TASK)] * 100)
    started = time.perf_counter()
    played = play_seeds(TeacherPolicy(teacher), tasks, episodes, FINAL_SEED)
    about = {"seed": FINAL_SEED, "elicitation": elicitation}
    result = Scores(TASK, name, played, llm_counts(model), about).as_dict()
    table = teacher.table()
    model.close()
    return result | {
        "seconds": time.perf_counter() - started,
        "advised_situations": sum(row["advised"] for row in table),
        "situations": len(table),
        "unadvised_steps": teacher.unadvised / int(played.lengths.sum()),
        "table": table,
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table for people."""
    lines = [
        "| who advises | how it is asked | success | length | situations with a readable plan | moments without advice "
        "| answers |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        success, llm = row["success"], row["llm"]
        told = f"{row['advised_situations']} of {row['situations']}" if "situations" in row else ""
        silent = f"{row['unadvised_steps']:.0%}" if "unadvised_steps" in row else ""
        lines.append(
            f"| {row['policy']} | {row['elicitation']} | {success['mean']:.3f} ({success['low']:.3f} to "
            f"{success['high']:.3f}) | {row['length']['mean']:.1f} | {told} | {silent} | "
            f"{llm['asked'] + llm['replayed']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
