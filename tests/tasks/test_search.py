"""The fast searches give what a plain search pose by pose gives, on random maps and in rooms."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from wean.tasks.grid.geometry import board, facing, first_step, geometry, holds, marked, visible
from wean.tasks.grid.skills import (
    DOOR,
    DROP,
    FORWARD,
    FREE,
    LAVA,
    LEFT,
    OBSTACLE,
    OPAQUE,
    RIGHT,
    TOGGLE,
    UNSEEN,
    WAY,
    KnownMap,
    drop,
    explore,
    go_to,
)
from wean.tasks.registration import make_task


def slow_search(known: KnownMap, worth: Callable[[int], int]) -> int | None:
    """Breadth-first, pose by pose: the first action to the nearest pose worth something, the most of equals."""
    if worth(known.pose):
        return None
    forward = geometry(known.width, known.height, known.view_size).forward
    met, ring = {known.pose}, [(known.pose, -1)]
    while ring:
        following: list[tuple[int, int]] = []
        best, most = -1, 0
        for pose, way in ring:
            cell, direction = pose >> 2, pose & 3
            moves = [(LEFT, cell << 2 | (direction - 1) & 3), (RIGHT, cell << 2 | (direction + 1) & 3)]
            ahead = forward[pose]
            if ahead >= 0 and known.cells[ahead] in (FREE, LAVA, WAY):
                moves.insert(0, (FORWARD, ahead << 2 | direction))
            elif ahead >= 0 and known.cells[ahead] == DOOR:
                moves.insert(0, (TOGGLE, ahead << 2 | direction))
            for action, other in moves:
                if other in met:
                    continue
                met.add(other)
                first = action if way < 0 else way
                value = worth(other)
                if value > most:
                    best, most = first, value
                following.append((other, first))
        if best >= 0:
            return best
        ring = following
    return None


def slow_news(known: KnownMap, pose: int) -> int:
    """How many unseen cells a pose would show."""
    view = geometry(known.width, known.height, known.view_size).view[pose]
    own = len(view) - 1 - known.view_size // 2
    if all(cell < 0 or known.cells[cell] != UNSEEN for cell in view):
        return 0
    opaque = sum(
        1 << i for i, cell in enumerate(view) if cell < 0 or (known.cells[cell] in (OPAQUE, DOOR) and i != own)
    )
    shown = [view[i] for i in visible(known.view_size, opaque)]
    return sum(cell >= 0 and known.cells[cell] == UNSEEN for cell in shown)


def random_maps(count: int) -> list[KnownMap]:
    """Maps of any shape without walls around them, so that searches meet the grid's edge."""
    random = np.random.default_rng(0)
    maps = []
    for _ in range(count):
        width, height = (int(n) for n in random.integers(2, 12, 2))
        share = random.dirichlet([8, 0.5, 1, 1, 0.3, 0.7, 0.3])
        cells = random.choice([FREE, LAVA, OBSTACLE, OPAQUE, UNSEEN, DOOR, WAY], width * height, p=share)
        start, target = (int(n) for n in random.choice(width * height, 2, replace=False))
        cells[start], cells[target] = FREE, OBSTACLE
        pose = start * 4 + int(random.integers(4))
        size = int(random.choice([3, 5]))
        maps.append(KnownMap(width, height, size, bytes(cells.tolist()), pose, (("key", target),), "ball"))
    return maps


def played_maps(task: str, count: int) -> list[KnownMap]:
    """Maps met by exploring with now and then a random action."""
    room, maps = make_task(task), []
    random = np.random.default_rng(1)
    for seed in range(count // 40):
        room.reset(seed=seed)
        for _ in range(40):
            maps.append(room.known_map())
            action = room.first_action(["explore"]) if random.random() < 0.7 else int(random.integers(3))
            if room.step(6 if action is None else action)[2]:
                break
    return maps


@pytest.fixture(scope="module")
def maps() -> list[KnownMap]:
    return random_maps(400) + played_maps("RandomBoxKey", 80) + played_maps("TwoDoor", 80)


def test_explore_is_the_slow_search_for_news(maps: list[KnownMap]) -> None:
    given = [explore(known) for known in maps]
    assert given == [slow_search(known, partial(slow_news, known)) for known in maps]
    assert set(given) == {LEFT, RIGHT, FORWARD, TOGGLE, None}


def test_go_to_is_the_slow_search_for_poses_that_face_a_thing(maps: list[KnownMap]) -> None:
    given, expected = [], []
    for known in maps:
        forward = geometry(known.width, known.height, known.view_size).forward
        for name, cell in known.named:
            given.append(go_to(known, name))
            goals = {pose for pose, ahead in enumerate(forward) if ahead == cell}
            expected.append(slow_search(known, goals.__contains__))
    assert given == expected
    assert set(given) == {LEFT, RIGHT, FORWARD, TOGGLE, None}
    assert len(given) > 400


@pytest.mark.parametrize("what", ["ball", "ball next to key"])
def test_drop_is_the_slow_search_for_a_free_cell_ahead_that_is_not_before_a_doorway(
    maps: list[KnownMap], what: str
) -> None:
    given, expected = [], []
    for known in maps:
        if known.held is None:
            continue
        forward = geometry(known.width, known.height, known.view_size).forward

        def beside(cell: int, cells: list[int], forward: tuple[int, ...] = forward) -> bool:
            return any(forward[cell << 2 | side] in cells for side in range(4))

        free = [cell for cell, code in enumerate(known.cells) if code == FREE]
        if what != "ball":
            free = [cell for cell in free if beside(cell, [known.named[0][1]])]
        doorways = [cell for cell, code in enumerate(known.cells) if code in (DOOR, WAY)]
        answer = None
        for cells in ([cell for cell in free if not beside(cell, doorways)], free):
            goals = {pose for pose, ahead in enumerate(forward) if ahead in cells}
            answer = DROP if known.pose in goals else slow_search(known, goals.__contains__)
            if answer is not None:
                break
        given.append(drop(known, what))
        expected.append(answer)
    assert given == expected
    assert {LEFT, RIGHT, FORWARD, DROP} <= set(given)


def test_the_first_step_to_any_of_many_goals(maps: list[KnownMap]) -> None:
    random, found = np.random.default_rng(2), 0
    for known in maps:
        table = board(known.width, known.height)
        goals = {int(pose) for pose in random.integers(0, 4 * len(known.cells), 5)} - {known.pose}
        walkable = marked(bytes(b"01"[code in (FREE, LAVA, DOOR, WAY)] for code in known.cells)) * 15
        step = first_step(table, walkable, known.pose, sum(1 << pose for pose in goals))
        expected = slow_search(known, goals.__contains__)
        assert step == (FORWARD if expected == TOGGLE else expected)
        found += step is not None
    assert found > 250


def test_facing_by_hand() -> None:
    # 2 x 2, cells x * 2 + y: cell 3 is faced from cell 1 going east (pose 4) and from cell 2 going south (pose 9).
    faced = facing(board(2, 2), marked(b"0001"))
    assert [pose for pose in range(16) if holds(faced, pose)] == [4, 9]
