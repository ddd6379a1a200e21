"""Playing for a file: what is written is what happened, whatever the processes and interruptions; mixtures; seeds."""

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pyarrow.parquet as pq
import pytest

from small_tasks import Corridor
from wean.agents.policy import Policy
from wean.agents.references import ExpertPolicy, RandomPolicy
from wean.data.demonstrations import Demonstrations, read_demonstrations
from wean.data.parts import BLOCK, Blocks
from wean.errors import UsageError, WeanError
from wean.evaluation.demonstrations import DemoPlan, demonstrate
from wean.tasks.registration import make_task
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks


class Doors(gym.Env[str, str]):
    """A text task: a seed's number of doors, one of which is right; who opens a wrong one finds fewer of them."""

    observation_space = gym.spaces.Text(100)
    action_space = gym.spaces.Text(20)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.doors, self.steps = 2 + int(self.np_random.integers(3)), 0
        return self.words(), {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        assert action in self.situation().choices
        self.steps += 1
        right = action == "open door 1"
        self.doors = max(1, self.doors - 1)
        info = {"is_success": right, "primitive_steps": 5}
        return self.words(), float(right), right, self.steps == 2 and not right, info

    def words(self) -> str:
        return f"{self.doors} doors {'!' * self.doors}"

    def situation(self) -> Situation:
        return Situation("Open the right door.", self.words(), tuple(f"open door {n + 1}" for n in range(self.doors)))

    def best_actions(self) -> list[str]:
        return ["open door 1"]


def expert(tasks: SerialTasks) -> Policy:
    return ExpertPolicy()


def chance(tasks: SerialTasks) -> Policy:
    return RandomPolicy()


def playing(make: Callable[[], Any] = Doors, policy: Any = chance, epsilon: float = 0.0, seed: int = 0) -> DemoPlan:
    return DemoPlan("Doors", make, "somebody", policy, epsilon, seed, None)


def write(path: Path, how: DemoPlan, episodes: int, resume: bool = False, **settings: Any) -> Demonstrations:
    shards = Blocks(path, {"episodes": episodes, "who": how.policy}, resume)
    demonstrate(how, shards, episodes, **settings)
    assert not shards.folder.exists()
    return read_demonstrations(path)


def test_every_row_is_what_happened(tmp_path: Path) -> None:
    demos = write(tmp_path / "doors.parquet", playing(), 60)
    assert (demos.task, demos.goal, demos.policy) == ("Doors", "Open the right door.", "somebody")
    assert demos.seed[demos.starts].tolist() == list(range(60))
    assert demos.episode[demos.starts].tolist() == list(range(60))
    assert set(demos.primitive_steps) == {5}
    doors = Doors()
    for row, start in enumerate(np.isin(np.arange(len(demos)), demos.starts)):
        if start:
            doors.reset(seed=int(demos.seed[row]))
        assert (demos.text[row], demos.choices[row]) == (doors.situation().text, doors.situation().choices)
        _, reward, terminated, truncated, _ = doors.step(demos.action[row])
        assert (demos.next_text[row], demos.next_choices[row]) == (doors.situation().text, doors.situation().choices)
        assert (demos.reward[row], demos.terminated[row], demos.truncated[row]) == (reward, terminated, truncated)
    ends = np.append(demos.starts[1:], len(demos)) - 1
    assert (demos.terminated | demos.truncated)[ends].all()
    assert (demos.success[ends] == demos.terminated[ends]).all()
    assert demos.success[demos.starts].tolist() == demos.success[ends].tolist()
    assert 0.4 < demos.success[ends].mean() < 0.8  # by chance: 1 - E[(1 - 1/n)(1 - 1/(n-1))] = 0.611 for n = 2, 3, 4


def test_chance_is_uniform_over_what_can_be_chosen(tmp_path: Path) -> None:
    demos = write(tmp_path / "doors.parquet", playing(), 600)
    four = np.array([len(choices) == 4 for choices in demos.choices])
    shares = np.bincount(demos.number[four], minlength=4) / four.sum()
    assert shares == pytest.approx(np.full(4, 0.25), abs=4 * np.sqrt(0.25 * 0.75 / four.sum()))


def test_epsilon_mixes_chance_into_an_expert(tmp_path: Path) -> None:
    alone = write(tmp_path / "expert.parquet", playing(policy=expert), 30)
    assert set(alone.action) == {"open door 1"}
    assert len(alone) == 30
    mixed = write(tmp_path / "mixed.parquet", playing(policy=expert, epsilon=0.5), 600)
    four = np.array([len(choices) == 4 for choices in mixed.choices])
    spread = np.sqrt(0.375 * 0.625 / four.sum())
    assert (mixed.number[four] == 0).mean() == pytest.approx(0.5 + 0.5 / 4, abs=4 * spread)


@pytest.mark.slow  # new processes take seconds to begin
def test_the_file_does_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    files = []
    for workers in (1, 2):
        path = tmp_path / f"{workers}.parquet"
        write(path, playing(policy=expert, epsilon=0.7), 70, successful=0.5, workers=workers)
        files.append(path.read_bytes())
    assert files[0] == files[1]
    assert not multiprocessing.active_children()


class Stop(Exception):
    """Stands for a kill between two blocks."""


@pytest.mark.parametrize("successful", [None, 0.4])
def test_a_job_that_was_stopped_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, successful: float | None
) -> None:
    whole = tmp_path / "whole.parquet"
    write(whole, playing(), 90, successful=successful)

    def stop(kept: int, played: int) -> None:
        if played >= 2 * BLOCK:
            raise Stop

    path = tmp_path / "stopped.parquet"
    job = {"episodes": 90, "who": "somebody"}
    with pytest.raises(Stop):
        demonstrate(playing(), Blocks(path, job, False), 90, successful, progress=stop)
    assert not path.exists()
    parts = path.with_name(f"{path.name}.parts")
    assert sorted(p.name for p in parts.iterdir()) == [
        "block-000000.parquet", "block-000001.parquet", "job.json",
    ]  # fmt: skip
    (parts / ".block-000002.parquet.1234").write_bytes(b"PAR1 half")  # what a kill in the midst of writing leaves
    played: list[int] = []
    reset = Doors.reset

    def noting(self: Doors, *, seed: int | None = None, options: Any = None) -> Any:
        played.append(seed or 0)
        return reset(self, seed=seed)

    monkeypatch.setattr(Doors, "reset", noting)
    write(path, playing(), 90, resume=True, successful=successful)
    assert path.read_bytes() == whole.read_bytes()
    assert min(played) == 2 * BLOCK, "what was finished is not played again"


def test_what_cannot_be_continued_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    job = {"episodes": 60, "who": "somebody"}

    def stop(kept: int, played: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        demonstrate(playing(), Blocks(path, job, False), 60, progress=stop)
    with pytest.raises(UsageError, match=r"some\.parquet\.parts holds an unfinished file; add --resume"):
        Blocks(path, job, False)
    with pytest.raises(UsageError, match="was begun with other settings; repeat them, or delete it"):
        Blocks(path, {**job, "episodes": 61}, True)
    block = tmp_path / "some.parquet.parts" / "block-000000.parquet"
    whole = block.read_bytes()
    for damaged in (whole[:100], whole[: len(whole) // 2] + bytes(40) + whole[len(whole) // 2 + 40 :], b""):
        block.write_bytes(damaged)
        with pytest.raises(WeanError, match=r"block-000000\.parquet is damaged.*; delete it and go on with --resume"):
            demonstrate(playing(), Blocks(path, job, True), 60)
    block.unlink()
    demonstrate(playing(), Blocks(path, job, True), 60)
    with pytest.raises(UsageError, match=r"some\.parquet is there already; choose another --out"):
        Blocks(path, job, False)
    with pytest.raises(UsageError, match="is there already, and of other settings"):
        Blocks(path, {**job, "who": "nobody"}, True)
    assert Blocks(path, job, True).finished


def test_a_mixture_keeps_the_first_of_each_kind(tmp_path: Path) -> None:
    all_played = write(tmp_path / "all.parquet", playing(), 100)
    mixed = write(tmp_path / "mixed.parquet", playing(), 20, successful=0.75)
    success = all_played.success[all_played.starts] == 1
    seeds = sorted([*np.flatnonzero(success)[:15], *np.flatnonzero(~success)[:5]])
    assert mixed.seed[mixed.starts].tolist() == seeds
    assert mixed.episode[mixed.starts].tolist() == list(range(20))
    assert mixed.success[mixed.starts].sum() == 15
    report = Blocks(tmp_path / "mixed.parquet", {"episodes": 20, "who": "somebody"}, True).report()
    assert report == {"played": max(seeds) + 1, "kept": 20, "successful": 15, "steps": len(mixed)}
    metadata = pq.read_schema(tmp_path / "mixed.parquet").metadata
    assert json.loads(metadata[b"job"]) == {"episodes": 20, "who": "somebody"}
    rows = np.isin(all_played.seed, seeds)
    assert mixed.action == [action for action, kept in zip(all_played.action, rows, strict=True) if kept]


def test_a_mixture_that_does_not_come_says_so_and_can_go_on(tmp_path: Path) -> None:
    path, job = tmp_path / "some.parquet", {"episodes": 20}
    how = playing(policy=expert, epsilon=0.7)
    with pytest.raises(WeanError, match=r"of 2 successful and 18 other episodes there were 2 and \d+ after 30; raise"):
        demonstrate(how, Blocks(path, job, False), 20, 0.1, limit=30)
    demonstrate(how, Blocks(path, job, True), 20, 0.1)
    direct = tmp_path / "direct.parquet"
    demonstrate(how, Blocks(direct, job, False), 20, 0.1)
    assert path.read_bytes() == direct.read_bytes()
    with pytest.raises(WeanError, match=r"of 0 successful and 5 other episodes there were 0 and 0 after 250; raise"):
        demonstrate(playing(policy=expert), Blocks(tmp_path / "never.parquet", job, False), 5, 0.0)


@pytest.mark.parametrize(
    ("seed", "seeds"), [(4_990, (4_990, 5_000)), (9_995, (9_995, 10_000)), (10_000, (10_000, 10_040))]
)
def test_held_out_seeds_are_never_played_by_the_way(tmp_path: Path, seed: int, seeds: tuple[int, int]) -> None:
    demos = write(tmp_path / "some.parquet", playing(seed=seed), 40)
    assert set(demos.seed) == set(range(*seeds))
    assert len(demos.starts) == 40
    if seed == 4_990:
        first = [demos.action[row] for row in demos.starts]
        assert len({tuple(first[place : place + 10]) for place in (0, 10, 20, 30)}) == 4, "other draws each time"


def test_success_is_what_the_declared_return_says_where_the_task_says_nothing(tmp_path: Path) -> None:
    demos = write(tmp_path / "corridor.parquet", replace(playing(Corridor), success_return=1.0), 60)
    ends = np.append(demos.starts[1:], len(demos)) - 1
    assert (demos.success[ends] == demos.reward[ends]).all()
    assert set(demos.primitive_steps) == {1}
    assert demos.choices[0] == ("left", "right")


def test_where_choices_are_skills_the_actions_have_the_tasks_names(tmp_path: Path) -> None:
    demos = write(tmp_path / "room.parquet", playing(partial(make_task, "SimpleDoorKey", max_steps=5)), 5)
    assert set(demos.choices) == {("left", "right", "forward", "pickup", "drop", "toggle", "done")}
    room = make_task("SimpleDoorKey")
    room.reset(seed=0)
    assert demos.text[0] == room.situation().text
    for row in range(3):
        room.step(int(demos.number[row]))
        assert demos.next_text[row] == room.situation().text


def test_a_kitchens_expert_serves_in_ten_actions(tmp_path: Path) -> None:
    demos = write(tmp_path / "kitchen.parquet", playing(partial(make_task, "KitchenRandom"), expert), 30)
    assert (np.diff(demos.starts) == 10).all()
    assert demos.success.all()
    assert demos.primitive_steps.max() > 3


@pytest.mark.slow
def test_a_dead_process_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeanError, match="a worker process died; go on with --resume and fewer --workers"):
        demonstrate(playing(Deadly), Blocks(tmp_path / "some.parquet", {}, False), 60, workers=2)


class Deadly(Doors):
    """Takes its process along."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        import os

        os._exit(9)


def test_where_the_task_does_not_say_what_success_is_none_is_written_down(tmp_path: Path) -> None:
    how, job = playing(Corridor), {"task": "Corridor"}
    blocks = Blocks(tmp_path / "some.parquet", job, False)
    demonstrate(how, blocks, 20)
    assert (blocks.report()["kept"], blocks.report()["successful"]) == (20, None)
    assert set(pq.read_table(tmp_path / "some.parquet")["success"].to_pylist()) == {None}
    with pytest.raises(UsageError, match="does not say which episodes are successes; leave --successful out"):
        demonstrate(how, Blocks(tmp_path / "mixed.parquet", job, False), 20, 0.5)
