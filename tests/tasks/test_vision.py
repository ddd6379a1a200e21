"""The fast view is the slow view, bit for bit: an independent memory on MiniGrid's own slicing and occlusion."""

import numpy as np
import pytest
from minigrid.core.constants import OBJECT_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.world_object import Door, Floor, Wall

from wean.tasks.grid.env import Room
from wean.tasks.grid.geometry import geometry, visible
from wean.tasks.registration import ROOMS


class SlowMemory:
    """The remembered observation, rebuilt at every step from MiniGrid's `slice`, `rotate_left` and `process_vis`."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen = np.zeros((0, 0), bool)

    def look(self, room: Room) -> np.ndarray:
        if self.seen.size == 0:
            self.seen = np.zeros((room.width, room.height), bool)
        size = self.size
        left, top, _, _ = room.get_view_exts(size)
        view = room.grid.slice(left, top, size, size)
        # What is moved with the view: the absolute cell of every view cell.
        cells = np.array([[(left + i, top + j) for j in range(size)] for i in range(size)])
        for _ in range(room.agent_dir + 1):
            view = view.rotate_left()
            cells = np.rot90(cells, -1)  # as rotate_left: new[j, size - 1 - i] = old[i, j]
        mask = view.process_vis(agent_pos=(size // 2, size - 1))
        for i in range(size):
            for j in range(size):
                x, y = cells[i, j]
                if mask[i, j] and 0 <= x < room.width and 0 <= y < room.height:
                    self.seen[x, y] = True
        image = np.zeros((room.width, room.height, 4), np.uint8)
        image[..., :3] = room.grid.encode() * self.seen[..., None]
        image[..., 3] = 4
        own = (OBJECT_TO_IDX["empty"], 0, 0) if room.carrying is None else room.carrying.encode()
        image[tuple(room.agent_pos)] = (*own, room.agent_dir)
        return image


def test_the_slow_memory_turns_its_cells_as_minigrid_turns_its_grid() -> None:
    # Otherwise the comparison below would prove nothing.
    grid, cells = Grid(3, 3), np.array([[(i, j) for j in range(3)] for i in range(3)])
    things = {(i, j): Wall() for i in range(3) for j in range(3)}
    for cell, thing in things.items():
        grid.set(*cell, thing)
    for _ in range(4):
        grid, cells = grid.rotate_left(), np.rot90(cells, -1)
        for i in range(3):
            for j in range(3):
                assert grid.get(i, j) is things[tuple(cells[i, j])]


@pytest.mark.parametrize("view_size", [3, 5, 7])
@pytest.mark.parametrize("name", ROOMS)
def test_the_remembered_map_is_that_of_the_slow_memory_at_every_step(name: str, view_size: int) -> None:
    room = Room(name, view_size=view_size)
    # Canonical colours are not the grid's; see test_the_map_shows_colours_as_the_words_tell_them.
    told = [0, 2, 3] if name == "ColoredDoorKeyRandom" else [0, 1, 2, 3]
    looks = 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        slow = SlowMemory(view_size)
        image, ended = room.reset(seed=seed)[0]["image"], False
        for _ in range(60):
            assert (image[..., told] == slow.look(room)[..., told]).all(), f"seed {seed}"
            looks += 1
            if ended:
                break
            action = int(random.choice(7, p=[0.2, 0.2, 0.4, 0.1, 0.04, 0.03, 0.03]))
            observation, _, terminated, truncated, _ = room.step(action)
            image, ended = observation["image"], terminated or truncated
    assert looks > 300


def test_an_opened_door_can_be_seen_through() -> None:
    room = Room("SimpleDoorKey")
    room.reset(seed=5)
    slow = SlowMemory(3)
    slow.look(room)
    x, y = next((x, y) for x in range(10) for y in range(10) if getattr(room.grid.get(x, y), "type", "") == "door")
    door = room.grid.get(x, y)
    for direction, (dx, dy) in enumerate(((1, 0), (0, 1), (-1, 0), (0, -1))):
        ahead = (x - dx, y - dy)
        if 0 < ahead[0] < room.room_size[0] - 1 and 0 < ahead[1] < room.room_size[1] - 1:
            room.agent_pos, room.agent_dir = ahead, direction
    room.gen_obs()
    slow.look(room)
    door.is_locked, door.is_open = False, False
    observation, _, terminated, _, _ = room.step(room.actions.toggle)
    assert terminated
    assert door.is_open
    assert (observation["image"] == slow.look(room)).all()


@pytest.mark.parametrize("size", [3, 5, 7])
def test_visible_is_process_vis_for_any_pattern_of_obstacles(size: int) -> None:
    random = np.random.default_rng(size)
    patterns = range(2**9) if size == 3 else random.integers(0, 2 ** (size * size), 150).tolist()
    for pattern in patterns:
        # Sparser patterns too: in a dense one nearly nothing is seen.
        opaque = int(pattern) & int(random.integers(0, 2 ** (size * size))) if size > 3 else int(pattern)
        grid = Grid(size, size)
        for index in range(size * size):
            if opaque >> index & 1:
                grid.set(index % size, index // size, Wall() if index % 2 else Door("red"))
            elif index % 3 == 0:
                grid.set(index % size, index // size, Floor("blue"))  # can be seen through
        mask = grid.process_vis(agent_pos=(size // 2, size - 1))
        expected = tuple(row * size + column for row in range(size) for column in range(size) if mask[column, row])
        assert visible(size, opaque) == expected


def test_geometry_by_hand() -> None:
    table = geometry(4, 3, 3)  # cells are x * 3 + y

    def pose(x: int, y: int, direction: int) -> int:
        return (x * 3 + y) * 4 + direction

    assert table.forward[pose(1, 1, 0)] == 2 * 3 + 1
    assert table.forward[pose(1, 1, 1)] == 1 * 3 + 2
    assert table.forward[pose(1, 1, 2)] == 0 * 3 + 1
    assert table.forward[pose(1, 1, 3)] == 1 * 3 + 0
    assert table.forward[pose(3, 1, 0)] == -1
    # Facing east from (1, 1): the far row is x = 3, left of the agent is y = 0.
    assert table.view[pose(1, 1, 0)] == (9, 10, 11, 6, 7, 8, 3, 4, 5)
    # Facing north from (1, 1): two ahead lies outside; left is x = 0.
    assert table.view[pose(1, 1, 3)] == (-1, -1, -1, 0, 3, 6, 1, 4, 7)
