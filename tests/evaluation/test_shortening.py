"""Demonstrations made shorter."""

from wean.data.annotations import Annotation, match_annotations, parse_annotation
from wean.data.shipped import shipped
from wean.data.trajectories import Moment, Trajectory
from wean.evaluation.shortening import annotated, shortened

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

    path = tuple(Moment(action, said(action), "a room", "", 0.0) for _, actions in WALKED for action in actions)
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
        replayed = Trajectory("watch", 0, "Watch the block.", tuple(Moment(action) for action in actions))
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
