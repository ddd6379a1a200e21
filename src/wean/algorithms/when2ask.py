r"""When2Ask (2306.03604): a policy that learns when a question to the language model is worth its price.

PPO, unchanged, on a view of the tasks (`wean.teachers.ask_or_act.AskOrAct`) whose actions are "go on with the plan"
and "ask for a new plan first", and whose reward is

    r'_t = r_t - c_t,

where r_t is the environment's reward and c_t the cost of the question at step t: 0 without a question, `cost.first`
for an episode's first one, `cost.change` where the answer is another plan, `cost.repeat` where it is the plan that was
being followed.

The rule for repeated plans: an answer repeats if it is, word for word and in full, the plan that was followed when it
was asked for. It is then taken up anew from its first skill that has something to do, and its question costs
`cost.repeat`, however far the plan had come. The paper's text takes lambda off for every question and its release more
for a repeated one (0.06) than for a changed one (0.0); the presets here let both cost the same, so that the figures
count questions and nothing else.

A forced question (no plan, or a plan with nothing left to do) costs as much as one that was chosen, so
that a policy can also learn to spare it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Self

from pydantic import field_validator

from wean.algorithms.algorithm import Given, Needs, Update
from wean.algorithms.ppo import PPO, PPOConfig
from wean.algorithms.teacher_loss import Schedule
from wean.students.student import Student
from wean.tasks.vector import SerialTasks
from wean.teachers.ask_or_act import AskingCost, AskOrAct, Sight
from wean.teachers.teacher import Teacher


class When2AskConfig(PPOConfig):
    """Settings of PPO (without a teacher's loss), and of the questions."""

    cost: AskingCost = AskingCost()
    """The cost of a question, subtracted from the reward."""
    sees: Sight = "words"
    """The policy's observation: skills of plan and situation (`words`), or as in the paper the frames' difference."""
    waits: bool = False
    """Adds a third action: where the plan has nothing left to do, it acts at random instead of asking."""

    @field_validator("teacher")
    @classmethod
    def _no_loss_of_a_teacher(cls, value: Schedule) -> Schedule:
        if value != Schedule():
            raise ValueError("when2ask has no teacher's loss; leave teacher.* alone")
        return value


def asking_view(config: When2AskConfig, tasks: SerialTasks, teacher: Teacher, learning: bool) -> AskOrAct:
    """The tasks as a policy sees them that decides when to ask; questions cost something while it learns only."""
    return AskOrAct(tasks, teacher, config.cost if learning else None, config.sees, config.waits)


class When2Ask(PPO):
    """PPO on the asking view of tasks, for a student with two actions; see `wean.algorithms.ppo.PPO`."""

    Config: ClassVar[type[When2AskConfig]] = When2AskConfig
    needs = Needs(rewards=True, view=asking_view)

    def __init__(self, student: Student, tasks: AskOrAct, config: When2AskConfig, seed: int = 0) -> None:
        self._view = tasks
        super().__init__(student, tasks, config, None, seed)

    @classmethod
    def make(cls, given: Given) -> Self:
        """See `Algorithm.make`."""
        return cls(given.student, given.tasks, given.config, given.seed)

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """See `PPO.learn`; the metrics also hold the share of steps with a question."""
        asked, steps = self._view.questions, self.done

        def with_share(update: Update) -> None:
            nonlocal asked, steps
            share = (self._view.questions - asked) / (update.done - steps)
            asked, steps = self._view.questions, update.done
            if on_update is not None:
                on_update(Update(update.done, {**update.metrics, "rollout/asking_share": share}))

        super().learn(with_share)
