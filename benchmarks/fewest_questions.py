"""The fewest questions with which an episode can be solved: what nobody can beat who must ask where the plan is over.

Found with hindsight. The planner's answers and the skills are as they are; in each episode all choices of up to two
moments to ask in are tried, which leaves out nothing where four questions suffice. Questions that are forced count like
those that are chosen.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

from wean.evaluation.statistics import bootstrap_mean
from wean.experiment.settings import resolve
from wean.tasks.registration import make_task
from wean.tasks.splits import FINAL_SEED
from wean.tasks.vector import SerialTasks
from wean.teachers.ask_or_act import ASK, GO_ON, AskOrAct
from wean.teachers.teacher import Teacher


def fewest(task: str, episodes: int) -> dict[str, Any]:
    """Questions of the held-out episodes: at plan end, and the fewest; means with 95 % intervals.

    Episodes that the planner at plan end does not solve are left out, and counted as `unsolved`.
    """
    config = resolve("when2ask", task)
    teacher = Teacher(config.model or "", config.advice)
    tasks = AskOrAct(SerialTasks([partial(make_task, task)]), teacher)
    pairs = [_episode(tasks, FINAL_SEED + number) for number in range(episodes)]
    tasks.close()
    solved = [pair for pair in pairs if pair is not None]
    return {
        "task": task,
        "episodes": episodes,
        "unsolved": episodes - len(solved),
        "plan_end": bootstrap_mean([plan_end for plan_end, _ in solved]).as_dict(),
        "fewest": bootstrap_mean([least for _, least in solved]).as_dict(),
        "with_fewer": sum(least < plan_end for plan_end, least in solved),
        "perhaps_fewer": sum(least > 4 for _, least in solved),
    }


def _episode(tasks: AskOrAct, seed: int) -> tuple[int, int] | None:
    """Questions at plan end, and the fewest; None if the episode is not solved at plan end."""
    steps, plan_end = _play(tasks, seed, ())
    if not plan_end:
        return None
    least = plan_end
    for chosen in (1, 2):
        for moments in combinations(range(1, steps), chosen):
            if chosen + 1 >= least:  # the first question is forced
                break
            _, questions = _play(tasks, seed, moments, least)
            least = questions or least
    return plan_end, least


def _play(tasks: AskOrAct, seed: int, moments: tuple[int, ...], below: int | None = None) -> tuple[int, int]:
    """Plays an episode, asking at these steps and where it must; its steps, and its questions, 0 if it fails.

    With `below` an episode that needs as many questions is broken off.
    """
    tasks.reset([0], [seed])
    before, step = tasks.questions, 0
    while True:
        stepped = tasks.step([0], [ASK if step in moments else GO_ON])
        step += 1
        asked = tasks.questions - before
        if stepped.terminated[0] or stepped.truncated[0]:
            return step, asked if stepped.rewards[0] > 0 else 0
        if below is not None and asked >= below:
            return step, 0


def markdown(found: dict[str, Any]) -> str:
    """One line for people."""
    least, end = found["fewest"], found["plan_end"]
    return (
        f"With hindsight, for who must ask where the plan is over, in the first {found['episodes']} episodes "
        f"({found['unsolved']} are not solved at plan end): "
        f"{least['mean']:.2f} questions ({least['low']:.2f} to {least['high']:.2f}) suffice where plan end asks "
        f"{end['mean']:.2f}; {found['with_fewer']} episodes can be solved with fewer"
        f"{', ' + str(found['perhaps_fewer']) + ' more perhaps' if found['perhaps_fewer'] else ''}.\n"
    )
