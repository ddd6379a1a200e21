"""A few wrong inputs of every kind end in one line, drawn as the benchmark draws them."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_wrong_inputs_end_in_one_line() -> None:
    command = [sys.executable, str(BENCHMARKS / "bad_input.py"), "--few", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    results = json.loads(ended.stdout)["results"]
    assert results["failures"] == []
    assert results["tried"] >= 24
