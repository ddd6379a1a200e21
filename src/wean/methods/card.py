"""The card of a student: its folder's `README.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def student_card(summary: Mapping[str, Any]) -> str:
    """Writes the card out of a run's summary: task, teacher, cost, scores with intervals, how to use it."""
    final, llm = summary["final"], summary["llm"]
    rows = [("this student", final), ("acting the other way", summary["final_other"])]
    rows += [(name, result) for name, result in summary["references"].items()]
    table = "\n".join(
        f"| {name} | {_interval(result['success'])} | {_interval(result['return'])} "
        f"| {_interval(result['length'], 1)} |"
        for name, result in rows
    )
    cost = "unknown" if llm["cost_usd"] is None else f"${llm['cost_usd']:.2f}"
    taught = (
        f"Taught by `{llm['model']}`: {llm['asked']} questions asked live, {llm['replayed']} replayed, "
        f"{llm['distinct']} distinct; {llm['tokens']} tokens, {cost}."
        if llm["model"]
        else "Trained without a teacher."
    )
    return f"""# {summary["task"]}: a student of {summary["method"]}

{taught} It acts without any language model: {final["ms_per_action"]:.3f} ms an action.

{summary["student_parameters"]:,} parameters, {summary["student_bytes"]:,} bytes of weights; trained for
{summary["env_steps"]:,} environment steps with seed {summary["seed"]}; acts {summary["acting"]}.

Held-out episodes ({final["episodes"]}, reset seeds from {final["seed"]}; 95 % intervals):

| policy | success | return | length |
|---|---|---|---|
{table}

```python
from wean.students.acting import Actor

actor = Actor.load("student")
action = actor.act(observation)  # actor.reset() where an episode begins
```
"""


def _interval(value: Mapping[str, float], digits: int = 3) -> str:
    return f"{value['mean']:.{digits}f} ({value['low']:.{digits}f} to {value['high']:.{digits}f})"
