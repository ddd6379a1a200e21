"""A teacher for a stock MiniGrid task: its plans are sub-goals that are rewarded. docs/tasks/minigrid.md explains."""

from pathlib import Path

from wean.experiment.runner import Runner
from wean.experiment.settings import resolve
from wean.tasks.grid.words import stock_situation
from wean.teachers.teacher import write_answers

TASK = "MiniGrid-MultiRoom-N2-S4-v0"  # any registered MiniGrid or BabyAI id
MISSION = "traverse the rooms to get to the goal"
PLANS = {  # what has been seen, and what to do then
    (): {"explore": 1.0},
    ("closed door",): {"go to closed door, open closed door": 0.7, "explore": 0.3},
    ("goal",): {"go to goal": 1.0},
    ("goal", "closed door"): {"go to goal": 1.0},
}

if __name__ == "__main__":
    answers = {stock_situation(MISSION, set(seen), None): plans for seen, plans in PLANS.items()}
    write_answers("multiroom.jsonl", answers)
    overrides = ["total_timesteps=60000", "num_steps=32"]
    config = resolve("beacons", TASK, "recorded:multiroom.jsonl", overrides=overrides)
    summary = Runner(config, Path("runs/multiroom")).run()
    print(summary["final"]["success"], summary["rewards"])
