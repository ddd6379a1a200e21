"""What bounds the savings of a prior: how much can be known from so many steps, and from whose steps.

python benchmarks/prior_limits.py          both tables (ten minutes on one idle core)
python benchmarks/prior_limits.py --quick  fewer seeds and sizes

On the slippery 8x8 lake: the transitions of N steps played by the prior, or by chance, are counted, and the moves that
are best in what was counted are judged exactly.

In random kitchens: PPO's student learns the KL term alone, from N steps that it played itself before it knew anything,
or that the prior played. Success is greedy, in held-out kitchens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness import MEASURED_ANEW, finish, hardware, options
from wean.algorithms.ppo import PPO
from wean.algorithms.teacher_loss import kl_to_prior
from wean.evaluation.evaluate import play_seeds
from wean.experiment.build import build
from wean.experiment.components import RLComponents
from wean.experiment.settings import resolve
from wean.students.student import Student
from wean.tasks.frozen_lake import FrozenLake, solve, success_of
from wean.tasks.registration import make_task
from wean.tasks.splits import CHOOSING_SEED
from wean.teachers.priors import Prior

NAME = "prior_limits"
LAKE_STEPS = (5_000, 10_000, 20_000, 40_000, 80_000, 160_000)
KITCHEN_STEPS = (1_024, 4_096, 16_384)
GAMMA = 0.995
UPDATES, BATCH = 2_000, 256


def lake_prior(env: FrozenLake) -> NDArray[np.float64]:
    """The recorded prior (S, 4) of the standard lake; uniform where it proposes nothing."""
    prior = Prior("recorded:frozenlake")
    cells = "".join(env.rows)
    weights = np.full((len(cells), 4), 0.25)
    for state, cell in enumerate(cells):
        if cell not in "HG":
            env.lake.s = state
            found = prior.propose([env.situation()])[0].weights
            weights[state] = found if found.sum() else weights[state]
    return weights


def counted(env: FrozenLake, policy: NDArray[np.float64], steps: int, seed: int) -> float:
    """Success of the moves that are best by `steps` counted transitions under a policy, among what it proposes."""
    random = np.random.default_rng(seed)
    states = len(policy)
    onward, goal, tried = np.zeros((states, 4, states)), np.zeros((states, 4)), np.zeros((states, 4))
    edges = policy.cumsum(1)
    state = left = 0
    for draw, slip in zip(random.random(steps), random.integers(3, size=steps), strict=True):
        if not left:
            state, left = 0, env.horizon
        move = min(3, int((edges[state] < draw * edges[state, -1]).sum()))
        _, following, reward, ended = env.lake.P[state][move][slip]
        tried[state, move] += 1
        goal[state, move] += reward
        if not ended:
            onward[state, move, following] += 1
        state, left = following, 0 if ended else left - 1
    seen = np.maximum(tried, 1)
    values = np.zeros(states)
    for _ in range(1_500):  # until nothing changes: 0.995 to this power is a two-thousandth
        chances = np.where(policy > 0, (goal + GAMMA * (onward @ values)) / seen, -1.0)
        values = chances.max(1)
    return success_of(env.lake, chances.argmax(1), env.horizon)


def lake(seeds: int, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Success over seeds by who played and how many steps."""
    env = make_task("FrozenLake").unwrapped
    assert isinstance(env, FrozenLake)
    threshold = 0.9 * float(solve(env.lake, env.horizon).success[env.horizon, 0])
    prior = lake_prior(env)
    rows = []
    for played, policy in (("the prior", prior), ("chance", np.full_like(prior, 0.25))):
        for size in sizes:
            found = [counted(env, policy, size, seed) for seed in range(seeds)]
            row = {"played": played, "steps": size, "success": found, "threshold": threshold}
            rows.append(row | {"reached": sum(value >= threshold for value in found)})
    return rows


def imitated(played: str, steps: int, seed: int) -> dict[str, Any]:
    """Greedy success of a student that learns the KL term from steps that it, or the prior, played."""
    torch.manual_seed(seed)
    parts = build(resolve("ppo-prior", "KitchenRandom", seed=seed))
    algorithm, student = parts.algorithm, parts.student
    assert isinstance(algorithm, PPO)
    assert isinstance(student, Student)
    share = 1.0 if played == "the prior" else 0.0
    rollout = algorithm.collector.collect(steps // parts.tasks.num, algorithm.teacher, share)
    observations, prior, advised = (
        torch.from_numpy(values).flatten(0, 1) for values in (rollout.observations, rollout.teacher, rollout.advised)
    )
    optimizer = torch.optim.Adam(student.parameters(), algorithm.config.learning_rate)
    random = np.random.default_rng(seed)
    for _ in range(UPDATES):
        chosen = torch.from_numpy(random.integers(0, len(observations), BATCH))
        logits, _, _ = student(observations[chosen][None], student.first_state(BATCH), torch.zeros(1, BATCH))
        loss = kl_to_prior(logits[0], prior[chosen], advised[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    success = judged(parts)
    parts.close()
    return {"success": success, "advised": float(advised.float().mean())}


def judged(parts: RLComponents) -> float:
    """Greedy success in 200 kitchens held out for choices."""
    with torch.no_grad():
        episodes = play_seeds(parts.policy("greedy"), parts.judges, 200, CHOOSING_SEED, parts.success_return)
    return float(episodes.successes.mean())


def kitchen(seeds: int, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Success over seeds by who played and how many steps."""
    rows = []
    for played in ("the prior", "the student"):
        for size in sizes:
            runs = [imitated(played, size, seed) for seed in range(1, seeds + 1)]
            advised = float(np.mean([run["advised"] for run in runs]))
            row = {"played": played, "steps": size, "success": [run["success"] for run in runs], "advised": advised}
            rows.append(row)
    return rows


def markdown(results: dict[str, Any]) -> str:
    """Both tables for people."""
    text = f"## The lake: the best moves by what N steps show (discount {GAMMA})\n\n"
    text += "| played by | steps | success, median | lowest | highest | at 0.9 of the optimum |\n"
    text += "|---|---|---|---|---|---|\n"
    for row in results["lake"]:
        there = f"{row['reached']} of {len(row['success'])}"
        text += f"| {row['played']} | {row['steps']:,} | {spread(row)} | {there} |\n"
    text += f"\n## The kitchens: the KL term alone, {UPDATES:,} gradient steps on N steps\n\n"
    text += "| played by | steps | advised | greedy success, median | lowest | highest |\n|---|---|---|---|---|---|\n"
    for row in results["kitchen"]:
        text += f"| {row['played']} | {row['steps']:,} | {row['advised']:.0%} | {spread(row)} |\n"
    return text


def spread(row: dict[str, Any]) -> str:
    """Median, lowest and highest success, as cells."""
    values = row["success"]
    return f"{np.median(values):.3f} | {min(values):.3f} | {max(values):.3f}"


def main() -> None:
    """Measures and tells."""
    arguments = options(__doc__, MEASURED_ANEW).parse_args()
    torch.set_num_threads(1)
    lakes, kitchens = (2, 1) if arguments.quick else (10, 5)
    sizes = (LAKE_STEPS[:3], KITCHEN_STEPS[:2]) if arguments.quick else (LAKE_STEPS, KITCHEN_STEPS)
    results = {"lake": lake(lakes, sizes[0]), "kitchen": kitchen(kitchens, sizes[1])}
    finish(NAME, hardware("torch", "gymnasium"), results, markdown(results), arguments)


if __name__ == "__main__":
    main()
