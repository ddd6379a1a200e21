"""What was found in an agent's logs: numbers for a page and for `wean logs --json` (`wean-logs/1`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wean
from wean.data.decisions import Decision, Decisions
from wean.report.pages import write_page
from wean.report.run_files import duration, percent, price

SCHEMA = "wean-logs/1"
_MOST_ROWS = 12  # of a table on the page


def describe_logs(decisions: Decisions, passed_over: Mapping[str, int], without_session: int) -> dict[str, Any]:
    """What the decisions of some logs are, as JSON values.

    `contradicted` is the share of the situations met more than once that got different answers; `majority` is the share
    of all decisions that agree with the most frequent answer to their situation: no student can agree more often.

    Args:
        decisions: Split by session.
        passed_over: What was not used, by reason.
        without_session: Decisions that name no session.
    """
    every = [*decisions.train, *decisions.held_out]
    by_kind: dict[str, list[Decision]] = defaultdict(list)
    for one in every:
        by_kind[one.kind].append(one)
    known = {(one.kind, one.text, one.choices) for one in decisions.train}
    seconds, dollars = ([value for one in every if (value := getattr(one, name)) is not None] for name in _COSTS)
    return {
        "schema": SCHEMA,
        "decisions": len(every),
        "sessions": len({one.session for one in every}),
        "held_out_decisions": len(decisions.held_out),
        "held_out_sessions": len({one.session for one in decisions.held_out}),
        "held_out_known": _share((one.kind, one.text, one.choices) in known for one in decisions.held_out),
        "without_session": without_session,
        "rewarded": sum(one.reward is not None for one in every),
        "cost_usd": sum(dollars) if dollars else None,
        "priced": len(dollars),
        "seconds": sum(seconds) if seconds else None,
        "timed": len(seconds),
        "passed_over": dict(passed_over),
        **_agreement(every),
        "kinds": [_kind(kind, of_kind) for kind, of_kind in sorted(by_kind.items(), key=lambda one: -len(one[1]))],
    }


_COSTS = ("seconds", "cost_usd")


def _kind(kind: str, decisions: Sequence[Decision]) -> dict[str, Any]:
    chosen = Counter(one.choices[one.answer] for one in decisions)
    return {
        "kind": kind,
        "goal": decisions[0].goal[:200],
        "form": Counter(one.form for one in decisions).most_common(1)[0][0],
        "decisions": len(decisions),
        "choices": len({choice for one in decisions for choice in one.choices}),
        "chosen": dict(chosen.most_common(_MOST_ROWS)),
        **_agreement(decisions),
    }


def _agreement(decisions: Sequence[Decision]) -> dict[str, Any]:
    answers = _answers(decisions)
    again = [found for found in answers.values() if found.total() > 1]
    return {
        "situations": len(answers),
        "contradicted": _share(len(found) > 1 for found in again),
        "majority": sum(max(found.values()) for found in answers.values()) / len(decisions),
    }


def _answers(decisions: Sequence[Decision]) -> dict[tuple[str, str, tuple[str, ...]], Counter[str]]:
    """How often each choice was the answer, by situation."""
    answers: dict[tuple[str, str, tuple[str, ...]], Counter[str]] = defaultdict(Counter)
    for one in decisions:
        answers[one.kind, one.text, one.choices][one.choices[one.answer]] += 1
    return answers


def _share(found: Any) -> float | None:
    values = list(found)
    return sum(values) / len(values) if values else None


def write_logs_page(path: Path, found: Mapping[str, Any], decisions: Decisions) -> Path:
    """Writes the page that shows what was found in logs, and returns its path.

    Raises:
        WeanError: It cannot be written.
    """
    answers = _answers([*decisions.train, *decisions.held_out])
    disputed = sorted(
        ((key, chosen) for key, chosen in answers.items() if len(chosen) > 1),
        key=lambda one: (-(one[1].total() - max(one[1].values())), one[0][1]),
    )
    again = "no situation was met twice" if found["contradicted"] is None else percent(found["contradicted"])
    known = found["held_out_known"]
    page = {
        "version": wean.__version__,
        "decisions": f"{found['decisions']:,}",
        "sessions": f"{found['sessions']:,}",
        "facts": [
            ("Situations", f"{found['situations']:,}", "distinct, with their choices"),
            ("Answered differently", again, "of the situations that were met more than once"),
            ("A majority's answer", percent(found["majority"]), "of the decisions: no student can agree more often"),
            ("Price", price(found["cost_usd"]), _of(found["priced"], found["decisions"])),
            ("Time", _duration(found["seconds"]), _of(found["timed"], found["decisions"])),
            ("Held out", f"{found['held_out_decisions']:,}", f"decisions of {found['held_out_sessions']:,} sessions"),
            ("Known situations", "–" if known is None else percent(known), "of the held-out decisions"),
            ("With a reward", f"{found['rewarded']:,}", "decisions of which the log says what came of them"),
        ],
        "without_session": found["without_session"],
        "passed_over": sorted(found["passed_over"].items(), key=lambda one: -one[1]),
        "kinds": [_shown_kind(kind) for kind in found["kinds"][:_MOST_ROWS]],
        "more_kinds": max(0, len(found["kinds"]) - _MOST_ROWS),
        "disputed": [
            {"text": key[1], "chosen": [(name, f"{count:,}") for name, count in chosen.most_common()]}
            for key, chosen in disputed[:_MOST_ROWS]
        ],
        "more_disputed": max(0, len(disputed) - _MOST_ROWS),
    }
    return write_page(path, "logs", page)


def _shown_kind(kind: Mapping[str, Any]) -> dict[str, Any]:
    most = max(kind["chosen"].values())
    return {
        **kind,
        "agreement": percent(kind["majority"]),
        "bars": [(name, f"{count:,}", count / most) for name, count in kind["chosen"].items()],
    }


def _of(told: int, total: int) -> str:
    return "the log says none" if not told else f"of {told:,} of {total:,} decisions that say it"


def _duration(seconds: float | None) -> str:
    return "unknown" if seconds is None else duration(seconds)
