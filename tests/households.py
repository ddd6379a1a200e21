"""A small world of errands for tests of annotation: fetch a thing from one room and put it into a box in another."""

from wean.annotation.annotator import answer_text
from wean.data.annotations import Annotation, Chunk, parse_subgoal
from wean.data.trajectories import PathStep, Trajectory
from wean.llm.answers import Message

ROOMS = ("kitchen", "cellar", "attic", "garden")
THINGS = ("apple", "old lamp", "book", "metal cup", "rope")


def errand(variation: int, task: str = "fetch") -> Trajectory:
    """One errand; every second one goes through a closed door first."""
    thing, room = THINGS[variation % len(THINGS)], ROOMS[variation % len(ROOMS)]
    other = ROOMS[(variation + 1) % len(ROOMS)]
    actions = [f"open door to {room}"] * (variation % 2)
    actions += [f"go to {room}", "look around", f"pick up {thing}", f"go to {other}", f"move {thing} to red box"]
    return Trajectory(task, variation, f"Your task is to bring the {thing}.", tuple(map(PathStep, actions)))


def right(errand: Trajectory) -> Annotation:
    """What everybody would say of an errand."""
    actions = list(errand.actions)
    start = actions.index("look around") + 1
    thing = actions[start].removeprefix("pick up ")
    named = [
        (f"navigate_to({actions[start - 2].removeprefix('go to ')})", start),
        (f"pick_up({thing})", 1),
        (f"navigate_to({actions[-2].removeprefix('go to ')})", 1),
        (f"move({thing}, red box)", 1),
    ]
    chunks = tuple(Chunk(parse_subgoal(text), count) for text, count in named)
    return Annotation(*errand.key, chunks, "asked", "tester", "2026-01-01", None, errand.digest)


def errands(count: int, task: str = "fetch") -> list[Trajectory]:
    """The first errands."""
    return [errand(variation, task) for variation in range(count)]


def answer(messages: list[Message]) -> str:
    """A model that knows errands, for `scripted:households:answer`."""
    return answer_text(right(_asked(messages)).chunks)


def muddled(messages: list[Message]) -> str:
    """A weak one: it talks, counts past the end, forgets an action, and knows nothing of errands with the rope."""
    one = _asked(messages)
    if "rope" in one.description:
        return "I am not sure what to do with ropes."
    *lines, last = answer_text(right(one).chunks).splitlines()
    return "\n".join(["Of course! Here you are:", *lines[:1], *lines[2:], last.replace(":", "9:", 1)])


def _asked(messages: list[Message]) -> Trajectory:
    text = next(m["content"] for m in reversed(messages) if m["content"].startswith("Task:"))
    told = [line.split(". ", 1)[1] for line in text.split("actions:\n")[1].splitlines()]
    return next(one for one in errands(20) if list(one.actions) == told)
