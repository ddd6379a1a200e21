"""How good the baselines without a prior are at other settings than their presets': one thing changed at a time.

python benchmarks/baseline_grid.py                  the whole table (half an hour on two idle cores)
python benchmarks/baseline_grid.py --quick          DQN on the lake, two lines
python benchmarks/baseline_grid.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs. One seed a line: what is told apart here are factors, not tenths.
"""

from __future__ import annotations

from frozenlake import optimum
from harness import finish
from prior_tables import markdown, row
from runs import Line, trained

NAME = "baseline_grid"
KITCHEN, LAKE = ("KitchenRandom",), ("FrozenLake",)


def changed(name: str, method: str, tasks: tuple[str, ...], *overrides: str) -> Line:
    """A line of the grid."""
    return Line(name, method, " ".join(overrides) or "as the preset", tasks, seeds=1, overrides=overrides)


LINES = (
    changed("dqn", "dqn", KITCHEN),
    changed("dqn-slower", "dqn", KITCHEN, "learning_rate=0.0005"),
    changed("dqn-faster", "dqn", KITCHEN, "learning_rate=0.002"),
    changed("dqn-one-step", "dqn", KITCHEN, "n_step=1"),
    changed("dqn-short-exploration", "dqn", KITCHEN, "exploration.until=0.25"),
    changed("ppo", "ppo", KITCHEN),
    changed("ppo-slower", "ppo", KITCHEN, "learning_rate=0.0005"),
    changed("ppo-faster", "ppo", KITCHEN, "learning_rate=0.002"),
    changed("ppo-four-epochs", "ppo", KITCHEN, "update_epochs=4"),
    changed("ppo-less-entropy", "ppo", KITCHEN, "ent_coef=0.003"),
    changed("dqn-lake", "dqn", LAKE),
    changed("dqn-lake-slower", "dqn", LAKE, "learning_rate=0.00025"),
    changed("dqn-lake-faster", "dqn", LAKE, "learning_rate=0.001"),
    changed("dqn-lake-fewer-gradients", "dqn", LAKE, "train_frequency=8"),
    changed("dqn-lake-discount", "dqn", LAKE, "gamma=0.99"),
)
QUICK = tuple(line._replace(overrides=(*line.overrides, "total_timesteps=30000")) for line in LINES[10:12])


def main() -> None:
    """Parses, trains what is missing, tabulates."""
    lines, finished, arguments = trained(NAME, __doc__, LINES, QUICK)
    parts = {"KitchenRandom": 0.9, "FrozenLake": 0.9 * optimum()}
    results = {
        task: [found for line in lines if task in line.tasks and (found := row(task, line, finished, threshold))]
        for task, threshold in parts.items()
    }
    text = "\n".join(f"## {task}\n\n{markdown(rows)}" for task, rows in results.items() if rows)
    finish(NAME, finished.hardware("torch", "gymnasium"), results, text, arguments)


if __name__ == "__main__":
    main()
