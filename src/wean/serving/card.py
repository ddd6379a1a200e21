"""What people find in an exported folder: its card, and an example that runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wean.report.hub import card_metadata
from wean.runtime.policy import ReadingPolicy, load
from wean.serving.parity import Parity
from wean.serving.sources import Loss

_ARRAYS = '''"""Acts with the student of this folder, without PyTorch: python example.py"""

from pathlib import Path

import numpy as np
import wean_runtime

HERE = Path(__file__).parent

policy = wean_runtime.load(HERE)
observations = np.load(HERE / "example.npy")  # twenty held-out observations of the task

# One environment: reset where an episode begins, then an action for each observation.
policy.reset(seed=1)
for observation in observations[:5]:
    action = policy.act(observation)
    print(action, policy.actions[action] if policy.actions else "")

# Many side by side: one call for all of them; starts[i] is True where an episode of member i begins.
policy.reset(seed=1, members=len(observations))
print(policy.act(observations))
'''

_WORDS = '''"""Acts with the student of this folder, without PyTorch: python example.py"""

import json
from pathlib import Path

import wean_runtime

HERE = Path(__file__).parent

policy = wean_runtime.load(HERE)
kept = json.loads((HERE / "situations.json").read_text(encoding="utf-8"))  # situations that it met in training
text, choices = kept["moments"][0]
situation = {"text": kept["texts"][text], "choices": [kept["texts"][choice] for choice in choices]}

policy.reset(seed=1)
place = policy.act(situation)  # a place among the choices; a list of situations gives an array of places
print(situation["text"])
print("->", situation["choices"][place])
'''

_READS = '''"""Acts with the student of this folder, without PyTorch: python example.py"""

import json
from pathlib import Path

import wean_runtime

HERE = Path(__file__).parent

policy = wean_runtime.load(HERE)
situation = json.loads((HERE / "example.json").read_text(encoding="utf-8"))  # how a held-out episode begins

policy.reset()  # an episode begins
place = policy.act(situation)  # a place among the choices that are admissible now
print(situation["goal"])
print("sub-goal:", policy.goal or "none")
print("->", situation["choices"][place])

# Then what the task answered, what can be seen and is carried now, and the new choices:
answer = {"observation": "Nothing happens.", "score": 0}
place = policy.act({**situation, **answer})
print("->", situation["choices"][place])
'''


def write_card(folder: Path, config: Mapping[str, Any], parity: Parity, loss: Loss | None) -> None:
    """Writes `README.md` and `example.py`."""
    in_words, reads = config["observation"].get("words") is True, "prompt" in config
    (folder / "example.py").write_text(_READS if reads else _WORDS if in_words else _ARRAYS)
    what = "prompts" if reads else "situations" if in_words else "observations"
    sees = "the task, what can be seen and is carried, and the choices" if reads else "a situation's text and choices"
    sees = sees if in_words else _sees(config["observation"])
    measured = "probabilities of tokens" if reads else "values of actions" if in_words else "probabilities of actions"
    needs = "./runtime[words]" if reads or config.get("encoder") else "./runtime"
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    rows = [
        ("task", config["task"]),
        ("kind of student", config["type"]),
        ("sees", sees),
        ("actions", ", ".join(config["actions"]) or str(config.get("num_actions", "the choices of the situation"))),
        ("acts", config["acting"]),
        ("network", f"ONNX, opset {config['opset']}, {'8-bit weights' if config['int8'] else '32-bit'}, {size:.2f} MB"),
        ("written by", ", ".join(f"{name} {value}" for name, value in config["versions"].items())),
        (f"largest difference in {measured}", f"{parity.difference:.2g}, in {parity.observations:,} held-out {what}"),
        (f"same best {'token' if reads else 'action'} as in PyTorch", f"{100 * parity.agreement:.2f} %"),
    ]
    if reads:
        policy = load(folder)
        assert isinstance(policy, ReadingPolicy)
        rows.append(("memory of an episode", f"up to {policy.episode_bytes / 1e6:,.1f} MB, beside the network"))
    if loss is not None:
        episodes = f"{loss.episodes} held-out episodes"
        rows.append((f"{loss.measure} before and after 8 bits", f"{loss.before:.3f}, {loss.after:.3f} ({episodes})"))
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    metadata = card_metadata(config["task"], ["onnx", "wean-runtime"])
    (folder / "README.md").write_text(
        f"{metadata}# A student for {config['task']}\n\n"
        f"A small policy, trained by [wean](https://pypi.org/project/wean) and "
        f"exported: it acts with numpy and onnxruntime alone.\n\n| | |\n|---|---|\n{table}\n\n"
        f"```\npip install '{needs}'   # in wean's folder\npython example.py\n```\n"
    )


def _sees(observation: Mapping[str, Any]) -> str:
    shape = tuple(observation["shape"])
    return (
        f"{observation['dtype']} {shape}" if shape else f"a number from {observation['low']} to {observation['high']}"
    )
