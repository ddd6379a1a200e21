"""A teacher that is asked live and says nothing of use stops its run before it trains."""

from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeServer, Reply, completion

from wean.errors import UsageError
from wean.experiment.runner import Runner
from wean.experiment.settings import resolve
from wean.llm import Ledger

TINY = (
    "total_timesteps=64",
    "num_envs=4",
    "num_steps=16",
    "student.hidden=8",
    "evaluation.curve_points=1",
    "evaluation.curve_episodes=1",
    "evaluation.episodes=1",
    "evaluation.recorded_episodes=0",
)
PLAN = '{"plans": [{"skills": ["explore"], "probability": 1.0}]}'


def train(out: Path, name: str) -> dict[str, Any]:
    config = resolve("llm4teach", "SimpleDoorKey", model=name, overrides=TINY)
    return Runner(config, out, ledger=Ledger(out.parent / "ledger.db")).run()


def test_a_live_teacher_that_says_nothing_of_use_stops_the_run(tmp_path: Path) -> None:
    with FakeServer() as server:  # it echoes the question: no plan can be read from that
        with pytest.raises(UsageError, match="gave nothing that can be used in 4 of the first 4 moments of") as error:
            train(tmp_path / "run", server.name)
        assert "wean ask SimpleDoorKey --model" in str(error.value)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_what_was_asked_to_find_out_is_not_asked_again(tmp_path: Path) -> None:
    with FakeServer(lambda body, attempt: Reply(body=completion(PLAN))) as server:
        summary = train(tmp_path / "run", server.name)
        assert len(server.bodies) == summary["llm"]["asked"] == summary["llm"]["distinct"]
