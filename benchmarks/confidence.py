"""Fits the confidence of propagated sub-goals, and shows how well it holds on tasks that it was not fitted on.

    python benchmarks/confidence.py [--workers N] [--quick] [--json] [--save]

Each of ScienceWorld's annotated demonstrations is left out in turn. It gets its sub-goals from all others of its task,
and once more from only two of them, as at the beginning of a run; demonstrations of other tasks help as they do
there. Lead and trust, known without looking at the right sub-goals, are to say whether all sub-goals are right:
logistic regression. The coefficients of all samples belong into `wean.annotation.propagation`; the table is of
predictions by coefficients that were fitted without the task they are used on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import MEASURED_ANEW, finish, hardware, options
from wean.annotation.pipeline import select_diverse
from wean.annotation.propagation import MOST_LEAD, Propagator
from wean.data.shipped import shipped
from wean.processes import executor

NAME = "confidence"
RIDGE = 0.1  # penalty on the squared slopes: keeps them finite where the samples can be told apart without a mistake
THRESHOLDS = (0.5, 0.7, 0.8, 0.9)
BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
Floats = NDArray[np.float64]


def main() -> None:
    """Parses, measures, prints."""
    parser = options(__doc__, MEASURED_ANEW)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    measured_on = hardware("numpy")
    tasks = sorted({trajectory.task for trajectory, _ in shipped("scienceworld").examples})
    tasks = tasks[::5] if arguments.quick else tasks
    with executor(arguments.workers) as pool:
        samples = [sample for group in pool.map(samples_of, tasks) for sample in group]
    results = judge(samples) | {"samples": samples}
    finish(NAME, measured_on, results, markdown(results), arguments)


def samples_of(task: str) -> list[dict[str, Any]]:
    """What propagation says of each demonstration of a task without it, and whether that is right."""
    examples = shipped("scienceworld").examples
    foreign = [example for example in examples if example[0].task != task]
    trajectories = [trajectory for trajectory, _ in examples]
    samples = []
    for out in (example for example in examples if example[0].task == task):
        others = [example for example in examples if example[0].task == task and example is not out]
        two = select_diverse([trajectory for trajectory, _ in others], [], 2)
        for own in (others, [example for example in others if example[0] in two]):
            propagator = Propagator([*own, *foreign], trajectories)
            carried = propagator.carry(out[0])
            samples.append(
                {
                    "task": task,
                    "variation": out[0].variation,
                    "learnt_from": len(own),
                    "lead": round(carried.lead, 4),
                    "trust": round(propagator.trust(task), 4),
                    "right": carried.chunks == out[1].chunks,
                }
            )
    return samples


def judge(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The coefficients of all samples, and what those of all tasks but one are worth on that one."""
    features = np.array([[1.0, min(one["lead"], MOST_LEAD), one["trust"]] for one in samples])
    right = np.array([one["right"] for one in samples], float)
    task = np.array([one["task"] for one in samples])
    predicted, base = np.empty(len(samples)), np.empty(len(samples))
    for name in np.unique(task):
        held_out = task == name
        predicted[held_out] = sigmoid(features[held_out] @ fit(features[~held_out], right[~held_out]))
        base[held_out] = right[~held_out].mean()
    coefficients = fit(features, right)
    few = np.array([one["learnt_from"] == 2 for one in samples])
    return {
        "coefficients": dict(zip(("intercept", "lead", "trust"), coefficients.round(2).tolist(), strict=True)),
        "cross_validated": {
            "samples": len(samples),
            "right": right.mean(),
            "mean_confidence": predicted.mean(),
            "log_loss": log_loss(predicted, right),
            "log_loss_of_the_share": log_loss(base, right),
            "auc": auc(predicted, right),
        },
        "right_learnt_from_two": right[few].mean(),
        "right_learnt_from_all_others": right[~few].mean(),
        "bins": [
            {"from": low, "to": high, "samples": int(inside.sum()), "confidence": predicted[inside].mean(),
             "right": right[inside].mean()}
            for low, high in itertools.pairwise(BINS)
            if (inside := (predicted >= low) & (predicted < high)).any()
        ],
        "thresholds": [
            {"threshold": threshold, "kept": keep.mean(), "right_of_kept": right[keep].mean(),
             "wrong_found": 1 - (1 - right[keep]).sum() / (1 - right).sum()}
            for threshold in THRESHOLDS
            if (keep := predicted >= threshold).any()
        ],
    }  # fmt: skip


def fit(features: Floats, right: Floats) -> Floats:
    """Coefficients of a logistic regression with a small ridge penalty, by Newton's method.

    Args:
        features: (samples, features), the first column ones.
        right: (samples,) 0 or 1.
    """
    penalty = RIDGE * np.diag([0.0] + [1.0] * (features.shape[1] - 1))
    coefficients = np.zeros(features.shape[1])
    for _ in range(50):
        probability = sigmoid(features @ coefficients)
        slope = features.T @ (right - probability) - penalty @ coefficients
        curvature = (features * (probability * (1 - probability))[:, None]).T @ features + penalty
        coefficients = coefficients + np.linalg.solve(curvature, slope)
    return coefficients


def sigmoid(values: Floats) -> Floats:
    """The logistic function."""
    return 1 / (1 + np.exp(-values))


def log_loss(probability: Floats, right: Floats) -> float:
    """Mean negative log-likelihood, in nats."""
    return float(-np.log(np.where(right == 1, probability, 1 - probability)).mean())


def auc(probability: Floats, right: Floats) -> float:
    """How often a right one is more certain than a wrong one; ties count half."""
    differences = probability[right == 1][:, None] - probability[right == 0][None, :]
    return float((np.sign(differences) / 2 + 0.5).mean())


def markdown(results: dict[str, Any]) -> str:
    """The tables."""
    told, coefficients = results["cross_validated"], results["coefficients"]
    lines = [
        f"{told['samples']} samples. All sub-goals right: {results['right_learnt_from_two']:.3f} when learnt from two "
        f"demonstrations of the task, {results['right_learnt_from_all_others']:.3f} from all others (three or four).",
        "",
        "Coefficients of all samples: " + ", ".join(f"{name} {value}" for name, value in coefficients.items()) + ".",
        "",
        "All below is of coefficients that were fitted without the task. Mean confidence "
        f"{told['mean_confidence']:.3f}, share right {told['right']:.3f}; log loss {told['log_loss']:.3f} against "
        f"{told['log_loss_of_the_share']:.3f} for always saying the share of the other tasks; AUC {told['auc']:.3f}.",
        "",
        "| confidence | samples | mean confidence | share right |",
        "|---|---:|---:|---:|",
    ]
    for row in results["bins"]:
        lines.append(
            f"| {row['from']} to {row['to']} | {row['samples']} | {row['confidence']:.3f} | {row['right']:.3f} |"
        )
    lines += [
        "",
        "| threshold | kept | right among the kept | of the wrong ones, asked about |",
        "|---|---:|---:|---:|",
    ]
    for row in results["thresholds"]:
        lines.append(
            f"| {row['threshold']} | {row['kept']:.3f} | {row['right_of_kept']:.3f} | {row['wrong_found']:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
