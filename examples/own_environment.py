"""From a stock Gymnasium environment to a trained student: docs/your-own-environment.md tells the story."""
# ruff: noqa: D103

from pathlib import Path

import gymnasium as gym

from wean.experiment.runner import Runner
from wean.experiment.settings import resolve
from wean.tasks import DescribedTask, Situation
from wean.teachers.teacher import write_answers

GOAL = """You drive a taxi: fetch the passenger, then take them where they want to go. Each plan is one move of one
block (south, north, east, west), or pick up, or drop off. Walls stand in some of the ways; you are not told where."""
MOVES = ("south", "north", "east", "west", "pick up", "drop off")  # the actions 0 to 5, in order


def describe(env):
    row, column, passenger, destination = env.unwrapped.decode(env.unwrapped.s)
    aboard = passenger == 4
    stop_row, stop_column = env.unwrapped.locs[destination if aboard else passenger]
    way = "north" if row > stop_row else "south" if row < stop_row else ""
    way += "west" if column > stop_column else "east" if column < stop_column else ""
    text = f"The passenger is {'in the taxi' if aboard else 'waiting'}." if not way else f"The next stop is {way}."
    return Situation(GOAL, text, MOVES)


def make(**kwargs):
    env = gym.wrappers.TransformReward(gym.make("Taxi-v4", **kwargs), lambda reward: reward / 20)
    return DescribedTask(env, describe)


gym.register("town/Taxi-v0", make, reward_threshold=0.01)

ANSWERS = {
    "The next stop is north.": {"north": 0.8, "east": 0.1, "west": 0.1},
    "The next stop is south.": {"south": 0.8, "east": 0.1, "west": 0.1},
    "The next stop is east.": {"east": 0.6, "north": 0.2, "south": 0.2},
    "The next stop is west.": {"west": 0.6, "north": 0.2, "south": 0.2},
    "The next stop is northeast.": {"north": 0.4, "east": 0.4, "south": 0.1, "west": 0.1},
    "The next stop is northwest.": {"north": 0.4, "west": 0.4, "south": 0.1, "east": 0.1},
    "The next stop is southeast.": {"south": 0.4, "east": 0.4, "north": 0.1, "west": 0.1},
    "The next stop is southwest.": {"south": 0.4, "west": 0.4, "north": 0.1, "east": 0.1},
    "The passenger is waiting.": {"pick up": 1.0},
    "The passenger is in the taxi.": {"drop off": 1.0},
}

if __name__ == "__main__":
    write_answers("taxi.jsonl", {Situation(GOAL, text, MOVES): plans for text, plans in ANSWERS.items()})
    overrides = ["total_timesteps=100000", "teacher.until=0.3"]
    config = resolve("llm4teach", "town/Taxi-v0", "recorded:taxi.jsonl", overrides=overrides)
    summary = Runner(config, Path("runs/taxi")).run()
    print(summary["final"]["success"], summary["references"]["teacher"]["success"])
