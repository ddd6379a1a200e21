"""Decisions of a language model on file (`wean-decisions/1`): situations, admissible choices, and what it chose.

One row is one decision. `split` is `train` or `held_out`, and the same for all decisions of a session; sessions stand
together, their decisions in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wean.errors import UsageError
from wean.files import read_parquet, writing

SCHEMA = "wean-decisions/1"
TRAIN, HELD_OUT = "train", "held_out"

_COLUMNS = pa.schema(
    [
        ("split", pa.string()),
        ("session", pa.string()),
        ("step", pa.int64()),
        ("kind", pa.string()),
        ("form", pa.string()),
        ("goal", pa.string()),
        ("text", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("weights", pa.list_(pa.float64())),
        ("reward", pa.float64()),
        ("seconds", pa.float64()),
        ("cost_usd", pa.float64()),
        ("tokens", pa.int64()),
    ],
    metadata={"schema": SCHEMA},
)
_MAY_LACK = ("reward", "seconds", "cost_usd", "tokens")


@dataclass(frozen=True)
class Decision:
    """One choice of a language model.

    Attributes:
        session: The conversation, episode or customer that it belongs to.
        step: Its place in the session.
        kind: Digest of what all prompts of its kind have in common.
        form: How the answer was written, see `wean.teachers.logged_answers`.
        goal: The prompt's instructions, the same in all prompts of the kind.
        text: The situation.
        choices: What could be chosen.
        weights: The model's weight of each choice, with sum 1; a single 1 where it named one choice.
        reward: What came of it, where the log says so.
        seconds: The time that the model took, where the log says so.
        cost_usd: Its price in dollars, where the log says so.
        tokens: Tokens read and written, where the log says so.
    """

    session: str
    step: int
    kind: str
    form: str
    goal: str
    text: str
    choices: tuple[str, ...]
    weights: tuple[float, ...]
    reward: float | None = None
    seconds: float | None = None
    cost_usd: float | None = None
    tokens: int | None = None

    @property
    def answer(self) -> int:
        """The place of the choice with the greatest weight."""
        return self.weights.index(max(self.weights))


@dataclass(frozen=True)
class Decisions:
    """The decisions of a file, by the side of the split on which their sessions stand."""

    train: tuple[Decision, ...]
    held_out: tuple[Decision, ...]


def split_sessions(decisions: Sequence[Decision], share: float) -> Decisions:
    """Splits decisions by session: about `share` of the sessions are held out, drawn by the digests of their names."""
    sessions = sorted({one.session for one in decisions}, key=lambda name: hashlib.sha256(name.encode()).digest())
    count = min(len(sessions) - 1, max(1, round(share * len(sessions)))) if share else 0
    kept = set(sessions[: max(0, count)])
    ordered = sorted(decisions, key=lambda one: (one.session, one.step))
    return Decisions(
        tuple(one for one in ordered if one.session not in kept), tuple(one for one in ordered if one.session in kept)
    )


def write_decisions(path: Path, decisions: Decisions) -> None:
    """Writes a file of decisions, whole or not at all.

    Raises:
        WeanError: The file cannot be written.
    """
    rows = [{"split": TRAIN, **asdict(one)} for one in decisions.train]
    rows += [{"split": HELD_OUT, **asdict(one)} for one in decisions.held_out]
    table = pa.Table.from_pylist(rows, _COLUMNS)
    with writing(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")


def read_decisions(path: Path) -> Decisions:
    """Reads and checks a file of decisions; additional columns are ignored.

    Raises:
        UsageError: There is no such file, or its content is wrong.
        WeanError: It is damaged.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}; `wean logs IMPORT --out {path}` writes one")
    table = read_parquet(path, SCHEMA, "import the logs again", _COLUMNS.names)
    if missing := [name for name in _COLUMNS.names if name not in table.column_names and name not in _MAY_LACK]:
        raise UsageError(f"{path} lacks the column {missing[0]}; import the logs again")
    sides: dict[str, list[Decision]] = {TRAIN: [], HELD_OUT: []}
    for number, row in enumerate(table.to_pylist(), 1):
        side = sides.get(row.pop("split"))
        try:
            row["choices"], row["weights"] = tuple(row["choices"]), tuple(row["weights"])
            decision = Decision(**row)
            sound = side is not None and _is_sound(decision)
        except TypeError:
            sound = False
        if side is None or not sound:
            raise UsageError(f"{path}: row {number} is no decision between choices; import the logs again")
        side.append(decision)
    return Decisions(tuple(sides[TRAIN]), tuple(sides[HELD_OUT]))


def _is_sound(decision: Decision) -> bool:
    words = (decision.session, decision.kind, decision.form, decision.goal, decision.text, *decision.choices)
    weights = decision.weights
    return (
        all(isinstance(word, str) for word in words)
        and len(decision.choices) == len(weights) >= 2
        and all(weight is not None and weight >= 0 for weight in weights)
        and abs(sum(weights) - 1) < 1e-3
    )
