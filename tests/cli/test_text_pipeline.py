"""Sub-goal distillation on TextWorld from end to end, by the command line: paths, sub-goals, student, episodes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Wean
from wean.llm.answers import Message

pytest.importorskip("textworld")


def name_subgoals(messages: list[Message]) -> str:
    """Stands in for a language model: the walk to the coin is one sub-goal, taking it the other."""
    actions = len(messages[-1]["content"].split("actions:\n")[1].splitlines())
    return f"1-{actions - 1}: walk_to(coin)\n{actions}-{actions}: take(coin)"


@pytest.mark.slow
def test_a_student_plays_what_it_was_shown(tmp_path: Path, command_line: Wean) -> None:
    def wean(*arguments: str) -> str:
        code, out, error = command_line(*arguments)
        assert code == 0, error
        return out

    wean("demos", "TextWorldCoin", "--trajectories", "--per-task", "4", "--out", "paths.parquet")
    wean("annotate", "paths.parquet", "--model", f"scripted:{__name__}:name_subgoals", "--out", "subgoals.jsonl")
    data = ["data=paths.parquet", "annotations=subgoals.jsonl", "dev_share=0", "measurements=1"]
    size = ["model=scratch", "hidden=48", "layers=2", "heads=2", "vocabulary=500", "context=1024", "token_budget=2048"]
    learning = ["num_epochs=120", "learning_rate=0.005"]
    wean("train", "subgoals", "--task", "TextWorldCoin", *data, *size, *learning, "--out", "run")
    told = ("--task", "TextWorldCoin", "--split", "train", "--variations", "4", "--max-moves", "10", "--json")
    student, chance = (json.loads(wean("eval", who, *told)) for who in ("run", "random"))
    assert student["solved"] == 1.0
    assert chance["solved"] < 1.0
    assert student["questions"] == 0
    twice = json.loads(wean("eval", "run", "--with", "run", *told))
    assert (twice["solved"], twice["with"], twice["subgoals"]) == (1.0, ["run"], True)
    assert len(list((tmp_path / "run" / "evaluations").iterdir())) == 2  # kept apart
    page = next((tmp_path / "run" / "evaluations").glob("*/timeline.html")).read_text()
    assert "walk to coin" in page


@pytest.mark.slow
def test_two_processes_fine_tune_one_student(tmp_path: Path, command_line: Wean) -> None:
    """As a launcher starts them: each reads half of the windows, and the first one writes."""
    for made in (
        ("demos", "TextWorldCoin", "--trajectories", "--per-task", "2", "--out", "paths.parquet"),
        ("annotate", "paths.parquet", "--model", f"scripted:{__name__}:name_subgoals", "--out", "subgoals.jsonl"),
    ):
        assert command_line(*made)[0] == 0
    size = ["model=scratch", "hidden=16", "layers=1", "heads=2", "vocabulary=300", "context=1024", "token_budget=512"]
    learning = ["data=paths.parquet", "annotations=subgoals.jsonl", "dev_share=0", "measurements=1", "num_epochs=2"]
    train = ["train", "subgoals", "--task", "TextWorldCoin", *learning, *size, "precision=float32"]
    assert command_line(*train, "--out", "alone")[0] == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "wean"]
    subprocess.run(
        [*launcher, *train, "--out", "together"], check=True, env={**os.environ, "ACCELERATE_USE_CPU": "true"}
    )
    alone, together = (
        json.loads((tmp_path / name / "summary.json").read_text())["gradient_steps"] for name in ("alone", "together")
    )
    assert together == alone // 2
    assert (tmp_path / "together" / "student" / "model.safetensors").exists()
