"""What lies where: the facts of the rooms' specification, over a few hundred seeds."""

from collections import Counter
from collections.abc import Iterator

import pytest
from minigrid.core.constants import COLOR_NAMES

from wean.tasks.grid.room import Room
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
    for sizes in (Counter(lay.width for lay in layouts[1]), Counter(lay.height for lay in layouts[1])):
        assert set(sizes) == set(range(5, 11))
        assert min(sizes.values()) > len(SEEDS) / 6 * 0.5  # independent and uniform
    assert len({(lay.width, lay.height) for lay in layouts[1]}) == 36


def test_one_locked_door_stands_in_a_wall_and_not_in_a_corner(layouts: tuple[str, list[Layout]]) -> None:
    sides: Counter[str] = Counter()
    for layout in layouts[1]:
        ((cell, door),) = layout.doors
        assert door.is_locked
        assert not door.is_open
        assert cell in layout.border - layout.corners
        sides["left" if cell[0] == 0 else "right" if cell[0] == layout.width - 1 else "across"] += 1
    assert sides["left"] > 45
    assert sides["right"] > 45
    assert sides["across"] > 100


def test_the_agent_starts_on_a_free_cell_facing_anywhere(layouts: tuple[str, list[Layout]]) -> None:
    for layout in layouts[1]:
        assert layout.inside(layout.agent)
        assert layout.agent not in [cell for cell, _ in layout.keys] + layout.lava
    assert set(Counter(layout.direction for layout in layouts[1])) == {0, 1, 2, 3}


def test_keys_and_colours(layouts: tuple[str, list[Layout]]) -> None:
    name, rooms = layouts
    doors: set[str] = set()
    on_threshold = 0
    for layout in rooms:
        door = layout.doors[0][1].color
        doors.add(door)
        assert all(layout.inside(cell) for cell, _ in layout.keys)
        keys = sorted(color for _, color in layout.keys)
        assert keys == (["blue", "red"] if name == "ColoredDoorKey" else [door])
        on_threshold += layout.threshold in [cell for cell, _ in layout.keys]
    if name == "ColoredDoorKey":
        assert doors == {"blue"}
        assert on_threshold == 0
    else:
        assert doors == set(COLOR_NAMES)
        assert on_threshold > 0  # there, the one key may lie in front of the door


def test_exactly_one_lava_cell_in_lavadoorkey_and_never_before_the_door(layouts: tuple[str, list[Layout]]) -> None:
    name, rooms = layouts
    for layout in rooms:
        assert len(layout.lava) == (name == "LavaDoorKey")
        assert all(layout.inside(cell) and cell != layout.threshold for cell in layout.lava)


def test_nothing_else_lies_in_the_room(layouts: tuple[str, list[Layout]]) -> None:
    for layout in layouts[1]:
        assert layout.count == len(layout.walls) + len(layout.doors) + len(layout.keys) + len(layout.lava)
        assert layout.count < layout.width * layout.height
