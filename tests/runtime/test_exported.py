"""How probabilities become actions: one row as many, the posterior as in PyTorch, and nothing imported but numpy."""

import ast
import sys
from pathlib import Path

import numpy as np
import torch

from wean.runtime.acting import NoRepeat, posterior, sample, sample_one
from wean.students import action_values

ROOT = Path(__file__).parents[2]


def test_one_row_is_drawn_as_many_are() -> None:
    random = np.random.default_rng(0)
    rows = random.dirichlet(np.ones(5), 2000)
    draws = np.concatenate([random.random(1997), [0.0, 0.5, 1 - 1e-16]])
    assert [sample_one(row.tolist(), draw) for row, draw in zip(rows, draws, strict=True)] == sample(
        rows, draws
    ).tolist()


def test_probabilities_that_fall_short_of_one_still_give_an_action() -> None:
    assert sample_one([0.2, 0.3], 0.9) == 1
    assert sample(np.array([[0.2, 0.3]]), np.array([0.9])).tolist() == [1]


def test_no_repeat_takes_the_first_of_equal_ones_and_begins_again() -> None:
    rule, row, seen = NoRepeat(), np.array([0.25, 0.5, 0.25, 0.0]), np.zeros(2)
    assert [rule.choose(seen, row) for _ in range(5)] == [1, 0, 2, 1, 0]
    assert rule.choose(np.ones(2), row) == 1


def test_the_posterior_is_that_of_training() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(50, 4)).astype(np.float32)
    prior = random.dirichlet(np.ones(4), 50).astype(np.float32)
    prior[::3, 1] = 0
    for temperature in (0.0, 0.1, 2.0):
        wanted = (
            action_values.posterior(torch.from_numpy(values), torch.from_numpy(prior), temperature).double().numpy()
        )
        np.testing.assert_allclose(posterior(values, prior, temperature), wanted, atol=1e-6)


def test_the_runtime_needs_numpy_and_onnxruntime_alone() -> None:
    needed = set()
    for file in (ROOT / "src" / "wean" / "runtime").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                needed |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                needed.add((node.module or "").partition(".")[0])
    assert needed - set(sys.stdlib_module_names) == {"numpy", "onnxruntime", "tokenizers"}
