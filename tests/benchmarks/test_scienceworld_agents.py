"""What the table of text students says of several seeds."""

import json
from pathlib import Path

import pytest

from runs import Line
from scienceworld_agents import between_together, difference, together

TASKS = ("boil", "find-plant")
FIRST, OTHER = (Line(name, name, name, ("ScienceWorld",)) for name in ("planned", "flat"))
SCORES = {"planned": [(50.0, 100.0), (10.0, 30.0)], "flat": [(40.0, 100.0), (30.0, -100.0)]}


class Finished:
    """The second and third seed of two lines, two tasks played once each."""

    folder = Path()

    def of(self, task: str, line: Line) -> list[dict[str, object]]:
        """As `Runs.of`."""
        return [
            {
                "seed": seed,
                "student_parameters": 5,
                "demonstrations": 2,
                "seconds": 7.0,
                "flops": 8.0,
                "episodes": [
                    {"task": name, "variation": 1, "score": score} for name, score in zip(TASKS, of, strict=True)
                ],
            }
            for seed, of in enumerate(SCORES[line.name][: line.seeds - 1], 2)
        ]


def test_differences_are_of_the_same_episodes_seed_by_seed() -> None:
    found = difference(FIRST, OTHER, Finished(), 2)  # type: ignore[arg-type]
    assert found is not None
    assert found["of_seeds"] == [pytest.approx(5.0), pytest.approx(5.0)]  # -100, spoilt, counts 0
    assert found["mean"] == pytest.approx(5.0)
    assert found["low"] == pytest.approx((-20 + 0) / 2)
    assert found["high"] == pytest.approx((10 + 30) / 2)
    assert difference(FIRST, OTHER, Finished(), 3) is None  # type: ignore[arg-type]


def test_students_together_have_a_row_once_they_played_all(tmp_path: Path) -> None:
    finished, rows = Finished(), []
    finished.folder = tmp_path
    for line, scores in ((FIRST, (60.0, 100.0)), (OTHER, (50.0, -100.0))):
        played = [
            {"schema": "wean-episode/1", "task": name, "variation": 1, "score": score, "trace": []}
            | {"moves": 10, "actions": 10, "seconds": 0.1, "tokens": 5}
            for name, score in zip(TASKS, scores, strict=True)
        ]
        file = tmp_path / f"{line.name}-together" / "test-1.jsonl"
        file.parent.mkdir()
        file.write_text(json.dumps(played[0]) + "\n")
        assert together(line, finished, "test-1.jsonl", 2) is None  # type: ignore[arg-type]
        file.write_text("".join(json.dumps(one) + "\n" for one in played))
        row = together(line, finished, "test-1.jsonl", 2)  # type: ignore[arg-type]
        assert row is not None
        assert (row["parameters"], row["seconds"], row["flops"]) == (10, 14.0, 16.0)
        missing = together(line._replace(seeds=2), finished, "test-1.jsonl", 2)  # type: ignore[arg-type]
        assert missing is None  # of a third seed
        rows.append(row)
    assert rows[0]["what"] == "planned: two students together"
    found = between_together([{"what": "one alone"}, *rows])
    assert [(one["of"], one["than"]) for one in found] == [(rows[0]["what"], rows[1]["what"])]
    assert found[0]["mean"] == pytest.approx((10 + 100) / 2)
