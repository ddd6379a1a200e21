"""A teacher for a stock MiniGrid task: its plans are sub-goals that are rewarded. docs/tasks/minigrid.md explains."""

import wean

TASK = "MiniGrid-MultiRoom-N2-S4-v0"  # any registered MiniGrid or BabyAI id
SITUATION = "Task: traverse the rooms to get to the goal. The robot has seen: {}. It holds: nothing."
PLANS = {  # what has been seen, and what to do then
    "nothing": {"explore": 1.0},
    "closed door": {"go to closed door, open closed door": 0.7, "explore": 0.3},
    "goal": {"go to goal": 1.0},
    "goal, closed door": {"go to goal": 1.0},
}
ANSWERS = {SITUATION.format(seen): plans for seen, plans in PLANS.items()}

if __name__ == "__main__":
    run = wean.train("beacons", TASK, teacher=ANSWERS, total_timesteps=60_000, num_steps=32, out="runs/multiroom")
    print(run.summary["final"]["success"], run.summary["rewards"])
