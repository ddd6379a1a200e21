"""Demonstrations made shorter."""

from typing import Any

import pytest

from wean.data.annotations import Annotation, match_annotations, parse_annotation
from wean.data.shipped import shipped
from wean.data.trajectories import PathStep, Trajectory
from wean.evaluation import oracle as shortening
from wean.evaluation.oracle import ShorterPaths, annotated, shortened
from wean.tasks.scienceworld_server import ServerLost

WALKED = (
    ("navigate_to(attic)", ["open door to hall", "go to hall", "go to attic"]),
    ("navigate_to(shed)", ["go to hall", "go to garden", "go to shed"]),
    ("watch(block)", ["go to attic", "move block to plane", *["look at plane"] * 5, "look at block", "look at plane"]),
    ("look(around)", ["look around"]),
    ("navigate_to(attic)", ["go to attic"]),
)


def demonstration() -> tuple[Trajectory, Annotation]:
    def said(action: str) -> str:
        return "The door is already open." if action.startswith("open door") else "Done."

    path = tuple(PathStep(action, said(action), "a room", "", 0.0) for _, actions in WALKED for action in actions)
    rows = [[subgoal, len(actions)] for subgoal, actions in WALKED]
    trajectory = Trajectory("watch", 0, "Watch the block.", path)
    values = {"task": "watch", "variation": 0, "subgoals": rows, "digest": trajectory.digest}
    return trajectory, parse_annotation(values)


def test_ways_are_one_action_within_a_sub_goal_and_what_is_repeated_is_done_three_times() -> None:
    made = shortened(*demonstration())
    assert made.actions == (
        "teleport to attic",
        "teleport to shed",
        "teleport to attic",
        "move block to plane",
        *["look at plane"] * 3,
        "look at block",
        "look at plane",
        "teleport to attic",
    )
    assert [(str(subgoal), count) for subgoal, count in made.chunks] == [
        ("navigate_to(attic)", 1),
        ("navigate_to(shed)", 1),
        ("watch(block)", 7),
        ("navigate_to(attic)", 1),
    ]
    assert len(shortened(*demonstration(), None).actions) == len(made.actions) + 2


def test_sub_goals_end_with_the_path_that_was_replayed() -> None:
    example = demonstration()
    for often, length in ((3, 10), (3, 6), (None, 12), (None, 2)):
        actions = shortened(*example, often).actions[:length]
        replayed = Trajectory("watch", 0, "Watch the block.", tuple(PathStep(action) for action in actions))
        found = annotated(replayed, example)
        assert found.ends[-1] == length
        assert not match_annotations([found], [replayed])[1]
    as_it_was = Trajectory("watch", 0, "Watch the block.", example[0].path)
    assert annotated(as_it_was, example).chunks == example[1].chunks


def test_those_that_come_with_wean_are_shorter_and_as_good() -> None:
    long, short = shipped("scienceworld-dev"), shipped("scienceworld-short-dev")
    before = {one.key: one for one in long.trajectories}
    for one in short.trajectories:
        assert len(one.path) <= len(before[one.key].path)
        assert one.path[-1].score == 100
    assert 3 * sum(len(one.path) for one in short.trajectories) < 2 * sum(len(one.path) for one in long.trajectories)


class Replays:
    """Gives the score that it has for each path in turn, or loses the machine where it has none."""

    def __init__(self, *scores: float | None) -> None:
        self._scores = list(scores)
        self.played: list[tuple[str, ...]] = []

    def __call__(self, env: Any, task: str, variation: int, actions: tuple[str, ...]) -> dict[str, Any]:
        self.played.append(actions)
        score = self._scores.pop(0)
        if score is None:
            raise ServerLost("lost")
        return {"path": [{"score": 40.0}, {"score": score}], "score": score}


def replays(monkeypatch: pytest.MonkeyPatch, *scores: float | None) -> Replays:
    played = Replays(*scores)
    monkeypatch.setattr(shortening, "replayed", played)
    monkeypatch.setattr(shortening, "ScienceWorld", lambda **settings: None)
    return played


@pytest.mark.parametrize(("earned", "tried"), [(40.0, 1), (41.0, 3)])
def test_a_shorter_path_has_to_earn_as_much_before_its_end(
    monkeypatch: pytest.MonkeyPatch, earned: float, tried: int
) -> None:
    played = replays(monkeypatch, *[100.0] * 3)
    trajectory, annotation = demonstration()
    moments = (trajectory.path[0]._replace(score=earned), *trajectory.path[1:])
    example = Trajectory("watch", 0, "Watch the block.", moments), annotation
    assert ShorterPaths([example]).play("watch", 0)["score"] == 100
    assert len(played.played) == tried
    assert (played.played[-1] == trajectory.actions) == (tried == 3)


def test_what_fails_is_tried_as_it_was_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    example = demonstration()
    shorter = [shortened(*example, often).actions for often in (3, None)]
    played = replays(monkeypatch, 60.0, None, 60.0, None, 60.0)
    assert ShorterPaths([example]).play("watch", 0)["score"] == 0
    assert played.played == [*shorter, *[example[0].actions] * 3]
    replays(monkeypatch, *[None] * 5)
    with pytest.raises(ServerLost):
        ShorterPaths([example]).play("watch", 0)
