"""From a stock Gymnasium environment to a trained student: docs/your-own-environment.md explains."""
# ruff: noqa: D103

import gymnasium as gym

import wean

GOAL = """You drive a taxi: fetch the passenger, then take them where they want to go. Each plan is one move of one
block (south, north, east, west), or pick up, or drop off. Walls stand in some of the ways; you are not told where."""
MOVES = ("south", "north", "east", "west", "pick up", "drop off")  # the actions 0 to 5, in order


def words(env):
    row, column, passenger, destination = env.unwrapped.decode(env.unwrapped.s)
    aboard = passenger == 4
    stop_row, stop_column = env.unwrapped.locs[destination if aboard else passenger]
    way = "north" if row > stop_row else "south" if row < stop_row else ""
    way += "west" if column > stop_column else "east" if column < stop_column else ""
    text = f"The passenger is {'in the taxi' if aboard else 'waiting'}." if not way else f"The next stop is {way}."
    return wean.Situation(GOAL, text, MOVES)


def make(**kwargs):
    env = gym.wrappers.TransformReward(gym.make("Taxi-v4", **kwargs), lambda reward: reward / 20)
    return wean.describe(env, words)


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
    run = wean.train(
        "llm4teach",
        "town/Taxi-v0",
        teacher=ANSWERS,
        total_timesteps=100_000,
        out="runs/taxi",
        **{"teacher.until": 0.3},
    )
    print(run.summary["final"]["success"], run.summary["references"]["teacher"]["success"])
