"""The view that shows sub-goals: which one, where it is marked, what is asked for it."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from asking_tasks import Errand
from wean.errors import UsageError
from wean.tasks.grid.words import numbers_of
from wean.tasks.registration import make_task
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import Advice
from wean.teachers.reading import Plan
from wean.teachers.subgoal_tasks import SubgoalTasks

PLAN = ("go to key", "pick up key", "go to door", "open door")


class Planner:
    """Says the same plans everywhere, and keeps what it was asked."""

    def __init__(self, *weighed: tuple[Plan, float]) -> None:
        self.plans, self.asked = weighed, list[str]()

    def __call__(self, situations: Sequence[Situation]) -> list[Advice]:
        self.asked += [situation.text for situation in situations]
        return [Advice(self.plans, tokens=5)] * len(situations)


def _rooms(count: int = 1) -> SerialTasks:
    return SerialTasks([partial(make_task, "SimpleDoorKey")] * count)


def _follow(view: SubgoalTasks, steps: int) -> list[tuple[str | None, np.ndarray, np.ndarray]]:
    """Does what the sub-goal says; each sub-goal with its map and channel, as they were shown."""
    found = []
    seen = view.reset([0], [3])
    for _ in range(steps):
        (goal,) = view.sub_goals([0])
        found.append((goal, seen[0, ..., :4], seen[0, ..., 4]))
        action = view.first_actions([0], [[(goal or "",)]])[0][0]
        stepped = view.step([0], [0 if action is None else action])
        seen = stepped.observations
        if stepped.terminated[0]:
            found.append((None, seen[0, ..., :4], seen[0, ..., 4]))
            break
    return found


def test_position_marks_the_seen_thing_of_the_sub_goal_on_the_map() -> None:
    moments = _follow(SubgoalTasks(_rooms(), Planner(((*PLAN, "explore"), 1.0)), "position"), 150)
    order = list(dict.fromkeys(goal for goal, _, _ in moments))
    assert order == ["explore", "go to key", "pick up key", "go to door", "open door", None]
    for goal, shown, marks in moments:
        kind = {"key": 5, "door": 4}.get((goal or "").rsplit(" ")[-1])  # MiniGrid's object codes
        carried = shown[..., 3] != 4
        expected = (shown[..., 0] == kind) & ~carried if kind else np.zeros(marks.shape, bool)
        assert marks.astype(bool).tolist() == expected.tolist()
        assert marks.max() <= 1
    assert any(marks.any() for _, _, marks in moments)


def test_words_stand_in_the_first_cells() -> None:
    for goal, _, channel in _follow(SubgoalTasks(_rooms(), Planner(((*PLAN, "explore"), 1.0)), "words"), 150):
        assert channel.ravel()[:4].tolist() == list(numbers_of(goal or ""))
        assert not channel.ravel()[4:].any()


def test_the_most_probable_plan_counts_and_another_where_it_can_do_nothing() -> None:
    # Nothing is seen yet: there is no key to go to.
    view = SubgoalTasks(_rooms(), Planner((("pick up key", "go to key"), 0.6), (("explore",), 0.4)), "words")
    goals = [goal for goal, _, _ in _follow(view, 40)]
    assert goals[0] == "explore"
    assert "pick up key" in goals
    first_key = goals.index("go to key") if "go to key" in goals else goals.index("pick up key")
    assert set(goals[:first_key]) == {"explore"}


def test_without_a_plan_that_can_act_there_is_no_sub_goal() -> None:
    for planner in (Planner(), Planner((("dance",), 1.0))):
        view = SubgoalTasks(_rooms(), planner, "words")
        assert not view.reset([0], [0])[..., 4].any()
        assert view.sub_goals([0]) == [None]


def test_maps_rewards_and_ends_are_the_tasks_own_and_a_replay_shows_the_same() -> None:
    plain, view = _rooms(2), SubgoalTasks(_rooms(2), Planner((PLAN, 0.5), (("explore",), 0.5)), "position")
    seen = view.reset([0, 1], [1, 2])
    assert (seen[..., :4] == plain.reset([0, 1], [1, 2])).all()
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = rng.integers(3, size=2).tolist()
        mine, other = view.step([0, 1], actions), plain.step([0, 1], actions)
        assert (mine.observations[..., :4] == other.observations).all()
        assert mine.rewards.tolist() == other.rewards.tolist()
        assert mine.truncated.tolist() == other.truncated.tolist()
    assert view.best_actions([0]) == plain.best_actions([0])
    again = SubgoalTasks(_rooms(2), Planner((PLAN, 0.5), (("explore",), 0.5)), "position")
    assert (again.replay(view.histories()) == mine.observations).all()


def test_an_episode_counts_a_question_for_each_of_its_situations_and_none_for_its_end() -> None:
    planner = Planner(((*PLAN, "explore"), 1.0))
    view = SubgoalTasks(_rooms(), planner, "words")
    _follow(view, 150)
    distinct = set(planner.asked)
    assert view.query_stats[3] == (len(distinct), len(distinct), 0, 5 * len(distinct))
    asked = len(planner.asked)
    view.reset([0], [4])
    assert len(planner.asked) == asked + 1


def test_what_shows_no_map_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"remembered map \(W, H, 4\).*set student.goal=none"):
        SubgoalTasks(SerialTasks([Errand]), Planner(), "words")
