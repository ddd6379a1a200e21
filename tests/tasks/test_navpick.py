"""Nav-and-pick: Gymnasium's contract, the expert, what the robot sees and knows, words, splits and wrong settings."""

import json
import math
from importlib import resources

import numpy as np
import pytest

from wean.errors import UsageError
from wean.tasks.contract import check_task
from wean.tasks.navpick.flat import PIECES, THINGS
from wean.tasks.navpick.robot import Moves, Pose, Robot
from wean.tasks.navpick.task import NavPick
from wean.tasks.registration import make_task
from wean.tasks.splits import CHOOSING_SEED, FINAL_SEED, split_of_number
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import plan_question
from wean.teachers.reading import parse_plans

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
    assert text.startswith(f"The robot is to fetch the {task.wanted}, which ")
    assert "was last seen on the " in text
    assert f"pick up {task.wanted}" in task.situation().choices


def test_what_was_picked_up_is_told_with_its_place_to_go() -> None:
    task = make_task("NavPickPlace").unwrapped
    assert isinstance(task, NavPick)
    task.reset(seed=3)
    while "which was last seen on" in task.situation().text:
        task.step(task.best_actions()[0])
    assert task.first_action([f"pick up {task.wanted}"]) in (Moves.lift_arm, None)  # not told before it is lifted
    start = f"The robot holds the {task.wanted}, which belongs on the "
    assert task.situation().text.startswith(start)
    piece = task.situation().text.removeprefix(start).removesuffix(".")
    won = False
    while not won:  # a plan that ends where the words say wins, and the words stay on the way
        assert task.situation().text.startswith(start)
        move = task.first_action([f"go to {piece}", f"place on {piece}"])
        assert move is not None
        _, _, won, truncated, _ = task.step(move)
        assert not truncated


def test_who_searches_is_told_no_place_until_it_sees_the_thing() -> None:
    task = NavPick(compass=False, usual=0.8)
    for seed in range(40):
        task.reset(seed=seed)
        if task.wanted not in task.seen:
            break
    assert "was not seen yet" in task.situation().text
    assert f"pick up {task.wanted}" not in task.situation().choices
    for piece in PIECES:  # through the whole flat, as far as the skills lead
        while (move := task.first_action([f"go to {piece}"])) is not None and task.wanted not in task.seen:
            task.step(move)
    assert task.wanted in task.seen
    assert " was last seen on the " in task.situation().text


def test_who_searches_passes_over_what_it_looked_at_and_starts_anew_after_all() -> None:
    task = NavPick(compass=False, horizon=10_000)
    task.reset(seed=11)
    tour = [f"go to {piece}" for piece in PIECES]
    came_to, now = [], -1
    for _ in range(2_000):
        task.seen.pop(task.wanted, None)  # as if it had been overlooked
        move = task.first_action(tour)
        assert move is not None  # a tour has always somewhere to go
        place = next(place for place, step in enumerate(tour) if task.first_action([step]) is not None)
        if place != now:
            came_to.append(now := place)
        if place < max(came_to):
            break
        task.step(move)
    assert came_to[:-1] == sorted(came_to[:-1])  # never back, until all was looked at
    assert len(came_to) > 6
    assert came_to[-1] < 3


def test_another_thing_that_is_held_is_let_go_of() -> None:
    task = NavPick()
    task.reset(seed=3)
    wanted = task.wanted
    while task.robot.held != wanted:
        task.step(task.best_actions()[0])
    task.wanted = other = next(thing.name for thing in task.flat.things if thing.name != wanted)
    assert task.situation().text.startswith(f"The robot is to fetch the {other}, which ")
    while task.robot.held != other:
        task.step(task.best_actions()[0])
    assert task.robot.held == other


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


@pytest.mark.parametrize(("name", "count"), [("NavPickSearch", 156), ("NavPickPlace", 288)])
def test_every_question_of_a_teacher_is_answered_with_skills_that_there_are(name: str, count: int) -> None:
    task = make_task(name)
    task.reset(seed=1)
    file = resources.files("wean.llm").joinpath("recorded", "navpick.jsonl")
    rows = [row for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()) if name in row["tasks"]]
    assert len({row["messages"][1]["content"] for row in rows}) == len(rows) == count
    assert plan_question(task.unwrapped.situation()) in [row["messages"] for row in rows]
    named = {skill for row in rows for plan, _ in parse_plans(row["answer"]) for skill in plan}
    assert named <= set(task.unwrapped.skill_names)
