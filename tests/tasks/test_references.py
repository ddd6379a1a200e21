"""References of the rooms: the shortest way with everything known, and the scripted explorer of TwoDoor."""

from collections import deque
from collections.abc import Iterator
from functools import partial

import pytest

from wean.agents.references import ExpertPolicy, ExplorerPolicy
from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.tasks.grid.env import Room
from wean.tasks.grid.references import best_action, shortest_length
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks

STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def fewest_steps(room: Room) -> int:
    """By plain search over pose and hand, with the true grid: turning, walking, picking up, toggling."""

    def what(x: int, y: int) -> str | None:
        thing = room.grid.get(x, y)
        return None if thing is None else str(thing.type)

    x, y = (int(c) for c in room.agent_pos)
    start = x, y, int(room.agent_dir), False
    steps, queue = {start: 0}, deque([start])

    def after(x: int, y: int, facing: int, held: bool) -> Iterator[tuple[int, int, int, bool]]:
        yield x, y, (facing + 1) % 4, held
        yield x, y, (facing - 1) % 4, held
        ahead = x + STEPS[facing][0], y + STEPS[facing][1]
        if what(*ahead) is None or (what(*ahead) == "key" and held):
            yield *ahead, facing, held
        if what(*ahead) == "key":
            yield x, y, facing, True

    while queue:
        x, y, facing, held = state = queue.popleft()
        if held and what(x + STEPS[facing][0], y + STEPS[facing][1]) == "door":
            return steps[state] + 1
        for other in after(*state):
            if other not in steps:
                steps[other] = steps[state] + 1
                queue.append(other)
    raise AssertionError("the room cannot be solved")


@pytest.mark.parametrize("name", ["SimpleDoorKey", "LavaDoorKey", "TwoDoor"])
def test_the_expert_takes_as_many_steps_as_a_plain_search(name: str) -> None:
    rooms = 5 if name == "TwoDoor" else 25
    room = make_task(name)
    shortest = []
    for seed in range(rooms):
        room.reset(seed=seed)
        shortest.append(fewest_steps(room))
        assert shortest_length(room) == shortest[-1]
    played = play_seeds(ExpertPolicy(), SerialTasks([partial(make_task, name)] * rooms), rooms, 0)
    assert played.lengths.tolist() == shortest
    assert played.successes.all()


def test_the_explorer_opens_a_door_and_is_never_faster_than_the_expert() -> None:
    tasks = SerialTasks([partial(make_task, "TwoDoor")] * 12)
    explorer = play_seeds(ExplorerPolicy(), tasks, 12, 0)
    expert = play_seeds(ExpertPolicy(), tasks, 12, 0)
    assert explorer.successes.all()
    assert (explorer.lengths >= expert.lengths).all()
    assert explorer.lengths.mean() > expert.lengths.mean()


def test_the_explorer_sees_no_more_than_the_agent() -> None:
    """Where it has not looked, a door in another place makes no difference to what it does."""
    room = make_task("TwoDoor")
    room.reset(seed=3)
    before = room.scripted_action()
    seen = {cell for cell, code in enumerate(room.known_map().cells) if code}
    hidden = [
        (x, y)
        for x in range(room.width)
        for y in range(room.height)
        if (thing := room.grid.get(x, y)) is not None and thing.type in ("door", "key")
        if x * room.height + y not in seen
    ]
    assert hidden
    best = best_action(room)
    for cell in hidden:
        room.grid.set(*cell, None)
    assert room.scripted_action() == before
    assert best in range(7)
    with pytest.raises(UsageError, match="one key"):
        best_action(room)


def test_where_there_is_no_reference_one_line_says_so() -> None:
    for name, policy, says in (
        ("ColoredDoorKey", ExpertPolicy(), "rooms with one key on the floor, not ColoredDoorKey"),
        ("KeyInBox", ExpertPolicy(), "rooms with one key on the floor, not KeyInBox"),
        ("SimpleDoorKey", ExplorerPolicy(), "explorer for TwoDoor, not for SimpleDoorKey"),
        ("FrozenLake", ExplorerPolicy(), "has no scripted explorer"),
    ):
        tasks = SerialTasks([partial(make_task, name)])
        with pytest.raises(UsageError, match=says) as caught:
            play_seeds(policy, tasks, 1, 0)
        assert "\n" not in str(caught.value)
