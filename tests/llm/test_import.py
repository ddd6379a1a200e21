"""Importing the room must cost nothing: heavy things wait until they are needed."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import wean.llm, wean.cli.ask
before = set(sys.modules)
assert not {"openai", "torch", "transformers", "httpx2", "sqlite3", "yaml"} & before, before
from wean.llm import open_model, scripted_model, Ledger, Budget
open_model("recorded:doorkey")
heavy = {"openai", "torch", "transformers", "numpy", "httpx2"} & set(sys.modules)
assert not heavy, heavy
try:
    wean.llm.nonsense
except AttributeError as error:
    print(error)
"""


def test_opening_a_recorded_model_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "module 'wean.llm' has no attribute 'nonsense'"
