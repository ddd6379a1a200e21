"""From a stock Gymnasium environment to a trained student: docs/your-own-environment.md explains every line."""

import json
from pathlib import Path

import gymnasium as gym

from wean.methods.settings import resolve
from wean.tasks import DescribedTask, Words
from wean.teachers.elicitation import messages
from wean.training import Training

GOAL = """You drive a taxi: fetch the passenger, then take them to their destination. A move goes one block; walls stand \
in some of the ways. A plan is one of: south, north, east, west, pick up, drop off."""
MOVES = ("south", "north", "east", "west", "pick up", "drop off")


def describe(env):
    row, column, passenger, destination = env.unwrapped.decode(env.unwrapped.s)
    stop = env.unwrapped.locs[destination if passenger == 4 else passenger]
    ways = ["north"] * (row > stop[0]) + ["south"] * (row < stop[0]) + ["west"] * (column > stop[1])
    ways += ["east"] * (column < stop[1]) or [] if ways else ["east"] * (column < stop[1])
    where = "to the " + "-".join(ways) if ways else "here: drop off" if passenger == 4 else "here: pick up"
    return Words(GOAL, f"The next stop is {where}.", MOVES)
