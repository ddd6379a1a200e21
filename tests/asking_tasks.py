"""A corridor in which it matters when a plan is asked for."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym

from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks
from wean.teachers.ask_or_act import AskingCost, AskOrAct
from wean.teachers.elicitation import Advice, AdviceConfig, Mode
from wean.teachers.teacher import Teacher

LEFT, RIGHT = 0, 1


class Errand(gym.Env[Any, int]):
    """Six cells; a bell is heard in cell 2, the door opens to who turns back to cell 0 after it; twelve steps at most.

    Walking on to the wall first costs time. The plan that helps is told only to who asks after the bell.
    """

    observation_space = gym.spaces.Box(0, 5, (2,))
    action_space = gym.spaces.Discrete(2)
    skill_names = ("walk", "turn back", "rest")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell, self.bell, self.steps = 1, False, 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        self.cell = min(5, self.cell + 1) if action == RIGHT else max(0, self.cell - 1)
        self.bell = self.bell or self.cell == 2
        home = self.bell and self.cell == 0
        reward = 1 - self.steps / 15 if home else 0.0
        return self._seen(), reward, home, self.steps >= 12 and not home, {"is_success": home}

    def situation(self) -> Situation:
        choices = ("walk", "turn back") if self.bell else ("walk",)
        return Situation("Go home after the bell.", "The bell rang." if self.bell else "Silence.", choices)

    def first_action(self, plan: Sequence[str]) -> int | None:
        for skill in plan:
            if skill == "walk" and self.cell < 5:
                return RIGHT
            if skill == "turn back" and self.cell > 0:
                return LEFT
        return None

    def _seen(self) -> Any:
        return [self.cell, int(self.bell)]


PLANS = {
    "Silence.": Advice(((("walk",), 1.0),), tokens=10),
    "The bell rang.": Advice(((("turn back",), 1.0),), tokens=7),
}


def errands(
    count: int = 1,
    cost: AskingCost | None = None,
    mode: Mode = "argmax",
    answer: Callable[[Situation], Advice] = lambda situation: PLANS[situation.text],
) -> AskOrAct:
    """The asking view of some errands."""
    teacher = Teacher(lambda situations: [answer(situation) for situation in situations], AdviceConfig(mode=mode))
    return AskOrAct(SerialTasks([Errand] * count), teacher, cost)
