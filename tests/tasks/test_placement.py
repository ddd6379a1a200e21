"""What lies where: the facts of the rooms' specification, over a few hundred seeds."""

from collections import Counter
from collections.abc import Iterator
from itertools import permutations

import pytest
from minigrid.core.constants import COLOR_NAMES

from wean.tasks.grid.env import Room
from wean.tasks.registration import ROOMS, make_task

Cell = tuple[int, int]
SEEDS = range(300)


class Layout:
    """Where everything lies in a room, read off its true grid."""

    def __init__(self, room: Room) -> None:
        things = {
            (x, y): room.grid.get(x, y)
            for x in range(room.width)
            for y in range(room.height)
            if room.grid.get(x, y) is not None
        }
        self.width = max(x for x, _ in things) + 1
        self.height = max(y for _, y in things) + 1
        self.walls = {cell for cell, thing in things.items() if thing.type == "wall"}
        self.doors = [(cell, thing) for cell, thing in things.items() if thing.type == "door"]
        self.keys = [(cell, thing.color) for cell, thing in things.items() if thing.type == "key"]
        self.boxes = [(cell, thing) for cell, thing in things.items() if thing.type == "box"]
        self.lava = [cell for cell, thing in things.items() if thing.type == "lava"]
        self.count = len(things)
        self.agent: Cell = (int(room.agent_pos[0]), int(room.agent_pos[1]))
        self.direction = int(room.agent_dir)

    @property
    def border(self) -> set[Cell]:
        right, bottom = self.width - 1, self.height - 1
        return {(x, y) for x in range(self.width) for y in range(self.height) if x in (0, right) or y in (0, bottom)}

    @property
    def corners(self) -> set[Cell]:
        return {(x, y) for x in (0, self.width - 1) for y in (0, self.height - 1)}

    @property
    def threshold(self) -> Cell:
        """The cell in front of the door."""
        (x, y), _ = self.doors[0]
        if x in (0, self.width - 1):
            return (1 if x == 0 else x - 1), y
        return x, (1 if y == 0 else y - 1)

    def inside(self, cell: Cell) -> bool:
        return 0 < cell[0] < self.width - 1 and 0 < cell[1] < self.height - 1


@pytest.fixture(scope="module", params=ROOMS)
def layouts(request: pytest.FixtureRequest) -> tuple[str, list[Layout]]:
    def lay() -> Iterator[Layout]:
        room = make_task(request.param)
        for seed in SEEDS:
            room.reset(seed=seed)
            yield Layout(room)

    return request.param, list(lay())


def test_rooms_are_walled_rectangles_of_five_to_ten_at_the_top_left(layouts: tuple[str, list[Layout]]) -> None:
    for layout in layouts[1]:
        assert layout.walls | {cell for cell, _ in layout.doors} == layout.border
    if layouts[0] == "TwoDoor":
        assert {(lay.width, lay.height) for lay in layouts[1]} == {(20, 20)}
        return
    for sizes in (Counter(lay.width for lay in layouts[1]), Counter(lay.height for lay in layouts[1])):
        assert set(sizes) == set(range(5, 11))
        assert min(sizes.values()) > len(SEEDS) / 6 * 0.5  # independent and uniform
    assert len({(lay.width, lay.height) for lay in layouts[1]}) == 36


def test_one_locked_door_stands_in_a_wall_and_not_in_a_corner(layouts: tuple[str, list[Layout]]) -> None:
    sides: Counter[str] = Counter()
    for layout in layouts[1]:
        for cell, door in layout.doors:
            assert door.is_locked
            assert not door.is_open
            assert cell in layout.border - layout.corners
            sides["left" if cell[0] == 0 else "right" if cell[0] == layout.width - 1 else "across"] += 1
        assert len(layout.doors) == (2 if layouts[0] == "TwoDoor" else 1)
    assert sides["left"] > 45
    assert sides["right"] > 45
    assert sides["across"] > 100


def test_the_agent_starts_on_a_free_cell_facing_anywhere(layouts: tuple[str, list[Layout]]) -> None:
    for layout in layouts[1]:
        assert layout.inside(layout.agent)
        assert layout.agent not in [cell for cell, _ in layout.keys] + layout.lava
    assert set(Counter(layout.direction for layout in layouts[1])) == {0, 1, 2, 3}


def test_the_doors_of_twodoor_face_each_other_and_its_key_lies_in_the_middle(
    layouts: tuple[str, list[Layout]],
) -> None:
    if layouts[0] != "TwoDoor":
        return
    pairs, keys = Counter(), Counter()
    for layout in layouts[1]:
        (one, first), (other, second) = layout.doors
        assert first.color == second.color == layout.keys[0][1]
        axis = 0 if {one[0], other[0]} == {0, 19} else 1
        assert {one[axis], other[axis]} == {0, 19}
        pairs[axis] += 1
        keys[layout.keys[0][0]] += 1
    assert min(pairs.values()) > 100
    assert set(keys) == {(9, 9), (9, 10), (10, 9), (10, 10)}
    assert len({layout.doors[0][0] for layout in layouts[1]} | {layout.doors[1][0] for layout in layouts[1]}) > 60


def test_keys_and_colours(layouts: tuple[str, list[Layout]]) -> None:
    name, rooms = layouts
    doors: set[str] = set()
    others: set[tuple[str, str]] = set()
    on_threshold = 0
    for layout in rooms:
        door = layout.doors[0][1].color
        doors.add(door)
        keys = [(cell, color) for cell, color in layout.keys]
        keys += [(cell, box.contains.color) for cell, box in layout.boxes if box.contains is not None]
        assert all(layout.inside(cell) for cell, _ in keys)
        assert len(keys) == (2 if name.startswith("Colored") else 1)
        assert door in [color for _, color in keys]
        if len(keys) == 2:
            (other,) = {color for _, color in keys} - {door}
            others.add((door, other))
        on_threshold += layout.threshold in [cell for cell, _ in keys]
    if name.startswith("Colored"):
        assert others == ({("blue", "red")} if name == "ColoredDoorKey" else set(permutations(COLOR_NAMES, 2)))
        assert on_threshold == 0
    else:
        assert doors == set(COLOR_NAMES)
        # Elsewhere the one key (or its box) may lie in front of the door; TwoDoor's lies in the middle.
        assert (on_threshold > 0) == (name != "TwoDoor")


def test_boxes_have_the_colour_of_the_door_and_hold_its_key_always_or_half_the_time(
    layouts: tuple[str, list[Layout]],
) -> None:
    name, rooms = layouts
    full = 0
    for layout in rooms:
        assert len(layout.boxes) == (name in ("KeyInBox", "RandomBoxKey"))
        for cell, box in layout.boxes:
            assert layout.inside(cell)
            assert box.color == layout.doors[0][1].color
            assert (box.contains is None) == (len(layout.keys) == 1)
            full += box.contains is not None
            if name == "RandomBoxKey":
                assert cell != layout.threshold
    if name == "KeyInBox":
        assert full == len(rooms)
    if name == "RandomBoxKey":
        assert 120 < full < 180  # of 300: half, within 3.5 standard deviations


def test_exactly_one_lava_cell_in_lavadoorkey_and_never_before_the_door(layouts: tuple[str, list[Layout]]) -> None:
    name, rooms = layouts
    for layout in rooms:
        assert len(layout.lava) == (name == "LavaDoorKey")
        assert all(layout.inside(cell) and cell != layout.threshold for cell in layout.lava)


def test_nothing_else_lies_in_the_room(layouts: tuple[str, list[Layout]]) -> None:
    for layout in layouts[1]:
        things = (layout.walls, layout.doors, layout.keys, layout.boxes, layout.lava)
        assert layout.count == sum(map(len, things))
        assert layout.count < layout.width * layout.height
