"""Sub-goals: what pays, in which order, how often."""

import json

import numpy as np
import pytest

from wean.algorithms.rewards import SubgoalReward
from wean.tasks.grid.env import make_stock
from wean.tasks.grid.skills import TOGGLE
from wean.tasks.registration import make_task
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import Advice
from wean.teachers.reading import Plan


class Story:
    """Plays one maze by plans, with sub-goals from another."""

    def __init__(self, *weighted: tuple[Plan, float], seed: int = 0) -> None:
        self.asked: list[str] = []

        def advise(situations: list[Situation]) -> list[Advice]:
            self.asked += [situation.text for situation in situations]
            return [Advice(weighted)] * len(situations)

        self.beacons = SubgoalReward(advise)  # type: ignore[arg-type]
        self.tasks = SerialTasks([lambda: make_stock("MiniGrid-ObstructedMaze-1Dlh-v0")])
        self.tasks.reset([0], [seed])
        self.beacons.begin(self.tasks, [0])

    def step(self, action: int) -> float:
        assert self.beacons.before(self.tasks, np.array([action])).tolist() == [0.0]
        return float(self.beacons.after(self.tasks, self.tasks.step([0], [action]))[0])

    def do(self, *plan: str) -> float:
        """Follows a plan until it has nothing more to do; returns what was paid on the way."""
        paid = 0.0
        while (action := self.tasks.first_actions([0], [[plan]])[0][0]) is not None:
            paid += self.step(action)
        return paid


FETCH = ("go to box", "open box", "go to green key", "pick up the green key")


def test_a_sub_goal_pays_when_it_is_reached_and_once_an_episode() -> None:
    story = Story((FETCH, 1.0))
    story.do("explore")
    assert story.do("go to box") == 1.0
    assert story.do("open box") == 2.0  # the box is open, and the robot faces the key that was in it
    assert story.do("pick up green key") == 1.0
    assert story.do("drop green key") == 0.0
    assert story.do("go to green key", "pick up green key") == 0.0
    assert story.beacons.reached == 4
    story.tasks.reset([0], [0])
    story.beacons.begin(story.tasks, [0])
    story.do("explore")
    assert story.do("go to box") == 1.0


def test_sub_goals_count_in_the_order_of_their_plan() -> None:
    story = Story((("open box", "drop box", "go to box"), 1.0))
    story.do("explore")
    assert story.do("go to box", "pick up box") == 0.0
    assert story.do("drop box") == 0.0
    assert story.do("go to box") == 0.0
    assert story.do("open box") == 1.0


def test_each_plan_pays_its_share() -> None:
    story = Story((("go to box", "open box"), 0.75), (("go to box", "pick up box"), 0.25))
    story.do("explore")
    assert story.do("go to box") == pytest.approx(1.0)
    assert story.do("open box") == pytest.approx(0.75)


def test_every_new_thing_in_sight_pays_an_explorer() -> None:
    story = Story((("explore",), 1.0), seed=2)
    assert "seen: locked green door. It" in story.asked[0]
    assert story.do("explore") == 1.0  # the box
    assert story.do("go to box", "open box") == 0.0


def test_without_a_plan_nothing_is_paid_and_it_is_counted() -> None:
    story = Story()
    assert story.do("explore") == 0.0
    assert story.beacons.report()["unplanned_moments"] == len(story.asked)


def test_the_plan_is_that_of_the_situation_where_the_step_is_taken() -> None:
    story = Story((FETCH, 1.0))
    story.do("explore")
    assert story.asked[-1] == story.tasks.situations([0])[0].text
    asked = len(story.asked)
    story.do("go to box")
    assert set(story.asked[asked:]) == {story.asked[-1]}


def test_opening_the_door_of_a_room_needs_no_sub_goal() -> None:
    tasks = SerialTasks([lambda: make_task("SimpleDoorKey")])
    tasks.reset([0], [3])
    beacons = SubgoalReward(lambda situations: [Advice(((("go to key", "pick up key"), 1.0),))] * len(situations))
    beacons.begin(tasks, [0])
    paid, reward = 0.0, 0.0
    plan = ("go to key", "pick up key", "explore")
    for _ in range(100):
        held = "holds a key" in tasks.situations([0])[0].text
        action = tasks.first_actions([0], [[("go to door", "open door", "explore") if held else plan]])[0][0]
        stepped = tasks.step([0], [TOGGLE if action is None else action])
        paid += float(beacons.after(tasks, stepped)[0])
        reward = float(stepped.rewards[0])
        if stepped.terminated[0]:
            break
    assert paid == 2.0
    assert reward > 0


def test_a_resumed_run_pays_nothing_twice() -> None:
    story = Story((FETCH, 1.0))
    story.do("explore")
    story.do("go to box")
    state = json.loads(json.dumps(story.beacons.state()))
    other = Story((FETCH, 1.0))
    other.tasks.replay(story.tasks.histories())
    asked = len(other.asked)
    other.beacons.restore(other.tasks, state)
    assert len(other.asked) == asked
    assert other.beacons.reached == story.beacons.reached
    assert other.do("open box") == story.do("open box") == 2.0
    assert other.do("pick up green key") == 1.0
