"""Sub-goal distillation on TextWorld from end to end, by the command line: paths, sub-goals, student, episodes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wean.llm.answers import Message

pytest.importorskip("textworld")


def name_subgoals(messages: list[Message]) -> str:
    """Stands in for a language model: the walk to the coin is one sub-goal, taking it the other."""
    actions = len(messages[-1]["content"].split("actions:\n")[1].splitlines())
    return f"1-{actions - 1}: walk_to(coin)\n{actions}-{actions}: take(coin)"


@pytest.mark.slow
def test_a_student_plays_what_it_was_shown(tmp_path: Path) -> None:
    def wean(*arguments: str) -> str:
        command = [sys.executable, "-m", "wean", *arguments]
        paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        here = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=tmp_path, env=here, check=True, capture_output=True, text=True).stdout

    wean("demos", "TextWorldCoin", "--trajectories", "--per-task", "4", "--out", "paths.parquet")
    wean("annotate", "paths.parquet", "--model", "scripted:test_text_pipeline:name_subgoals", "--out", "subgoals.jsonl")
    data = ["data=paths.parquet", "annotations=subgoals.jsonl", "dev_share=0", "measurements=1"]
    size = ["model=scratch", "hidden=48", "layers=2", "heads=2", "vocabulary=500", "context=1024", "token_budget=2048"]
    learning = ["num_epochs=120", "learning_rate=0.005"]
    wean("train", "subgoals", "--task", "TextWorldCoin", *data, *size, *learning, "--out", "run")
    told = ("--task", "TextWorldCoin", "--split", "train", "--variations", "4", "--max-moves", "10", "--json")
    student, chance = (json.loads(wean("eval", who, *told)) for who in ("run", "random"))
    assert student["solved"] == 1.0
    assert chance["solved"] < 1.0
    assert student["questions"] == 0
    assert student["matched"] == 0
    twice = json.loads(wean("eval", "run", "--with", "run", *told))
    assert (twice["solved"], twice["with"], twice["subgoals"]) == (1.0, ["run"], True)
    assert len(list((tmp_path / "run" / "evaluations").iterdir())) == 2  # kept apart
    page = next((tmp_path / "run" / "evaluations").glob("*/timeline.html")).read_text()
    assert "walk to coin" in page
