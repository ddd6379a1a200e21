"""What a prior saves on the slippery 8x8 lake with 200 steps.

python benchmarks/frozenlake.py                  the whole table (hours on two idle cores)
python benchmarks/frozenlake.py --quick          two seeds, half of the steps
python benchmarks/frozenlake.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs. The methods have the settings that baseline_grid.py chose on other seeds. The threshold is
nine tenths of the optimum, which value iteration computes. Half of the optimum is told beside it: the way to the goal
and the last tenths are learnt at different speeds.
"""

from __future__ import annotations

from harness import finish
from prior_tables import collect, markdown, ratio, row, told, tuned
from runs import trained
from tables import curves
from wean.tasks.frozen_lake import FrozenLake, solve
from wean.tasks.registration import make_task

NAME = "frozenlake"
TASK = "FrozenLake"

LINES = (
    tuned(TASK, "dqn", "a table of values", seeds=10),
    tuned(TASK, "dqn-prior", "the table among the proposals", seeds=10),
    tuned(
        TASK,
        "dqn-prior",
        "SmolLM2-135M scores the moves",
        name="dqn-weak-prior",
        seeds=3,
        overrides=("prior.elicitation=logprobs",),
        model="hf:smollm2-135m",
    ),
)


QUICK = tuple(
    line._replace(seeds=2, overrides=(*line.overrides, "total_timesteps=50000"))
    for line in LINES
    if line.name in ("dqn", "dqn-prior")
)


def optimum() -> float:
    """The greatest probability of reaching the goal."""
    env = make_task(TASK).unwrapped
    assert isinstance(env, FrozenLake)
    return float(solve(env.lake, env.horizon).success[env.horizon, 0])


def main() -> None:
    """Parses, trains what is missing, tabulates."""
    lines, finished, arguments = trained(NAME, __doc__, LINES, QUICK)
    best = optimum()
    rows = collect(TASK, lines, finished, 0.9 * best)
    ratios = [ratio(rows, "dqn-prior", "dqn", 3)]
    half = [found for line in lines if (found := row(TASK, line, finished, 0.5 * best))]
    earlier = [ratio(half, "dqn-prior", "dqn")]
    results = {
        "optimum": best,
        "rows": rows,
        "half": half,
        "ratios": ratios,
        "ratios_half": earlier,
        "curves": curves(lines, finished),
    }
    text = f"The optimum is {best:.3f}.\n\n{markdown(rows)}\n{told(ratios)}"
    text += f"\n## To half of the optimum\n\n{markdown(half)}\n{told(earlier)}"
    finish(NAME, finished.hardware("torch", "gymnasium"), results, text, arguments)


if __name__ == "__main__":
    main()
