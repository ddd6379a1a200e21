"""wean trains small agents that no longer need their language model.

A language model knows roughly what to do in a sequential task. It teaches, and what comes out is a small policy that
acts in well under a millisecond, offline, and can become better than its teacher.

    import gymnasium as gym, wean

    def words(env):                                 # one moment in words: choices name the actions 0, 1, 2, ...
        text = f"You stand on tile {env.unwrapped.s}."
        return wean.Situation("Cross the lake.", text, ("left", "down", "right", "up"))

    def make(**kwargs):                             # any Gymnasium environment
        return wean.describe(gym.make("FrozenLake-v1", **kwargs), words)

    teacher = wean.Teacher("openai:gpt-5")          # or a URL, "hf:...", "recorded:file", a dictionary, a function
    wean.train("llm4teach", make, teacher=teacher, total_timesteps=100_000, out="runs/lake", seed=1)
    policy = wean.load("runs/lake")                 # policy.act(observation)
    scores = wean.evaluate(policy, make, episodes=500)

Tasks       make, describe, Situation, SerialTasks, check_task
Teachers    Teacher, Prior, open_model, Ledger, Budget
Learning    PPO, DQN, CQL, Imitation and their Config classes; Algorithm, Update; Student, make_student, check_student
Working     train, evaluate, compare, load, export, Run, Policy, Scores, Method
Errors      WeanError and its kind UsageError: one line that names a remedy

`wean --help` is the command line. Everything that is not listed here or in a documented module is private.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from wean.agents.policy import Policy
    from wean.algorithms.algorithm import Algorithm, Update
    from wean.algorithms.cql import CQL, CQLConfig
    from wean.algorithms.dqn import DQN, DQNConfig
    from wean.algorithms.imitation import Imitation, ImitationConfig
    from wean.algorithms.ppo import PPO, PPOConfig
    from wean.errors import UsageError, WeanError
    from wean.evaluation.scores import Scores
    from wean.experiment.presets import Method
    from wean.experiment.train import Run, evaluate, load, train
    from wean.llm import Budget, Ledger, open_model
    from wean.report.compare import compare
    from wean.serving.export import export
    from wean.students.saving import make_student
    from wean.students.student import Student, check_student
    from wean.tasks.contract import check_task, describe
    from wean.tasks.registration import make_task as make
    from wean.tasks.situation import Situation
    from wean.tasks.vector import SerialTasks
    from wean.teachers.priors import Prior
    from wean.teachers.teacher import Teacher

_HOMES = {
    "make": "tasks.registration:make_task",
    "describe": "tasks.contract",
    "Situation": "tasks.situation",
    "SerialTasks": "tasks.vector",
    "check_task": "tasks.contract",
    "Teacher": "teachers.teacher",
    "Prior": "teachers.priors",
    "open_model": "llm",
    "Ledger": "llm",
    "Budget": "llm",
    "PPO": "algorithms.ppo",
    "PPOConfig": "algorithms.ppo",
    "DQN": "algorithms.dqn",
    "DQNConfig": "algorithms.dqn",
    "CQL": "algorithms.cql",
    "CQLConfig": "algorithms.cql",
    "Imitation": "algorithms.imitation",
    "ImitationConfig": "algorithms.imitation",
    "Algorithm": "algorithms.algorithm",
    "Update": "algorithms.algorithm",
    "Student": "students.student",
    "make_student": "students.saving",
    "check_student": "students.student",
    "train": "experiment.train",
    "evaluate": "experiment.train",
    "export": "serving.export",
    "compare": "report.compare",
    "load": "experiment.train",
    "Policy": "agents.policy",
    "Scores": "evaluation.scores",
    "Method": "experiment.presets",
    "Run": "experiment.train",
    "WeanError": "errors",
    "UsageError": "errors",
}

__all__ = [
    "CQL",
    "DQN",
    "PPO",
    "Algorithm",
    "Budget",
    "CQLConfig",
    "DQNConfig",
    "Imitation",
    "ImitationConfig",
    "Ledger",
    "Method",
    "PPOConfig",
    "Policy",
    "Prior",
    "Run",
    "Scores",
    "SerialTasks",
    "Situation",
    "Student",
    "Teacher",
    "Update",
    "UsageError",
    "WeanError",
    "check_student",
    "check_task",
    "compare",
    "describe",
    "evaluate",
    "export",
    "load",
    "make",
    "make_student",
    "open_model",
    "train",
]


def __getattr__(name: str) -> Any:
    # Names are imported when they are first used, so that `import wean` itself costs nothing.
    if name not in _HOMES:
        raise AttributeError(f"module 'wean' has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = _HOMES[name].partition(":")
    value = getattr(import_module(f"wean.{module}"), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
