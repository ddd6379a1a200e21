"""What the table of text students says of several seeds."""

import pytest

from finished_runs import Line
from scienceworld_agents import difference

TASKS = ("boil", "find-plant")
FIRST, OTHER = (Line(name, name, name, ("ScienceWorld",)) for name in ("planned", "flat"))
SCORES = {"planned": [(50.0, 100.0), (10.0, 30.0)], "flat": [(40.0, 100.0), (30.0, -100.0)]}


class Finished:
    """Two seeds of two lines, two tasks played once each."""

    def of(self, task: str, line: Line) -> list[dict[str, object]]:
        """As `Runs.of`."""
        return [
            {
                "seed": seed,
                "episodes": [
                    {"task": name, "variation": 1, "score": score} for name, score in zip(TASKS, of, strict=True)
                ],
            }
            for seed, of in enumerate(SCORES[line.name], 1)
        ]


def test_differences_are_of_the_same_episodes_seed_by_seed() -> None:
    found = difference(FIRST, OTHER, Finished(), 2)  # type: ignore[arg-type]
    assert found is not None
    assert found["of_seeds"] == [pytest.approx(5.0), pytest.approx(5.0)]  # -100, spoilt, counts 0
    assert found["mean"] == pytest.approx(5.0)
    assert found["low"] == pytest.approx((-20 + 0) / 2)
    assert found["high"] == pytest.approx((10 + 30) / 2)
    assert difference(FIRST, OTHER, Finished(), 3) is None  # type: ignore[arg-type]
