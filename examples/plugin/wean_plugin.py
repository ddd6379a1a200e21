"""What this package adds to wean: a task, a student, a method and a model, each named in pyproject.toml."""
# ruff: noqa: D101, D102, D103

import json

import gymnasium as gym
import torch

import wean
from wean.llm.local import ScriptedBackend

MOVES = ("left", "down", "right", "up")


def make_crossing(**kwargs):
    def words(env):
        return wean.Situation("Cross the ice.", f"You stand on tile {env.unwrapped.s}.", MOVES)

    return wean.describe(gym.make("FrozenLake-v1", is_slippery=False, **kwargs), words)


class Wide(wean.Student):
    kind = "wide"

    def __init__(self, size, num_actions, hidden=256):
        super().__init__({"size": size, "num_actions": num_actions, "hidden": hidden}, hidden, num_actions)
        self.rows = torch.nn.Embedding(size, hidden)

    @classmethod
    def for_task(cls, observation_space, num_actions, config, observation):
        return cls(int(observation_space.n), num_actions, config.hidden)

    def features(self, observations):
        return self.rows(observations.long()).tanh()


METHOD = wean.Method(
    name="quick-kickstarting",
    title="PPO that follows its teacher for the first tenth of the run",
    source="our own",
    algorithm=wean.PPO,
    settings={"total_timesteps": 30_000, "teacher.kind": "linear", "teacher.until": 0.1, "ent_coef": 0.001},
    model="always:right",
    home="Crossing",
)


def open_always(move, **options):
    """Opens `always:MOVE`: a model that has one plan, whatever is asked."""
    answer = json.dumps({"plans": [{"skills": [move], "probability": 1.0}]})
    return ScriptedBackend(lambda messages: answer, f"always:{move}", **options)
