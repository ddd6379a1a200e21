"""A method of one's own: a preset. docs/your-own-method.md explains."""

import wean

METHOD = wean.Method(
    name="quick-kickstarting",
    title="PPO that follows its teacher for the first tenth of the run",
    source="our own",
    algorithm=wean.PPO,
    settings={"total_timesteps": 30_000, "teacher.kind": "linear", "teacher.until": 0.1, "ent_coef": 0.001},
    per_task={"LavaDoorKey": {"total_timesteps": 100_000}},
)

if __name__ == "__main__":
    run = wean.train(METHOD, "SimpleDoorKey", out="runs/own-method")
    print(run.summary["final"]["success"])
