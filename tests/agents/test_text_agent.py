"""What a text student's agent does with texts that are not taken."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from wean.agents.text_agent import TextAgent
from wean.students.text.decoder import Said
from wean.students.text.student import Habits, Size, new_student
from wean.students.text.tokenizer import train_tokenizer


class Refusing:
    """Takes nothing; `over_after` that many commands the episode is over."""

    description, score, refusal_is_free, idle = "Open the door.", 0.0, True, ("wait",)

    def __init__(self, choices: tuple[str, ...], over_after: int = 1000) -> None:
        self._choices, self._over_after = choices, over_after
        self.said: list[str] = []

    def look(self) -> str:
        return "a door"

    def inventory(self) -> str:
        return ""

    def situation(self) -> Any:
        return SimpleNamespace(choices=self._choices)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        assert len(self.said) < self._over_after, "the episode is over"
        self.said.append(action)
        return "No known action matches that input.", 0.0, False, len(self.said) == self._over_after, {"moves": 0}


@pytest.fixture
def agent() -> TextAgent:
    tokenizer = train_tokenizer(["open door", "go north", "wait"], 320)
    return TextAgent(new_student(tokenizer, Size(16, 1, 2), Habits(subgoals=False, context=512), seed=1))


def test_what_is_refused_although_it_is_admissible_is_not_tried_again(agent: TextAgent) -> None:
    task = Refusing(("open door", "go north", "wait"))
    agent.play(task, 10)
    assert task.said[1] in ("open door", "go north")
    assert {"open door", "go north"} <= set(task.said[1:4])
    tried = [said for said in task.said if said in ("open door", "go north", "wait")]
    assert sorted(tried[:2]) == ["go north", "open door"]
    assert tried[2:] == ["wait"]


def test_what_only_lets_time_pass_comes_last(agent: TextAgent) -> None:
    task = Refusing(("wait",))
    agent.play(task, 10)
    assert task.said[1] == "wait"


def test_nothing_is_tried_in_place_of_a_text_with_which_the_episode_ended(agent: TextAgent) -> None:
    task = Refusing(("open door", "go north"), over_after=1)
    agent.play(task, 10)
    assert len(task.said) == 1


class Still(Refusing):
    """Takes everything, and nothing changes."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.said.append(action)
        return "Nothing happens.", 0.0, False, False, {"moves": len(self.said)}


class Sayings:
    """Says the given texts in a circle, but for those that do not fit, and chooses one of what there is."""

    chosen = 0

    def __init__(self, *said: str) -> None:
        self._said, self._at, self.tokens_read = said, 0, 0
        self.sure = 1.0

    def say(self, ids: list[int], may: object, fits: Callable[[str], bool] | None = None) -> Said:
        while True:
            self._at += 1
            said = self._said[(self._at - 1) % len(self._said)]
            if not fits or fits(said):
                return Said(said, self.logs_of())

    def logs_of(self) -> tuple[float, ...]:
        """All that is unsure is the end of a text."""
        return *[0.0] * 40, math.log(self.sure)

    def choose(self, ids: list[int], answers: list[list[int]]) -> int:
        return self.chosen

    def prefers(self, ids: list[int], first: int, second: int) -> bool:
        return True


@pytest.mark.parametrize(
    ("said", "done"),
    [
        (("open door",), ["open door"] * 2 + ["go north"] * 2 + ["wait"]),
        (("wait",), ["wait"] * 4 + ["open door"] * 2 + ["go north"] * 2 + ["wait"]),
        (("open door", "go north"), ["open door", "go north"] * 2 + ["wait"]),
    ],
)
def test_what_changes_nothing_is_not_done_more_often_than_demonstrations_do_it(
    agent: TextAgent, said: tuple[str, ...], done: list[str]
) -> None:
    agent._habits = Habits(subgoals=False, context=512, repeats={"wait": 4})
    agent._reader = Sayings(*said)  # type: ignore[assignment]
    task = Still(("open door", "go north", "wait"))
    agent.play(task, len(done))
    assert task.said == done


def test_a_sub_goal_in_which_nothing_changed_is_not_named_again(agent: TextAgent) -> None:
    agent._habits = Habits(context=512)
    agent._reader = Sayings("open it", "open door", "open it", "leave it", "go north")  # type: ignore[assignment]
    played = agent.play(Still(("open door", "go north", "wait")), 2)
    assert [entry["goal"] for entry in played.trace if "goal" in entry] == ["open it", "leave it"]


class Rooms(Refusing):
    """Three of them; the lamp is in the last."""

    description, refusal_is_free = "Take the lamp.", False
    seen: ClassVar[dict[str, str]] = {"kitchen": "a stove", "hall": "a bench", "shed": "a lamp"}

    def __init__(self) -> None:
        super().__init__(("go to kitchen", "go to hall", "go to shed", "take lamp", "open box"))
        self._at = "kitchen"

    def look(self) -> str:
        return f"{self._at}:\n{self.seen[self._at]}"

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.said.append(action)
        self._at = action.removeprefix("go to ") if action.startswith("go") else self._at
        return "Done.", 0.0, action == "take lamp", False, {"moves": len(self.said)}


class Taking(Rooms):
    """Takes what is admissible, and tells of all else that it knows no such action."""

    def __init__(self, refusal_is_free: bool) -> None:
        super().__init__()
        self.refusal_is_free = refusal_is_free  # type: ignore[misc]

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if action in self._choices:
            return super().step(action)
        return "No known action matches that input.", 0.0, False, False, {"moves": len(self.said)}


def goals_of(agent: TextAgent, *said: str, **habits: Any) -> list[str]:
    ways = {f"walk to {place}": place for place in ("kitchen", "hall", "shed")}
    agent._habits = Habits(context=512, ways=ways, **habits)
    agent._reader = Sayings(*said)  # type: ignore[assignment]
    return [entry["goal"] for entry in agent.play(Rooms(), 3).trace if "goal" in entry]


def test_where_a_sub_goal_is_about_what_nothing_has_shown_places_are_looked_into_that_were_not(
    agent: TextAgent,
) -> None:
    said = ("get lamp", "go to hall", "get lamp", "go to shed", "get lamp", "take lamp")
    assert goals_of(agent, *said) == ["walk to hall", "walk to shed", "get lamp"]
    assert goals_of(agent, *said, unprompted=("lamp",)) == ["get lamp"] * 3
    said = ("get lamp", "go to hall", "go to shed", "get lamp", "take lamp")
    assert goals_of(agent, *said, seeking=("get",)) == ["get lamp", "walk to shed", "get lamp"]  # not in the hall


def test_what_nothing_has_shown_is_looked_for_in_each_place_and_not_found_before_it_is(agent: TextAgent) -> None:
    """After each action the student says that its sub-goal is done; what was tried is not tried again."""
    ways = {f"walk to {place}": place for place in ("kitchen", "hall", "shed")}
    agent._habits = Habits(context=512, ways=ways, seeking=("find",))
    reader = Sayings("get lamp", "open box", "open box", "go to hall", "go to shed", "get lamp", "take lamp")
    reader.chosen = -1
    agent._reader = reader  # type: ignore[assignment]
    task = Rooms()
    played = agent.play(task, 6)
    assert [entry["goal"] for entry in played.trace if "goal" in entry] == ["find lamp", "find lamp", "get lamp"]
    assert task.said == ["open box", "go to hall", "go to shed", "take lamp"]


class Box(Rooms):
    """The lamp is in a box."""

    def look(self) -> str:
        return f"{super().look()}{' with a lamp' if 'open box' in self.said else ''}"


def test_a_search_is_over_when_its_thing_is_shown_whatever_the_student_says(agent: TextAgent) -> None:
    agent._habits = Habits(context=512, seeking=("find",))
    reader = Sayings("find lamp", "open box", "get lamp", "take lamp")
    reader.prefers = lambda ids, first, second: False  # type: ignore[method-assign]
    agent._reader = reader  # type: ignore[assignment]
    played = agent.play(Box(), 6)
    assert [entry["goal"] for entry in played.trace if "goal" in entry] == ["find lamp", "get lamp"]


def test_a_search_is_over_where_the_student_would_do_what_is_no_search(agent: TextAgent) -> None:
    """It never says that the search is done; demonstrations only open things to find others."""
    ways = {f"walk to {place}": place for place in ("kitchen", "hall", "shed")}
    agent._habits = Habits(context=512, ways=ways, seeking=("find",), searching=("open",))
    reader = Sayings("find lamp", "open box", "go to kitchen", "go to shed", "go to shed", "get lamp", "take lamp")
    reader.prefers = lambda ids, first, second: False  # type: ignore[method-assign]
    reader.chosen = 1
    agent._reader = reader  # type: ignore[assignment]
    task = Rooms()
    played = agent.play(task, 6)
    assert [entry["goal"] for entry in played.trace if "goal" in entry] == ["find lamp", "walk to shed", "get lamp"]
    assert task.said == ["open box", "go to shed", "take lamp"]


@pytest.mark.parametrize(("takes_up", "named"), [(True, "get lamp"), (False, "walk to kitchen")])
def test_the_next_sub_goal_is_about_what_was_looked_for_and_found(agent: TextAgent, takes_up: bool, named: str) -> None:
    """However unsure it is: whoever looked for something and stands before it does not leave."""
    ways = {f"walk to {place}": place for place in ("kitchen", "shed")}
    agent._habits = Habits(context=512, ways=ways, seeking=("find",), unnamed=True, takes_up=takes_up)
    reader = Sayings("find lamp", "go to shed", "walk to kitchen", "get lamp", "take lamp")
    reader.sure = 0.1
    agent._reader = reader  # type: ignore[assignment]
    goals = [entry["goal"] for entry in agent.play(Rooms(), 2).trace if "goal" in entry]
    assert goals[:2] == ["find lamp", named]


@pytest.mark.parametrize(("onward", "named"), [(True, "walk to shed"), (False, "walk to kitchen")])
def test_no_way_leads_back_before_anything_else_was_done(agent: TextAgent, onward: bool, named: str) -> None:
    ways = {f"walk to {place}": place for place in ("kitchen", "hall", "shed")}
    said = ("walk to hall", "go to hall", "walk to kitchen", "walk to shed", "go to kitchen", "go to shed")
    agent._habits = Habits(context=512, ways=ways, onward=onward)
    agent._reader = Sayings(*said)  # type: ignore[assignment]
    played = agent.play(Rooms(), 2)
    assert [entry["goal"] for entry in played.trace if "goal" in entry][:2] == ["walk to hall", named]


def test_a_search_that_leads_to_what_is_no_action_is_over_and_another_place_is_looked_into(agent: TextAgent) -> None:
    agent._habits = Habits(context=512, ways={"walk to shed": "shed"}, seeking=("find",), unnamed=True)
    agent._reader = Sayings("find lamp", "open lamp", "go to shed", "take lamp")  # type: ignore[assignment]
    task = Taking(True)
    played = agent.play(task, 1)
    assert [entry["goal"] for entry in played.trace if "goal" in entry][:2] == ["find lamp", "walk to shed"]
    assert task.said == ["go to shed"]


class Spoiling(Refusing):
    """Has actions that spoil it."""

    irrevocable = ("focus on ",)


@pytest.mark.parametrize(
    ("said", "done"),
    [
        ("focus on frog egg", "focus on egg frog"),
        ("focus on young frog in hall", "focus on frog"),
        ("focus on hall frog spawn", "wait"),
    ],
)
def test_what_spoils_the_task_is_done_only_where_it_is_what_was_meant(agent: TextAgent, said: str, done: str) -> None:
    agent._reader = Sayings(said)  # type: ignore[assignment]
    task = Spoiling(("wait", "focus on egg frog", "focus on frog", "focus on hall"))
    agent.play(task, 1)
    assert task.said[1] == done


@pytest.mark.parametrize(
    ("sure", "score", "done"),
    [(0.7, 60.0, "focus on frog"), (0.7, 80.0, "wait"), (0.1, 0.0, "focus on frog"), (0.1, -100.0, "focus on frog")],
)
def test_what_may_spoil_the_task_is_done_only_if_it_is_as_probable_as_the_score_is_great(
    agent: TextAgent, sure: float, score: float, done: str
) -> None:
    reader = Sayings("focus on frog")
    reader.sure = sure
    agent._reader = reader  # type: ignore[assignment]
    task = Spoiling(("wait", "focus on frog"), over_after=1)
    task.score = score  # type: ignore[misc]
    agent.play(task, 1)
    assert task.said == [done]


def test_a_sub_goal_that_the_student_is_not_sure_of_makes_its_actions_less_sure(agent: TextAgent) -> None:
    agent._habits = Habits(context=512)
    reader = Sayings("focus on frog")
    reader.sure = 0.7
    agent._reader = reader  # type: ignore[assignment]
    task = Spoiling(("wait", "focus on frog"), over_after=1)
    task.score = 50.0  # type: ignore[misc]
    agent.play(task, 1)
    assert task.said == ["wait"]  # 0.7 for the sub-goal, 0.7 for the action


def test_what_cannot_spoil_the_task_needs_no_sure_sub_goal(agent: TextAgent) -> None:
    """The sub-goal is as unsure as the focus it names; looking around under it costs nothing."""
    agent._habits = Habits(context=512)

    class Looking(Sayings):
        def say(self, ids: list[int], may: object, fits: object = None) -> Said:
            acts = ids[-1] == agent._student.mark["<act>"]
            return Said("look" if acts else "focus on frog", self.logs_of())

    reader = Looking("")
    reader.sure = 0.1
    agent._reader = reader  # type: ignore[assignment]
    task = Spoiling(("wait", "turn", "look", "focus on frog"), over_after=1)
    task.score = 50.0  # type: ignore[misc]
    agent.play(task, 1)
    assert task.said == ["look"]


@pytest.mark.parametrize(("said", "done"), [(("fly",), "go to hall"), (("go to kitchen", "go to shed"), "go to shed")])
def test_neither_sub_goals_nor_actions_lead_where_the_student_is(
    agent: TextAgent, said: tuple[str, ...], done: str
) -> None:
    reader = Sayings("walk to kitchen", "walk to hall", *said)
    ways = {f"walk to {place}": place for place in ("kitchen", "hall", "shed")}
    agent._habits, agent._reader = Habits(context=512, ways=ways), reader  # type: ignore[assignment]
    task = Rooms()
    assert agent.play(task, 1).trace[0] == {"goal": "walk to hall"}
    assert task.said == [done]


def test_a_sub_goal_is_over_where_it_led_to(agent: TextAgent) -> None:
    class Doing(Sayings):
        def prefers(self, ids: list[int], first: int, second: int) -> bool:
            return False  # never says so itself

    agent._reader = Doing("walk to hall", "go to shed", "go to hall", "take lamp", "go to shed")  # type: ignore[assignment]
    agent._habits = Habits(context=512, ways={"walk to hall": "hall"}, unprompted=("lamp",))
    played = agent.play(Rooms(), 3)
    assert [entry.get("goal", entry.get("action")) for entry in played.trace] == [
        "walk to hall",
        "go to shed",
        "go to hall",
        "take lamp",
        "go to shed",
    ]


@pytest.mark.parametrize(("apart", "named"), [(True, "tie red rope to hook"), (False, "tie red rope to red rope")])
def test_a_sub_goal_names_no_thing_twice_if_those_of_demonstrations_do_not(
    agent: TextAgent, apart: bool, named: str
) -> None:
    reader = Sayings("tie red rope to red rope", "tie red rope to hook to hook", "tie red rope to hook", "wait")
    agent._habits, agent._reader = Habits(context=512, apart=apart), reader  # type: ignore[assignment]
    played = agent.play(Still(("wait",)), 1)
    assert played.trace[0] == {"goal": named}


@pytest.mark.parametrize(("in_sight", "named"), [(("take",), "take lamp"), ((), "take stove lamp")])
def test_a_sub_goal_names_what_is_in_sight_if_those_of_demonstrations_do(
    agent: TextAgent, in_sight: tuple[str, ...], named: str
) -> None:
    """Stove and lamp were both shown, and there is no stove lamp."""
    agent._reader = Sayings("see", "go to shed", "take stove lamp", "take lamp", "take lamp")  # type: ignore[assignment]
    agent._habits = Habits(context=512, unprompted=("see",), in_sight=in_sight)
    played = agent.play(Rooms(), 2)
    assert [entry["goal"] for entry in played.trace if "goal" in entry] == ["see", named]


@pytest.mark.parametrize(("brings", "named"), [((), "get lamp"), (("get",), "see")])
def test_no_sub_goal_brings_what_is_carried_already(agent: TextAgent, brings: tuple[str, ...], named: str) -> None:
    agent._reader = Sayings("get lamp", "see", "go to hall")  # type: ignore[assignment]
    agent._habits = Habits(context=512, brings=brings)
    task = Rooms()
    task.inventory = lambda: "a lamp"  # type: ignore[method-assign]
    assert next(entry["goal"] for entry in agent.play(task, 1).trace) == named


def unnamed(agent: TextAgent, sure: float, task: Refusing, *said: str, **habits: Any) -> list[str]:
    reader = Sayings(*said)
    reader.sure = sure
    agent._habits = Habits(context=512, unnamed=True, **habits)
    agent._reader = reader  # type: ignore[assignment]
    return [entry.get("goal", entry.get("action", "loop")) for entry in agent.play(task, 2).trace]


def test_a_student_that_is_not_sure_of_a_sub_goal_acts_without_unless_it_leads_somewhere(agent: TextAgent) -> None:
    choices = ("open door", "go north", "wait")
    assert unnamed(agent, 0.6, Still(choices), "open it", "open door")[:2] == ["open it", "open door"]
    assert unnamed(agent, 0.4, Still(choices), "open it", "open door")[:2] == ["", "open door"]
    assert unnamed(agent, 0.4, Still(choices), "see it", "wait", seeking=("see",))[:2] == ["see it", "wait"]
    ways = {"walk north": "hall"}
    assert unnamed(agent, 0.4, Still(choices), "walk north", "go north", ways=ways)[:2] == ["walk north", "go north"]


def test_after_a_loop_a_sub_goal_is_named_in_any_case(agent: TextAgent) -> None:
    agent._habits = Habits(context=512, unnamed=True)
    reader = Sayings("open it", *["open door"] * 3, "leave it", "go north")
    reader.sure = 0.1
    reader.prefers = lambda ids, first, second: False  # type: ignore[method-assign]
    agent._reader = reader  # type: ignore[assignment]
    played = agent.play(Still(("open door", "go north", "wait")), 3)
    assert [entry["goal"] for entry in played.trace if "goal" in entry] == ["", "leave it"]


@pytest.mark.parametrize("free", [True, False])
def test_a_sub_goal_that_leads_to_what_is_no_action_is_given_up(agent: TextAgent, free: bool) -> None:
    said = ("lift lamp", "lift red lamp", "go to shed", "take lamp", "take lamp")
    assert unnamed(agent, 0.9, Taking(free), *said, unprompted=("lamp",))[:3] == ["lift lamp", "", "go to shed"]
    agent._habits = Habits(context=512, unprompted=("lamp",))
    agent._reader = Sayings(*said)  # type: ignore[assignment]
    assert agent.play(Taking(free), 1).trace[1]["action"] == "go to hall"  # an admissible one in its place


class Asking(Refusing):
    """Asks which lamp is meant, and waits for a number."""

    refusal_is_free = False

    def __init__(self) -> None:
        super().__init__(("take lamp",))

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.said.append(action)
        self._choices = ("0", "1")
        text = "Ambiguous request: Please enter the number:\n0:\ttake the lamp\n1:\ttake the other lamp"
        return text, 0.0, False, False, {"moves": len(self.said)}


def test_a_question_is_answered_before_a_sub_goal_is_over(agent: TextAgent) -> None:
    agent._habits = Habits(context=512)
    agent._reader = Sayings("get lamp", "take lamp", "take lamp")  # type: ignore[assignment]
    task = Asking()
    played = agent.play(task, 2)
    assert task.said == ["take lamp", "0"]
    assert [entry["goal"] for entry in played.trace if "goal" in entry] == ["get lamp"]


@pytest.mark.parametrize(("thing", "done"), [(0.7, "focus on frog"), (0.5, "wait")])
def test_whether_it_is_time_for_what_may_spoil_the_task_is_not_asked(agent: TextAgent, thing: float, done: str) -> None:
    class Weighing(Sayings):
        def logs_of(self) -> tuple[float, ...]:
            begin = agent._student.encode("focus on")
            return *[-9.0] * len(begin), math.log(thing)  # "focus on" itself is most improbable

    agent._reader = Weighing("focus on frog")  # type: ignore[assignment]
    task = Spoiling(("wait", "focus on frog"), over_after=1)
    task.score = 60.0  # type: ignore[misc]
    agent.play(task, 1)
    assert task.said == [done]


@pytest.mark.parametrize(
    ("goal", "done"),
    [("focus on door", "focus on frog"), ("focus on tin", "wait"), ("focus on object", "focus on frog")],
)
def test_what_may_spoil_the_task_is_done_only_where_what_the_sub_goal_names_is_in_sight(
    agent: TextAgent, goal: str, done: str
) -> None:
    """A door is all that there is; demonstrations say "object" of what is called otherwise."""
    agent._habits = Habits(context=512, unprompted=("object",))
    agent._reader = Sayings(goal, "focus on frog")  # type: ignore[assignment]
    task = Spoiling(("wait", "focus on frog"), over_after=1)
    agent.play(task, 1)
    assert task.said == [done]
