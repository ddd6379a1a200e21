"""Playing episodes: what counts as success, numbers that depend on nothing else, files, processes, wrong use."""

import json
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from small_tasks import Corridor, Farm
from wean.agents.policy import Policy
from wean.agents.references import RandomPolicy
from wean.errors import UsageError, WeanError
from wean.evaluation.evaluate import Plan, Player, evaluate, evaluate_plan, play_seeds, seed_cases
from wean.evaluation.playing import MOST_SILENT, Observer, play
from wean.evaluation.scores import Scores, succeeded
from wean.tasks.registration import episodes_of
from wean.tasks.splits import Case
from wean.tasks.vector import SerialTasks, Steps, Tasks
from word_demos import Replayed, demonstration


class Walker(Policy):
    """Walks right with a fixed probability."""

    name = "walker"

    def __init__(self, right: float) -> None:
        self._right = right

    def probabilities(self, tasks: object, which: Any, observations: np.ndarray, draws: np.ndarray) -> np.ndarray:
        return np.tile([1 - self._right, self._right], (len(which), 1))


def test_success_is_what_the_task_says_and_not_what_was_farmed() -> None:
    farmed = play_seeds(Walker(0.0), SerialTasks([Farm] * 4), 8, 0)
    assert (farmed.returns > 0.9).all()
    assert not farmed.successes.any()
    assert play_seeds(Walker(1.0), SerialTasks([Farm] * 4), 8, 0).successes.all()


def test_where_the_task_says_nothing_the_declared_return_decides() -> None:
    assert play_seeds(Walker(1.0), SerialTasks([Corridor] * 4), 8, 0, 1.0).successes.all()
    assert not play_seeds(Walker(0.0), SerialTasks([Corridor] * 4), 8, 0, 1.0).successes.any()
    returns, unsaid = np.array([0.0, 0.5, 2.0]), np.full(3, np.nan)
    assert succeeded(returns, unsaid, None).tolist() == [False, False, False], "a positive return is no success"
    assert succeeded(returns, unsaid, 1.0).tolist() == [False, False, True]
    assert succeeded(returns, np.array([1.0, 0.0, np.nan]), 1.0).tolist() == [True, False, True]


@pytest.mark.parametrize("together", [1, 3, 20])
def test_the_numbers_do_not_depend_on_how_many_play_together(together: int) -> None:
    alone = play_seeds(RandomPolicy(), SerialTasks([Corridor]), 20, 7)
    many = play_seeds(RandomPolicy(), SerialTasks([Corridor] * together), 20, 7)
    assert (alone.returns == many.returns).all()
    assert (alone.lengths == many.lengths).all()
    assert len(set(alone.lengths.tolist())) > 2, "episodes differ from each other"


def test_progress_counts_to_the_end_and_the_object_is_complete() -> None:
    done: list[int] = []
    episodes = play_seeds(Walker(1.0), SerialTasks([Corridor] * 4), 10, 0, 1.0, progress=done.append)
    assert done == list(range(1, 11))
    result = Scores("Corridor", "walker", episodes, {"asked": 0}, {"seed": 0}).as_dict()
    assert result["schema"] == "wean-eval/2"
    assert (result["task"], result["policy"], result["episodes"], result["seed"]) == ("Corridor", "walker", 10, 0)
    assert result["length"]["mean"] == 4.0
    assert result["success"]["mean"] == 1.0
    assert result["success"]["low"] == pytest.approx(0.722, abs=0.001)  # Wilson, 10 of 10
    assert result["llm"] == {"asked": 0}


class Sleepy(Walker):
    """Takes five milliseconds a call, however many it decides for."""

    def probabilities(self, tasks: object, which: Any, observations: np.ndarray, draws: np.ndarray) -> np.ndarray:
        time.sleep(0.005)
        return super().probabilities(tasks, which, observations, draws)


def test_the_time_of_an_action_is_that_of_one_call_for_one_observation() -> None:
    alone, together = (
        Scores("Corridor", "sleepy", play_seeds(Sleepy(1.0), SerialTasks([Corridor] * many), 20, 0)).as_dict()
        for many in (1, 20)
    )
    assert min(alone["ms_per_action"], together["ms_per_action"]) >= 5, "not divided by those who play side by side"
    # Side by side 20 decisions are made in two calls, one of them for the one that is timed.
    assert together["actions_per_second"] > 3 * alone["actions_per_second"]


def test_success_is_unknown_where_neither_the_task_nor_its_registration_says_it() -> None:
    scores = evaluate(Walker(1.0), Corridor, 5)
    assert scores.success is None
    assert scores.as_dict()["success"] is None
    assert (scores.returns.mean, scores.lengths.mean, scores.score) == (1.0, 4.0, None)
    said = evaluate("random", "FrozenLake4x4", 5).success
    assert said is not None
    assert 0 <= said.low <= said.mean <= said.high <= 1
    with pytest.raises(UsageError, match=r"no policy 'randm'; did you mean 'random'\?"):
        evaluate("randm", "FrozenLake4x4")
    with pytest.raises(UsageError, match="unknown task 'FrozenLakes'"):
        evaluate("random", "FrozenLakes")


def test_a_stopped_evaluation_goes_on_where_it_was(tmp_path: Path) -> None:
    whole, file = evaluate("random", "FrozenLake4x4", 9), tmp_path / "some" / "episodes.jsonl"

    class Stop(Exception):
        pass

    def stop(done: int) -> None:
        if done == 4:
            raise Stop

    with pytest.raises(Stop):
        evaluate("random", "FrozenLake4x4", 9, out=file, progress=stop)
    with file.open("a") as stream:
        stream.write('{"schema": "wean-epi')  # what a kill in the midst of writing leaves
    done: list[int] = []
    scores = evaluate("random", "FrozenLake4x4", 9, out=file, progress=done.append)
    assert done == list(range(4, 10))
    assert scores.episodes.returns.tolist() == whole.episodes.returns.tolist()
    assert scores.episodes.lengths.tolist() == whole.episodes.lengths.tolist()
    assert (scores.success, scores.policy) == (whole.success, "random")
    again = evaluate("random", "FrozenLake4x4", 9, out=file)
    assert again.as_dict() == scores.as_dict()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(row["seed"] for row in rows) == list(range(10_000, 10_009))
    assert {row["schema"] for row in rows} == {"wean-episode/1"}
    file.write_text('{"schema": "other/1"}\n')
    with pytest.raises(UsageError, match="holds no episodes of this wean"):
        evaluate("random", "FrozenLake4x4", 9, out=file)
    with pytest.raises(WeanError, match=r"/proc/none/episodes\.jsonl: cannot be written"):
        evaluate("random", "FrozenLake4x4", 2, out=Path("/proc/none/episodes.jsonl"))


@pytest.mark.slow  # new processes take seconds to begin
def test_the_numbers_do_not_depend_on_the_number_of_processes() -> None:
    one, two = (evaluate(RandomPolicy, "FrozenLake4x4", 30, workers=workers) for workers in (1, 2))
    assert one.episodes.returns.tolist() == two.episodes.returns.tolist()
    assert one.episodes.lengths.tolist() == two.episodes.lengths.tolist()
    assert (one.policy, two.policy) == ("random", "random")


class Deadly(Corridor):
    """Takes its process along."""

    def step(self, action: int) -> Any:
        import os

        os._exit(9)


@pytest.mark.slow
def test_a_dead_process_is_one_line() -> None:
    with pytest.raises(WeanError, match="a worker process died; repeat the command with fewer --workers"):
        evaluate("random", Deadly, 10, workers=2)


# --- text tasks ------------------------------------------------------------------------------------------------------


class Mumbling(Replayed):
    """A task that understands nothing; what is not understood costs no move."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.done.append(action)
        return "Pardon?", 0.0, False, False, {"moves": 0}


class Talker(Policy):
    """Says what the choices begin with."""

    def decide(self, tasks: Tasks, which: Any, observations: Any, draws: Any) -> list[Any]:
        return [tasks.situations([index])[0].choices[0] for index in which]


def test_an_episode_in_words_ends_at_its_cap_and_where_nothing_costs_a_move() -> None:
    task = Replayed(demonstration(1)[0])
    (capped,) = play(Talker(), SerialTasks([lambda: task]), [Case("carry", 1)], max_moves=3)
    assert (capped.moves, len(task.done)) == (3, 3)
    task = Mumbling(demonstration(1)[0])
    (silent,) = play(Talker(), SerialTasks([lambda: task]), [Case("carry", 1)], max_moves=3)
    assert (silent.moves, silent.length) == (0, MOST_SILENT)


def test_points_of_a_text_task_are_told_of_any_policy() -> None:
    def opened(members: int) -> Player:
        return Player(Talker(), SerialTasks([lambda: Replayed(demonstration(1)[0])] * members))

    scores = evaluate_plan(Plan("carry", [Case("carry", 1), Case("carry", 2)], opened, about={"policy": "talker"}))
    result = scores.as_dict()
    assert scores.score is not None
    assert (scores.score.mean, scores.policy) == (100, "talker")
    assert (result["tasks"]["carry"]["episodes"], result["solved"], result["moves"], result["actions"]) == (2, 1, 5, 5)
    trace = scores.episodes.played[0].stats["trace"]
    assert trace[0] == {"action": "go to hall", "observation": "You move to the hall.", "score": 0.0, "moves": 1}
    assert trace[-1]["score"] == 100


# --- observers -------------------------------------------------------------------------------------------------------


def test_observers_see_every_step_and_the_final_one() -> None:
    seen: list[Any] = []

    class Noting(Observer):
        def begin(self, tasks: Tasks, cases: Any) -> None:
            seen.append([case.seed for case in cases])

        def before(self, tasks: Tasks, which: Any) -> None:
            seen.append([situation.text[-2] for situation in tasks.situations(which)])

        def after(self, tasks: Tasks, which: Any, actions: Any, steps: Steps) -> None:
            seen.append((actions, steps.terminated.tolist()))

    list(play(Walker(1.0), SerialTasks([Corridor] * 2), seed_cases("", 2, 5), observers=[Noting()]))
    assert seen[:3] == [[5, 6], ["0", "0"], ([1, 1], [False, False])]
    assert seen[-1] == ([1, 1], [True, True])


def test_an_episode_that_is_given_up_ends() -> None:
    class Tired(Policy):
        def decide(self, tasks: Tasks, which: Any, observations: Any, draws: Any) -> list[Any]:
            return [1 if index == 0 else None for index in which]

    found = {one.case.seed: one for one in play(Tired(), SerialTasks([Corridor] * 2), seed_cases("", 2, 0))}
    assert [found[seed].length for seed in (0, 1)] == [4, 0]
    assert math.isnan(found[1].success)


def test_the_papers_episodes_are_271_of_the_test_variations() -> None:
    found = episodes_of("ScienceWorld", "test", 10)
    assert len(found) == 271
    assert (found[0].task, found[0].variation) == ("boil", 21)


def test_a_policy_says_what_it_lacks() -> None:
    with pytest.raises(
        WeanError, match=r"the policy policy failed \(TypeError: Policy must implement probabilities\(\) or decide\(\)"
    ):
        list(play(Policy(), SerialTasks([partial(Corridor)]), seed_cases("", 1, 0)))


class _Told(Policy):
    name = "told"

    def __init__(self, decided: Any) -> None:
        self._decided = decided

    def decide(self, tasks: Any, which: Any, observations: Any, draws: Any) -> Any:
        return self._decided


@pytest.mark.parametrize("decided", [None, 3, "right", [], ["right"], [0.5], [float("nan")], [[1]], [0, 1]])
def test_what_is_no_decision_is_one_line(decided: Any) -> None:
    with pytest.raises(WeanError, match=r"^the policy told decided .* for 1 members; let it return a list of numbers,"):
        list(play(_Told(decided), SerialTasks([partial(Corridor)]), seed_cases("", 1, 0)))


@pytest.mark.parametrize("action", [7, -1])
def test_an_action_that_is_not_there_is_one_line(action: int) -> None:
    with pytest.raises(WeanError, match=rf"has no action {action}; its actions are 0 to 1$"):
        list(play(_Told([action]), SerialTasks([partial(Corridor)]), seed_cases("", 1, 0)))
