"""Nav-and-pick: Gymnasium's contract, the expert, what the robot sees and knows, words, splits and wrong settings."""

import math

import numpy as np
import pytest

from wean.errors import UsageError
from wean.tasks.contract import check_task
from wean.tasks.navpick.flat import FURNITURE, PIECES, THINGS
from wean.tasks.navpick.robot import Moves, Pose, Robot
from wean.tasks.navpick.task import NavPick
from wean.tasks.registration import make_task
from wean.tasks.splits import CHOOSING_SEED, FINAL_SEED, split_of_number
from wean.tasks.vector import SerialTasks

TASKS = ("NavPick", "NavPickSearch", "NavPickPlace")


def played(task: NavPick, seed: int) -> tuple[bool, int]:
    """Whether the expert wins, and in how many steps."""
    task.reset(seed=seed)
    for steps in range(1, task.horizon + 1):
        best = task.best_actions()
        _, reward, terminated, truncated, info = task.step(best[0] if best else Moves.forward)
        if terminated or truncated:
            assert info["is_success"] == terminated
            assert reward == pytest.approx(1 - 0.9 * steps / task.horizon if terminated else 0)
            return terminated, steps
    raise AssertionError("no episode is longer than its horizon")


@pytest.mark.parametrize("name", TASKS)
def test_they_keep_the_contract(name: str) -> None:
    check_task(make_task(name))


@pytest.mark.parametrize("name", TASKS)
def test_the_expert_wins(name: str) -> None:
    task = make_task(name).unwrapped
    assert isinstance(task, NavPick)
    found = [played(task, seed) for seed in range(3)]
    assert all(won for won, _ in found)
    assert all(20 < steps < 200 for _, steps in found)


def test_flats_of_a_seed_are_equal_and_of_its_split() -> None:
    task = NavPick()
    flats = {}
    for seed in (0, 1, CHOOSING_SEED, FINAL_SEED):
        first, _ = task.reset(seed=seed)
        flats[seed] = task.flat
        again, _ = task.reset(seed=seed)
        assert task.flat == flats[seed]
        assert (first["image"] == again["image"]).all()
    assert len(set(flats.values())) == 4
    splits = [split_of_number(flat.number()) for flat in flats.values()]
    assert splits == ["training", "training", "choosing", "final"]


def test_things_stand_in_their_usual_rooms_as_often_as_said() -> None:
    task, at_home, things = NavPick(compass=False, usual=0.8), 0, 0
    for seed in range(25):
        task.reset(seed=seed)
        for thing in task.flat.things:
            at_home += task.flat.pieces[thing.piece].room == THINGS[thing.name][0]
            things += 1
    assert 0.7 < at_home / things < 0.95  # those that are anywhere may be at home by chance


def test_a_wall_is_as_far_as_it_is() -> None:
    task = NavPick(size=(48, 64))
    task.reset(seed=0)
    # In the middle of the first room, looking along y at the outer wall, above all furniture.
    robot = Robot(task.flat, Pose(2.0, 2.0, -math.pi / 2), (48, 64))
    picture = robot.look()
    top = picture.depth[0]  # the highest row looks over furniture and doorways' sides
    assert np.isfinite(picture.depth).all()
    facing_wall = picture.hits[0] >= 0
    assert facing_wall.all()
    # The camera stands 5 cm before the middle of the base, tilted down: along its axis a wall 1.9 m off is nearer.
    assert 1.0 < np.median(top) < 2.2
    assert picture.colours.shape == (48, 64, 3)


def test_words_tell_what_is_wanted_seen_and_held() -> None:
    task = NavPick()
    task.reset(seed=3)
    text = task.situation().text
    assert text.startswith(f"The robot is to fetch the {task.wanted}. It holds nothing.")
    assert "was last seen on the " in text
    assert f"pick up {task.wanted}" in task.situation().choices
    while task.robot.held != task.wanted:
        task.step(task.best_actions()[0])
    assert task.situation().text == f"The robot holds the {task.wanted}."


def test_who_searches_is_told_no_place_until_it_sees_the_thing() -> None:
    task = NavPick(compass=False, usual=0.8)
    for seed in range(40):
        task.reset(seed=seed)
        if task.wanted not in task.seen:
            break
    assert "It has not seen the" in task.situation().text
    assert f"pick up {task.wanted}" not in task.situation().choices
    for piece in PIECES:  # through the whole flat, as far as the skills lead
        while (move := task.first_action([f"go to {piece}"])) is not None and task.wanted not in task.seen:
            task.step(move)
    assert task.wanted in task.seen
    assert " is on the " in task.situation().text


def test_the_rooms_that_were_searched_are_told() -> None:
    task = NavPick(compass=False, horizon=2000)
    task.reset(seed=11)
    for piece in FURNITURE["office"]:
        while (move := task.first_action([f"go to {piece}"])) is not None:
            task.step(move)
            task.seen.pop(task.wanted, None)  # as if it had been overlooked
    assert "office" in task.situation().text


def test_plans_and_skills() -> None:
    task = NavPick()
    task.reset(seed=5)
    names = task.skill_names
    assert len(names) == len(PIECES) + len(THINGS)
    assert set(task.situation().choices) <= set(names)
    assert task.first_action([f"pick up {task.wanted}"]) is None  # too far, or never seen
    assert task.first_action(["dance"]) is None
    assert task.first_action(["dance", "go to the counter"]) in set(Moves)


def test_a_student_sees_picture_and_state_in_one_array() -> None:
    tasks = SerialTasks([lambda: make_task("NavPickPlace")])
    assert tasks.observation == "camera"
    (seen,) = tasks.reset([0], [0])
    assert tasks.observation_space.contains(seen)
    assert seen.shape == (24, 32, 2)
    observation, _ = make_task("NavPickPlace").reset(seed=0)
    assert (seen[..., 0] == observation["image"][..., 0]).all()
    state = observation["state"]
    assert seen[..., 1].flat[: len(state)] / 255 == pytest.approx(state, abs=1 / 500)


def test_a_picture_is_drawn_on_request() -> None:
    task = NavPick(render_mode="rgb_array", colours=True)
    observation, _ = task.reset(seed=0)
    assert observation["image"].shape == (24, 32, 4)
    picture = task.render()
    assert picture is not None
    assert picture.shape[0] == 256
    assert NavPick().render() is None


def test_physics_that_explodes_truncates() -> None:
    task = NavPick()
    task.reset(seed=0)
    task.robot.data.qpos[:] = np.nan
    observation, reward, terminated, truncated, info = task.step(0)
    assert (reward, terminated, truncated, info["unstable"]) == (0.0, False, True, True)
    assert np.isfinite(observation["state"]).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"usual": 2.0}, "probability"),
        ({"horizon": 0}, "horizon"),
        ({"size": (4, 4)}, "pixels"),
        ({"render_mode": "ansi"}, "rgb_array"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(settings: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_task("NavPick", **settings)
