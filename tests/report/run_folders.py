"""Run folders in miniature, as `wean train` writes them."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import yaml

from wean.evaluation.statistics import Interval, wilson


def picture(red: int = 200) -> str:
    """A PNG of one pixel as a data address."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes([0, red, 0, 0]))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


def evaluation(
    successes: int,
    episodes: int = 500,
    length: float = 20.0,
    policy: str = "llm4teach",
    ms: float | None = 0.06,
) -> dict[str, Any]:
    return {
        "schema": "wean-eval/2",
        "task": "SimpleDoorKey",
        "policy": policy,
        "episodes": episodes,
        "seed": 10000,
        "success": wilson(successes, episodes).as_dict(),
        "return": Interval(0.8, 0.78, 0.82).as_dict(),
        "length": Interval(length, length - 1, length + 1).as_dict(),
        "ms_per_action": ms,
        "llm": {"asked": 0, "replayed": 0, "distinct": 0, "tokens": 0, "cost_usd": 0.0},
    }


def summary(seed: int = 1, successes: int = 490, **changes: Any) -> dict[str, Any]:
    data = {
        "schema": "wean-run/1",
        "method": "llm4teach",
        "task": "SimpleDoorKey",
        "seed": seed,
        "env_steps": 4000,
        "wall_seconds": 83.4,
        "steps_per_second": 6123.4,
        "llm": {
            "asked": 3,
            "replayed": 48213,
            "distinct": 11,
            "unanswered": 2,
            "tokens": 9431,
            "cost_usd": None,
            "model": "recorded:doorkey",
        },
        "student_parameters": 41224,
        "student_bytes": 166432,
        "acting": "sampled",
        "final": evaluation(successes),
        "final_other": evaluation(successes - 10),
        "references": {
            "teacher": evaluation(300, policy="teacher", length=24.5),
            "random-skills": evaluation(180, policy="random-skills", length=110.0),
        },
        "curve": [
            {
                "env_steps": 1000 * index,
                "wall_seconds": 20.0 * index,
                "success": success,
                "return": 0.8 * success,
                "length": 150 - 130 * success,
                "teacher_weight": 1 - index / 4,
            }
            for index, success in enumerate([0.0, 0.5, 0.92, 0.91, 0.98])
        ],
        "time": {
            "environment": 40.0,
            "teacher": 2.0,
            "acting": 10.0,
            "learning": 20.0,
            "evaluation": 11.0,
        },
    }
    return {**data, **changes}


def text_summary(seed: int = 1, exact: float = 0.8, **changes: Any) -> dict[str, Any]:
    """A summary of a fine-tuned student."""
    curve = [
        {"gradient_steps": 50 * n, "tokens": 4000 * n, "wall_seconds": 9.0 * n, "exact": n * exact / 3, "loss": 1 / n}
        for n in (1, 2, 3)
    ]
    data = {
        "schema": "wean-run/2",
        "command": "wean train subgoals",
        "method": "subgoals",
        "task": "ScienceWorld",
        "seed": seed,
        "unit": "gradient_steps",
        "gradient_steps": 150,
        "wall_seconds": 30.0,
        "curve": curve,
        "demonstrations": 147,
        "dev_demonstrations": 20,
        "student_parameters": 3_800_000,
        "tokens": 12_000,
        "tokens_per_second": 400.0,
        "steps_per_second": 5.0,
        "best": curve[-1],
    }
    return {**data, **changes}


def offline_summary(seed: int = 1, successes: int = 300, **changes: Any) -> dict[str, Any]:
    """A summary of a run that learnt from a file, as it was written while gradient steps were called env_steps."""
    return summary(seed, successes, **{"method": "cql", "task": "FrozenLake", "references": {}, **changes})


def teacher() -> dict[str, Any]:
    plans = [
        {"skills": ["explore"], "probability": 0.05},
        {"skills": ["go to key", "pick up key"], "probability": 0.95},
    ]
    return {
        "schema": "wean-teacher/1",
        "model": "recorded:doorkey",
        "goal": "Open the door.",
        "rows": [
            {
                "text": "It sees a wall.",
                "plans": [],
                "met": 7,
                "answer": "I cannot help with that.",
                "advised": False,
            },
            {
                "text": "It sees a key.",
                "plans": plans,
                "met": 1234,
                "answer": "Fetch it. {...}",
                "advised": True,
            },
        ],
    }


def episodes() -> dict[str, Any]:
    steps = [
        {
            "frame": picture(40 * index),
            "text": f"Moment {index}",
            "action": "forward",
            "probabilities": {"left": 0.25, "forward": 0.75},
            "reward": float(index == 2),
        }
        for index in range(3)
    ]
    return {
        "schema": "wean-episodes/1",
        "episodes": [
            {"seed": 10000, "success": True, "return": 1.0, "steps": steps},
            {"seed": 10001, "success": False, "return": 0.0, "steps": steps[:2]},
        ],
    }


def write_run(folder: Path, config: dict[str, Any] | None = None, **files: dict[str, Any] | None) -> Path:
    """Write a run folder; `summary=`, `teacher=` and `episodes=` replace a file's content."""
    folder.mkdir(parents=True)
    for name, data in files.items():
        if data is not None:
            (folder / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder
