"""What a ledger holds and what it cost, told apart by model."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wean.llm.database import FORMAT
from wean.llm.ledger import Ledger
from wean.llm.records import SCHEMA


@dataclass
class ModelStats:
    """The answers of one model and kind of call.

    Attributes:
        model: Its identity.
        kind: "generate" or "score".
        questions: Distinct questions.
        answers: Answers, all samples counted.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        estimated: Answers whose tokens were estimated.
        seconds: Time that the model took.
        known_cost_usd: Dollars of the answers whose price is known.
        unpriced: Answers whose price is unknown.
        first: When the first was recorded (ISO 8601).
        last: When the last was.
        served: Names under which servers gave them; more than one hints at a model that moved.
    """

    model: str
    kind: str
    questions: int
    answers: int
    prompt_tokens: int
    completion_tokens: int
    estimated: int
    seconds: float
    known_cost_usd: float
    unpriced: int
    first: str
    last: str
    served: list[str] = field(default_factory=list)

    @property
    def cost_usd(self) -> float | None:
        """Dollars of all answers; None as soon as one price is unknown."""
        return None if self.unpriced else self.known_cost_usd


@dataclass
class LedgerStats:
    """A whole ledger.

    Attributes:
        path: Its file.
        bytes: Size on disk, with the log that is not yet merged.
        models: One entry for each model and kind.
        unanswered: Questions that nobody could answer.
        being_asked: Questions that somebody is asking right now.
    """

    path: str
    bytes: int
    models: list[ModelStats]
    unanswered: int
    being_asked: int

    def as_json(self) -> dict[str, Any]:
        """One object with `schema`, the totals and the models."""
        unpriced = sum(model.unpriced for model in self.models)
        known = sum(model.known_cost_usd for model in self.models)
        return {
            "schema": SCHEMA,
            "path": self.path,
            "format": FORMAT,
            "bytes": self.bytes,
            "questions": sum(model.questions for model in self.models),
            "answers": sum(model.answers for model in self.models),
            "prompt_tokens": sum(model.prompt_tokens for model in self.models),
            "completion_tokens": sum(model.completion_tokens for model in self.models),
            "seconds": sum(model.seconds for model in self.models),
            "cost_usd": None if unpriced else known,
            "known_cost_usd": known,
            "unpriced": unpriced,
            "unanswered": self.unanswered,
            "being_asked": self.being_asked,
            "models": [asdict(model) | {"cost_usd": model.cost_usd} for model in self.models],
        }


def ledger_stats(ledger: Ledger) -> LedgerStats:
    """Sums a ledger up; it may be in use."""
    with ledger.database.read() as connection:
        rows = connection.execute(
            "SELECT q.model, q.kind, count(DISTINCT a.digest), count(*), sum(a.prompt_tokens), "
            "sum(a.completion_tokens), sum(a.tokens_estimated), sum(a.seconds), total(a.cost_usd), "
            "sum(a.cost_usd IS NULL), min(a.recorded), max(a.recorded) "
            "FROM answers a JOIN questions q ON q.digest = a.digest GROUP BY q.model, q.kind ORDER BY "
            "q.model, q.kind"
        ).fetchall()
        served = connection.execute(
            "SELECT DISTINCT q.model, q.kind, json_extract(a.provenance, '$.served') "
            "FROM answers a JOIN questions q ON q.digest = a.digest"
        ).fetchall()
        unanswered = connection.execute("SELECT count(*) FROM unanswered").fetchone()[0]
        claims = connection.execute("SELECT count(*) FROM claims WHERE expires > ?", (time.time(),)).fetchone()[0]
    models = []
    for row in rows:
        names = sorted(name for model, kind, name in served if (model, kind) == row[:2] and name)
        first, last = _date(row[10]), _date(row[11])
        models.append(ModelStats(*(*row[:10], first, last, names)))
    return LedgerStats(ledger.path, _size(ledger.path), models, unanswered, claims)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _size(path: str) -> int:
    files = (Path(path), Path(f"{path}-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())
