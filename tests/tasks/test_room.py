"""A room's Gymnasium contract: spaces, seeds, ends, rewards, and the remembered observation."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.core.world_object import Key

from wean.errors import UsageError
from wean.tasks.grid.env import Room
from wean.tasks.grid.memory import NO_AGENT
from wean.tasks.grid.skills import FORWARD, LEFT, PICK_UP, RIGHT, TOGGLE
from wean.tasks.registration import ROOMS, make_task

STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def place(room: Room, ahead: tuple[int, int]) -> None:
    """Stands the agent inside the room, facing the cell `ahead`."""
    for direction, (dx, dy) in enumerate(STEPS):
        x, y = ahead[0] - dx, ahead[1] - dy
        inside = 0 < x < room.room_size[0] - 1 and 0 < y < room.room_size[1] - 1
        if inside and room.grid.get(x, y) is None:
            room.agent_pos, room.agent_dir = (x, y), direction
            return
    raise AssertionError(f"nowhere to stand before {ahead}")


def find(room: Room, kind: str, color: str | None = None) -> tuple[int, int]:
    for x in range(room.width):
        for y in range(room.height):
            thing = room.grid.get(x, y)
            if thing is not None and thing.type == kind and color in (None, thing.color):
                return x, y
    raise AssertionError(f"no {kind} in the room")


@pytest.mark.parametrize("name", ROOMS)
def test_gymnasiums_checker_accepts_every_room(name: str) -> None:
    check_env(make_task(name), skip_render_check=True)


@pytest.mark.parametrize("name", ROOMS)
def test_a_picture_shows_the_whole_grid(name: str) -> None:
    env = make_task(name, render_mode="rgb_array", tile_size=8)
    env.reset(seed=1)
    picture = env.render()
    assert picture.shape == (8 * env.width, 8 * env.height, 3)
    assert picture.std() > 0


@pytest.mark.filterwarnings("ignore:The system font")
def test_people_can_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    room = make_task("SimpleDoorKey", render_mode="human")
    room.reset(seed=1)
    room.step(LEFT)
    assert room.window is not None
    room.close()


def test_an_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'Nope'; there are ColoredDoorKey, .*SimpleDoorKey, TwoDoor"):
        Room("Nope")


# --- seeds -----------------------------------------------------------------------------------------------------------


def everything(room: Room) -> tuple[Any, ...]:
    return room.grid.encode().tobytes(), tuple(int(c) for c in room.agent_pos), int(room.agent_dir)


@pytest.mark.parametrize("name", ROOMS)
def test_the_same_seed_gives_the_same_room_and_episode_in_any_instance(name: str) -> None:
    actions = np.random.default_rng(0).integers(0, 7, 60).tolist()

    def play(env: Any, seed: int) -> list[Any]:
        seen = [env.reset(seed=seed)[0]["image"].tobytes(), everything(env)]
        for action in actions:
            observation, reward, terminated, truncated, _ = env.step(action)
            seen += [observation["image"].tobytes(), reward, terminated, truncated, env.situation().text]
            if terminated or truncated:
                break
        return seen

    one, other = make_task(name), make_task(name)
    other.reset(seed=999)  # what was played before leaves no trace
    for seed in (0, 1, 4999, 10_000):
        assert play(one, seed) == play(other, seed)


@pytest.mark.parametrize("name", ROOMS)
def test_different_seeds_give_different_rooms(name: str) -> None:
    room = make_task(name)
    rooms = set()
    for seed in range(200):
        room.reset(seed=seed)
        rooms.add(everything(room))
    assert len(rooms) >= 198


def test_a_reset_without_a_seed_goes_on_with_the_stream_of_the_last_one() -> None:
    def three(seed: int) -> list[Any]:
        room = Room()
        rooms = []
        for given in (seed, None, None):
            room.reset(seed=given)
            rooms.append(everything(room))
        return rooms

    assert three(7) == three(7)
    assert len(set(three(7))) == 3


# --- ends and rewards ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROOMS)
def test_the_step_limit_truncates_and_does_not_terminate(name: str) -> None:
    room = make_task(name)
    room.reset(seed=3)
    limit = 100 if name in ("ColoredDoorKeyRandom", "KeyInBox", "RandomBoxKey") else 150
    for step in range(1, limit + 1):
        observation, reward, terminated, truncated, info = room.step(LEFT)
        assert (reward, terminated, truncated) == (0.0, False, step == limit)
    assert observation in room.observation_space
    assert isinstance(info, dict)
    assert isinstance(reward, float)


@pytest.mark.parametrize("name", ROOMS)
@pytest.mark.parametrize("idle", [0, 1, 20, -1])
def test_opening_the_door_pays_by_the_steps_taken_and_terminates(name: str, idle: int) -> None:
    room = make_task(name)
    room.reset(seed=5)
    idle %= room.max_steps
    door = room.grid.get(*find(room, "door"))
    room.carrying = Key(door.color)
    place(room, find(room, "door"))
    for _ in range(idle):
        assert room.step(PICK_UP)[1:4] == (0.0, False, False)
    _, reward, terminated, truncated, _ = room.step(TOGGLE)
    assert reward == pytest.approx(1 - 0.9 * (idle + 1) / room.max_steps)
    # Also on the last step that the limit allows, success is an end of its own.
    assert (terminated, truncated) == (True, False)


@pytest.mark.parametrize("name", ROOMS)
def test_a_locked_door_stays_shut_without_a_key(name: str) -> None:
    room = make_task(name)
    room.reset(seed=5)
    place(room, find(room, "door"))
    assert room.step(TOGGLE)[1:4] == (0.0, False, False)
    assert room.grid.get(*find(room, "door")).is_locked


def test_the_wrong_key_opens_nothing() -> None:
    room = make_task("ColoredDoorKey")
    room.reset(seed=5)
    place(room, find(room, "door"))
    room.carrying = Key("red")
    assert room.step(TOGGLE)[1:4] == (0.0, False, False)
    room.carrying = Key("blue")
    assert room.step(TOGGLE)[2]


@pytest.mark.parametrize("which", [0, 1])
def test_either_door_of_twodoor_is_enough(which: int) -> None:
    room = make_task("TwoDoor")
    for seed in range(20):
        room.reset(seed=seed)
        cells = [cell for cell in product(range(20), range(20)) if getattr(room.grid.get(*cell), "type", "") == "door"]
        assert len(cells) == 2
        room.carrying = Key(room.grid.get(*cells[which]).color)
        place(room, cells[which])
        assert room.step(TOGGLE)[1:4] == (pytest.approx(1 - 0.9 / 150), True, False)
        assert not room.grid.get(*cells[1 - which]).is_open


# --- boxes -----------------------------------------------------------------------------------------------------------


def test_an_opened_box_leaves_its_key_in_its_place() -> None:
    room = make_task("KeyInBox")
    for seed in range(20):
        room.reset(seed=seed)
        box = find(room, "box")
        color = room.grid.get(*box).color
        assert find(room, "door", color)
        place(room, box)
        room.gen_obs()
        observation, reward, terminated, _, _ = room.step(TOGGLE)
        assert (reward, terminated) == (0.0, False)
        assert tuple(observation["image"][box][:3]) == Key(color).encode()
        text = room.situation().text
        assert "a key" in text
        assert "box" not in text
        assert room.first_action(["pick up box", "open box"]) is None
        room.step(room.first_action(["pick up key"]))
        assert room.carrying.type == "key"


def test_an_empty_box_vanishes_when_opened_and_is_no_longer_told_of() -> None:
    room = make_task("RandomBoxKey")
    empty = 0
    for seed in range(30):
        room.reset(seed=seed)
        cell = find(room, "box")
        if room.grid.get(*cell).contains is not None:
            continue
        empty += 1
        place(room, cell)
        room.gen_obs()
        assert "a box" in room.situation().text
        observation = room.step(TOGGLE)[0]
        assert tuple(observation["image"][cell][:3]) == (OBJECT_TO_IDX["empty"], 0, 0)
        assert "box" not in room.situation().text
        assert room.step(FORWARD)[0]["image"][cell][3] != NO_AGENT  # where it was there is floor
    assert empty > 5


def test_a_box_can_be_carried_as_in_minigrid_and_keeps_its_key() -> None:
    room = make_task("KeyInBox")
    room.reset(seed=2)
    place(room, find(room, "box"))
    room.gen_obs()
    room.step(PICK_UP)
    assert room.situation().text.endswith("It holds a box.")
    assert "drop box" in room.situation().choices
    while room.carrying is not None:
        room.step(room.first_action(["drop box"]))
    room.step(room.first_action(["open box"]))
    assert "a key" in room.situation().text


def test_whether_a_box_is_empty_cannot_be_seen() -> None:
    room = make_task("RandomBoxKey")
    shown = set()
    for seed in range(30):
        room.reset(seed=seed)
        cell = find(room, "box")
        place(room, cell)
        code = tuple(room.gen_obs()["image"][cell][:3])
        assert code == (OBJECT_TO_IDX["box"], COLOR_TO_IDX[room.grid.get(*cell).color], 0)
        shown.add(room.grid.get(*cell).contains is None)
    assert shown == {True, False}


def test_lava_ends_an_episode_with_nothing() -> None:
    room = make_task("LavaDoorKey")
    ended = 0
    for seed in range(30):
        room.reset(seed=seed)
        place(room, find(room, "lava"))
        _, reward, terminated, truncated, _ = room.step(FORWARD)
        assert (reward, terminated, truncated) == (0.0, True, False)
        ended += 1
    assert ended == 30


# --- the observation -------------------------------------------------------------------------------------------------


def wander(name: str, seed: int, steps: int = 100) -> Any:
    """Plays random actions, most of them walking, and yields (room, image, action) from the reset on."""
    room = make_task(name)
    random = np.random.default_rng(seed)
    image = room.reset(seed=seed)[0]["image"]
    yield room, image, None
    for _ in range(steps):
        action = int(random.choice(7, p=[0.2, 0.2, 0.35, 0.1, 0.05, 0.05, 0.05]))
        observation, _, terminated, truncated, _ = room.step(action)
        yield room, observation["image"], action
        if terminated or truncated:
            return


@pytest.mark.parametrize("name", ROOMS)
def test_seen_cells_are_the_true_grid_and_unseen_ones_are_zeros(name: str) -> None:
    carried = 0
    # Canonical colours are not the grid's; see test_the_map_shows_colours_as_the_words_tell_them.
    told = [0, 2] if name == "ColoredDoorKeyRandom" else [0, 1, 2]
    for seed in range(25):
        side = 20 if name == "TwoDoor" else 10
        known = np.zeros((side, side), bool)
        for room, image, _ in wander(name, seed):
            assert image.shape == (side, side, 4)
            assert image.dtype == np.uint8
            at = tuple(int(c) for c in room.agent_pos)
            away = np.ones((side, side), bool)
            away[at] = False
            # Channel 3 tells where the agent is and where it looks, nothing else.
            assert image[at][3] == room.agent_dir
            assert (image[..., 3][away] == NO_AGENT).all()
            # Its own cell shows what it carries.
            own = (OBJECT_TO_IDX["empty"], 0, 0) if room.carrying is None else room.carrying.encode()
            assert (image[at][told] == np.array(own)[told]).all()
            carried += room.carrying is not None
            # Every other cell is either unseen or as it is now; what was seen stays seen.
            seen = image[..., 0] != OBJECT_TO_IDX["unseen"]
            assert (image[..., told][seen & away] == room.grid.encode()[..., told][seen & away]).all()
            assert (image[..., :3][~seen] == 0).all()
            assert (seen | ~known).all()
            known = seen
    # TwoDoor's key lies too far off for a drunken walk.
    assert carried > 0 or name == "TwoDoor", "no key was ever carried: the walk tests too little"


def test_observations_are_snapshots() -> None:
    room = make_task("SimpleDoorKey")
    first = room.reset(seed=1)[0]["image"]
    before = first.copy()
    for action in (LEFT, LEFT, FORWARD, RIGHT, FORWARD):
        room.step(action)
    assert (first == before).all()
    first[:] = 77
    assert (room.gen_obs()["image"] != 77).all()


def test_a_reset_forgets_the_last_room() -> None:
    room = make_task("ColoredDoorKey")
    fresh = room.reset(seed=8)[0]["image"].copy()
    words = room.situation().text
    room.reset(seed=9)
    for action in np.random.default_rng(0).integers(0, 3, 80).tolist():
        room.step(action)
    assert (room.reset(seed=8)[0]["image"] == fresh).all()
    assert room.situation().text == words
