"""Frozen Lake: Gymnasium's dynamics, its horizon and optimum, random lakes that are kept apart, and the words."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import is_valid
from gymnasium.utils.env_checker import check_env

from wean.errors import UsageError
from wean.evaluation.statistics import wilson
from wean.tasks.frozen_lake import FrozenLake, Moves, map_number, solve, success_of
from wean.tasks.registration import make_task, task_names
from wean.tasks.splits import split_of_number, split_of_seed
from wean.tasks.vector import SerialTasks, Tasks
from wean.tasks.workers import WorkerTasks

LAKES = tuple(name for name in task_names() if name.startswith("FrozenLake"))
PAGE = (Path(__file__).parents[2] / "docs" / "tasks" / "frozen_lake.md").read_text(encoding="utf-8")

# --- Gymnasium's contract and dynamics -------------------------------------------------------------------------------


def test_there_are_lakes_of_both_sizes_dry_slippery_and_random() -> None:
    assert LAKES == ("FrozenLake", "FrozenLakeDry", "FrozenLakeRandom", "FrozenLake4x4", "FrozenLake4x4Dry")
    assert [make_task(name).horizon for name in LAKES] == [200, 200, 200, 100, 100]
    assert [make_task(name).slippery for name in LAKES] == [True, False, True, True, False]
    assert make_task("FrozenLake4x4Dry", horizon=20).horizon == 20


@pytest.mark.parametrize("name", LAKES)
@pytest.mark.filterwarnings("ignore:.*different seeds.*")  # a standard lake begins alike under every seed
def test_gymnasiums_checker_accepts_every_lake(name: str) -> None:
    check_env(make_task(name), skip_render_check=True)


@pytest.mark.parametrize("size", ["4x4", "8x8"])
@pytest.mark.parametrize("slippery", [True, False])
def test_a_seed_gives_the_episode_that_it_gives_in_gymnasium(size: str, slippery: bool) -> None:
    ours = FrozenLake(size, slippery=slippery)
    theirs = gym.make("FrozenLake-v1", map_name=size, is_slippery=slippery, max_episode_steps=ours.horizon)
    random, ends = np.random.default_rng(0), 0
    for seed in range(60):
        assert ours.reset(seed=seed)[0] == theirs.reset(seed=seed)[0] == 0
        ended = False
        while not ended:
            action = int(random.integers(4))
            one, other = ours.step(action)[:4], theirs.step(action)[:4]
            assert one == other
            ended = one[2] or one[3]
            ends += ended
    assert ends == 60


def test_the_horizon_truncates_and_only_the_goal_is_success() -> None:
    lake = FrozenLake("4x4", slippery=False, horizon=3)
    lake.reset(seed=0)
    assert [lake.step(Moves.up)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    for path, reward in (("dr", 0.0), ("ddrrdr", 1.0)):
        lake = FrozenLake("4x4", slippery=False, horizon=6)
        lake.reset(seed=0)
        moves = {"d": Moves.down, "r": Moves.right}
        *_, last = [lake.step(moves[letter]) for letter in path]
        # The goal on the last step of the horizon terminates and does not truncate.
        assert last[1:] == (reward, True, False, {"is_success": reward == 1})


def test_worker_processes_give_the_numbers_of_this_process() -> None:
    makers = [partial(make_task, "FrozenLakeRandom")] * 3

    def play(tasks: Tasks) -> list[Any]:
        random, everyone = np.random.default_rng(2), [0, 1, 2]
        log: list[Any] = [tasks.reset(everyone, [3, 5_004, 10_005]).tolist()]
        for step in range(60):
            stepped = tasks.step(everyone, random.integers(4, size=3).tolist())
            *columns, infos = stepped
            log += [*(column.tolist() for column in columns), list(infos)]
            log.append([(s.key, s.goal, s.text, s.choices) for s in tasks.situations(everyone)])
            log.append(tasks.first_actions(everyone, [[("up",), ("Left ", "up"), ("jump",), ()]] * 3))
            over = np.flatnonzero(stepped.terminated | stepped.truncated).tolist()
            if over:
                log.append(tasks.reset(over, [100 + step + i for i in over]).tolist())
        return log

    workers = WorkerTasks(makers, workers=2)
    try:
        here = play(SerialTasks(makers))
        assert play(workers) == here
        assert [[3, 0, None, None]] * 3 in here
    finally:
        workers.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": "5x5"}, "no lake of size '5x5'; there are 4x4, 8x8"),
        ({"horizon": 0}, "horizon must be at least 1"),
        ({"random": True, "frozen": 1.5}, "frozen is a probability from 0.4 to 0.95, not 1.5"),
    ],
)
def test_wrong_settings_are_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        FrozenLake(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:The system font")
def test_a_picture_is_gymnasiums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    lake = make_task("FrozenLakeRandom", render_mode="rgb_array")
    pictures = []
    for seed in (0, 1):
        lake.reset(seed=seed)
        pictures.append(lake.render())
    assert pictures[0].shape == (512, 512, 3)
    assert (pictures[0] != pictures[1]).any(), "the second lake is drawn, not the first again"
    lake.close()


# --- the optimum -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "optimum"),
    [("FrozenLake", 0.9132), ("FrozenLakeDry", 1.0), ("FrozenLake4x4", 0.7442), ("FrozenLake4x4Dry", 1.0)],
)
def test_the_optimal_success_within_the_horizon(name: str, optimum: float) -> None:
    lake = make_task(name)
    assert solve(lake.lake, lake.horizon).success[-1, 0] == pytest.approx(optimum, abs=5e-5)


def test_the_optimum_counts_steps() -> None:
    lake = FrozenLake("4x4", slippery=False).lake
    assert solve(lake, 6).success[:, 0].tolist() == [0, 0, 0, 0, 0, 0, 1]  # six moves are the shortest way
    slippery = FrozenLake("4x4").lake
    # One move before the goal, and the choice that may slide into it: one time in three.
    assert solve(slippery, 1).success[1, 14] == pytest.approx(1 / 3)
    assert solve(slippery, 1).success[1, 0] == 0


def test_the_success_of_fixed_moves() -> None:
    down, right = Moves.down.value, Moves.right.value
    moves = np.full(16, right)
    moves[[0, 4, 9]] = down  # down twice, right, down, right twice: around the holes
    dry = FrozenLake("4x4", slippery=False).lake
    assert [success_of(dry, moves, horizon) for horizon in (5, 6)] == [0.0, 1.0]
    slippery = FrozenLake("4x4")
    assert 0 < success_of(slippery.lake, moves, 100) < solve(slippery.lake, 100).success[100, 0]


@pytest.mark.slow
def test_who_plays_the_optimum_reaches_it() -> None:
    task = make_task("FrozenLake")
    values = solve(task.lake, task.horizon).success
    best = np.zeros((task.horizon + 1, 64), int)
    for left in range(1, task.horizon + 1):
        for state in range(64):
            best[left, state] = np.argmax(
                [
                    sum(p * (r + (0 if over else values[left - 1, to])) for p, to, r, over in task.lake.P[state][move])
                    for move in range(4)
                ]
            )
    won = 0
    for seed in range(10_000, 13_000):
        state, ended, left = task.reset(seed=seed)[0], False, task.horizon
        while not ended:
            state, _, terminated, truncated, info = task.step(best[left, state])
            left, ended = left - 1, terminated or truncated
        won += info["is_success"]
    interval = wilson(won, 3000)
    assert interval.low < values[-1, 0] < interval.high


@pytest.mark.parametrize(("name", "least", "most"), [("FrozenLake", 0.0, 0.01), ("FrozenLake4x4", 0.005, 0.025)])
def test_random_play_hardly_ever_arrives(name: str, least: float, most: float) -> None:
    task, random, won = make_task(name), np.random.default_rng(0), 0
    for seed in range(1000):
        task.reset(seed=seed)
        ended = False
        while not ended:
            _, _, terminated, truncated, info = task.step(int(random.integers(4)))
            ended = terminated or truncated
        won += info["is_success"]
    interval = wilson(won, 1000)
    assert interval.high > least
    assert interval.low < most
    assert won / 1000 < 3 * most


# --- random lakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["4x4", "8x8"])
def test_random_lakes_are_solvable_and_of_their_seeds_split(size: str) -> None:
    lake = FrozenLake(size, random=True, frozen=0.7)
    side = int(size[0])
    drawn: dict[str, set[tuple[str, ...]]] = {"training": set(), "choosing": set(), "final": set()}
    for first in (0, 5_000, 10_000):
        for seed in range(first, first + 150):
            lake.reset(seed=seed)
            assert is_valid([list(row) for row in lake.rows], side)
            assert solve(lake.lake, 200).success[-1, 0] > 0
            assert split_of_number(map_number(lake.rows)) == split_of_seed(seed)
            drawn[split_of_seed(seed)].add(lake.rows)
    training, choosing, final = drawn.values()
    assert all(len(lakes) > 100 for lakes in drawn.values())
    assert not training & choosing
    assert not training & final
    assert not choosing & final
    lake.reset(seed=10_000)
    for _ in range(20):  # without a seed, on from the last one
        lake.reset()
        assert split_of_number(map_number(lake.rows)) == "final"


def test_the_same_seed_gives_the_same_random_lake_and_slides() -> None:
    def play() -> list[Any]:
        task, random = make_task("FrozenLakeRandom"), np.random.default_rng(1)
        log: list[Any] = [task.reset(seed=77)[0].tolist(), task.rows]
        for _ in range(10):
            log.append([part if not isinstance(part, np.ndarray) else part.tolist() for part in task.step(
                int(random.integers(4)))])  # fmt: skip
        return log

    assert play() == play()
    other = make_task("FrozenLakeRandom")
    other.reset(seed=78)
    assert other.rows != play()[1]


def test_of_a_random_lake_the_student_sees_where_it_is_and_the_holes() -> None:
    task = make_task("FrozenLakeRandom")
    here, holes = np.split(task.reset(seed=3)[0], 2)
    assert here.tolist() == [1.0] + [0.0] * 63
    assert "".join("H" if hole else "." for hole in holes) == re.sub("[SFG]", ".", "".join(task.rows))
    state = int(task.step(Moves.down)[0][:64].argmax())
    assert state == task.lake.s


# --- words -----------------------------------------------------------------------------------------------------------


def test_the_words_say_where_one_is_and_what_is_around() -> None:
    lake = make_task("FrozenLake4x4Dry")
    lake.reset(seed=0)
    said = [lake.situation().text]
    for move in ("down", "down", "right", "right"):
        lake.step(lake.first_action([move]))
        said.append(lake.situation().text)
    assert said[0] == (
        "The lake:\nSFFF\nFHFH\nFFFH\nHFFG\n"
        "You are in row 0, column 0. Next to you are left: the edge, down: ice, right: ice, up: the edge."
    )
    assert said[1].endswith("row 1, column 0. Next to you are left: the edge, down: ice, right: a hole, up: ice.")
    assert said[4].endswith("row 2, column 2. Next to you are left: ice, down: ice, right: a hole, up: ice.")
    lake.step(Moves.down)
    assert "right: the goal" in lake.situation().text
    assert lake.situation().choices == ("left", "down", "right", "up")
    assert "not slippery" in lake.situation().goal
    assert "one time in three" in make_task("FrozenLake4x4").goal


def test_keys_are_equal_exactly_when_the_words_are() -> None:
    met: dict[Any, str] = {}
    for name in ("FrozenLakeRandom", "FrozenLake"):
        task, random = make_task(name), np.random.default_rng(0)
        for seed in range(40):
            task.reset(seed=seed)
            ended = False
            while not ended:
                situation = task.situation()
                assert met.setdefault(situation.key, situation.text) == situation.text
                _, _, terminated, truncated, _ = task.step(int(random.integers(4)))
                ended = terminated or truncated
    assert len(met) > 150
    assert len(set(met.values())) == len(met)


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_code_on_the_page_runs() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    said: list[Any] = []
    exec(code, {"print": said.append})
    assert [str(line) for line in said] == re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)


def test_every_lake_with_its_optimum_is_on_the_page() -> None:
    for name in LAKES:
        assert f"| `{name}` | `wean/{name}-v0` |" in PAGE
        if name != "FrozenLakeRandom":
            task = make_task(name)
            (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` ")]
            assert f"| {solve(task.lake, task.horizon).success[-1, 0]:.3f} |" in row
