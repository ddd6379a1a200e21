"""Reads the files of a run folder, and formats their numbers for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from wean.errors import UsageError, WeanError, shown
from wean.evaluation.statistics import Interval
from wean.files import read_json as any_json
from wean.files import read_yaml

RUN_SCHEMA = "wean-run/2"
"""Schema of `summary.json`."""
OLD_SCHEMAS = ("wean-run/1", "wean-distillation/1")
"""Earlier schemas that `read_summary` upgrades."""
UNITS = {
    "env_steps": "environment steps",
    "gradient_steps": "gradient steps",
    "tokens": "tokens",
    "episodes": "episodes",
}
"""Names of what a run counts its progress in."""
_OFFLINE = ("cql", "offline-bc")  # their gradient steps were called env_steps in `wean-run/1`
_WORDS = {
    "updates": "gradient_steps",
    "unlooped": "no_repeat",
    "final_unlooped": "final_no_repeat",
    "student (unlooped)": "student (no_repeat)",
}


# --- what the files hold, as far as it is read; everything else in them is left alone ---------------------------


def _of_reason(number: float) -> float:
    if abs(number) >= 2**63:
        raise ValueError("a number beyond 64 bits")
    return number


_Number = Annotated[float, AfterValidator(_of_reason)] | None
_Count = Annotated[int, Field(ge=0, lt=2**63)] | None


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Mean(_Shape):
    mean: _Number = None
    low: _Number = None
    high: _Number = None


class _Asked(_Shape):
    model: str | None = None
    asked: _Count = None
    replayed: _Count = None
    distinct: _Count = None
    unanswered: _Count = None
    tokens: _Count = None
    cost_usd: _Number = None


class _Asking(_Shape):
    questions: _Mean | None = None
    tokens: _Mean | None = None


class _Result(_Shape):
    policy: str | None = None
    episodes: _Count = None
    seed: _Count = None
    success: _Mean | None = None
    returns: _Mean | None = Field(None, alias="return")
    length: _Mean | None = None
    ms_per_action: _Number = None
    actions_per_second: _Number = None
    llm: _Asked | None = None
    asking: _Asking | None = None


class _Point(_Shape):
    env_steps: _Count = None
    gradient_steps: _Count = None
    tokens: _Count = None
    episodes: _Count = None
    wall_seconds: _Number = None
    success: _Number = None
    returns: _Number = Field(None, alias="return")
    length: _Number = None
    exact: _Number = None
    loss: _Number = None
    teacher_weight: _Number = None


class _Advice(_Shape):
    moments: _Count = None
    advised: _Count = None
    questions: _Count = None
    not_asked: _Count = None


class Summary(_Shape):
    """The shape of `summary.json` (`wean-run/2`)."""

    method: str
    task: str
    unit: Literal["env_steps", "gradient_steps", "tokens", "episodes"]
    seed: int | None = Field(None, ge=0, lt=2**63)
    command: str | None = None
    acting: str | None = None
    env_steps: _Count = None
    gradient_steps: _Count = None
    tokens: _Count = None
    wall_seconds: _Number = None
    seconds: _Number = None
    steps_per_second: _Number = None
    tokens_per_second: _Number = None
    student_parameters: _Count = None
    student_bytes: _Count = None
    demonstrations: _Count = None
    decisions: _Count = None
    dev_demonstrations: _Count = None
    unadvised: _Count = None
    curve: list[_Point] | None = None
    final: _Result | None = None
    final_other: _Result | None = None
    final_no_repeat: _Result | None = None
    references: dict[str, _Result | None] | None = None
    best: _Point | None = None
    llm: _Asked | None = None
    advice: _Advice | None = None
    time: dict[str, _Number] | None = None

    @model_validator(mode="after")
    def _counts_its_unit(self) -> Summary:
        if self.model_dump().get(self.unit) is None:
            raise ValueError(f"{self.unit} is missing")
        return self


class _Plan(_Shape):
    skills: list[str] | None = None
    probability: _Number = None


class _Row(_Shape):
    text: str = ""
    plans: list[_Plan] | None = None
    met: _Count = None
    answer: str | None = None
    advised: bool | None = None


class TeacherTable(_Shape):
    """The shape of `teacher.json` (`wean-teacher/1`)."""

    goal: str | None = None
    rows: list[_Row] | None = None


class _Step(_Shape):
    frame: str | None = None
    text: str | None = None
    action: str | int | None = None
    probabilities: dict[str, _Number] | None = None
    reward: _Number = None


class _Episode(_Shape):
    seed: int | str | None = None
    success: bool | float | None = None
    steps: list[_Step] | None = None


class RecordedEpisodes(_Shape):
    """The shape of `episodes.json` (`wean-episodes/1`)."""

    episodes: list[_Episode] | None = None


def check_shape(data: Mapping[str, Any], shape: type[BaseModel], path: Path) -> None:
    """Checks that a file holds what is read of it.

    Raises:
        WeanError: Something in it has another type, is missing or is beyond reason; the line names it.
    """
    try:
        shape.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        told = f"{where}: {said}, not {shown(first['input'], 40)}" if where else said
        raise WeanError(f"{path} is damaged ({told}); train the run again") from None


# --- reading ------------------------------------------------------------------------------------------------------


def read_summary(folder: Path) -> dict[str, Any]:
    """The `summary.json` of a finished run, upgraded if an earlier version wrote it.

    Raises:
        UsageError: There is no such folder, or it is no run.
        WeanError: The run is not finished, or the file is damaged or of a foreign schema.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no run folder {folder}; name one that `wean train ... --out` wrote")
    found = read_json(folder / "summary.json", RUN_SCHEMA, *OLD_SCHEMAS)
    if found is not None:
        summary = upgrade(found)
        check_shape(summary, Summary, folder / "summary.json")
        return summary
    if (folder / "config.yaml").exists():
        raise WeanError(f"the run in {folder} is not finished; continue it with `wean train ... --resume`")
    raise UsageError(f"{folder} is not a run folder (no summary.json); name one that `wean train` wrote")


def upgrade(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary of an earlier version in the words of `wean-run/2`, and one of this version as it is.

    What was called `env_steps` throughout has the name of its unit; the way of acting `unlooped` is `no_repeat`. Tables
    of several runs are upgraded in the same way, row by row.
    """
    found: dict[str, Any] = _upgrade(summary, "env_steps")
    return found


def _upgrade(data: Any, unit: str) -> Any:
    """JSON in which progress, called `env_steps` until now, has the name of its unit."""
    if isinstance(data, list):
        return [_upgrade(item, unit) for item in data]
    if isinstance(data, str):
        return _WORDS.get(data, data)
    if not isinstance(data, Mapping) or data.get("schema") == RUN_SCHEMA:
        return data
    if data.get("schema") == "wean-distillation/1" or str(data.get("method")).startswith(_OFFLINE):
        unit = "gradient_steps"
    words = _WORDS | {"env_steps": unit}
    found = {words.get(key, key): _upgrade(value, unit) for key, value in data.items()}
    return found | {"schema": RUN_SCHEMA, "unit": unit} if data.get("schema") in OLD_SCHEMAS else found


def read_json(path: Path, schema: str, *older: str) -> dict[str, Any] | None:
    """One JSON object with a `schema` field, `schema` or one of the older ones; None if the file does not exist.

    Raises:
        WeanError: The file cannot be read, is no JSON object, or has another schema.
    """
    try:
        data = any_json(path, "train the run again")
    except FileNotFoundError:
        return None
    found = data.get("schema") if isinstance(data, Mapping) else None
    if found not in (schema, *older):
        raise WeanError(
            f"{path} has schema {shown(found)}, this version of wean reads {schema!r}; "
            "use the version that wrote it, or train the run again"
        )
    return dict(data)


def read_settings(folder: Path) -> dict[str, str]:
    """The resolved `config.yaml` of a run: flat names (`student.hidden`), values as text; empty if there is none.

    Raises:
        WeanError: The file is no YAML mapping.
    """
    path = folder / "config.yaml"
    try:
        data = read_yaml(path, "train the run again")
    except FileNotFoundError:
        return {}
    if not isinstance(data, Mapping):
        raise WeanError(f"{path} holds no settings; train the run again")
    return dict(_flat(data, ""))


def _flat(data: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def as_interval(value: object) -> Interval | None:
    """The three keys of a result as an interval, or None where it is missing or not a number."""
    if not isinstance(value, Mapping):
        return None
    ends = [value.get(name) for name in ("mean", "low", "high")]
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
        return None
    return Interval(*(float(end) for end in ends if end is not None))


def measure_of(result: Mapping[str, Any]) -> str:
    """What a result (`wean-eval/2`) is judged by: `success` where it is known, else `return`."""
    return "return" if as_interval(result.get("success")) is None else "success"


def warnings(summary: Mapping[str, Any]) -> list[str]:
    """What a reader should know before trusting the success of a run: references that leave nothing to be shown."""
    told = {
        "random-skills": "Random skills succeed in every episode: success tells nothing about the student here.",
        "teacher": "The teacher succeeds in every episode: the student can be as good, but not better.",
    }
    references = summary.get("references") or {}
    found = {name: as_interval((references.get(name) or {}).get("success")) for name in told}
    return [told[name] for name, success in found.items() if success is not None and success.mean == 1]


def short_count(value: float) -> str:
    """A count for an axis: 0, 500, 20k, 1.5M."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def rate(value: float) -> str:
    """A rate of success as it is written everywhere, a fraction with three digits: 0.982."""
    return f"{value:.3f}"


def span(interval: Interval, digits: int = 3) -> str:
    """The ends of an interval: 0.969 to 0.993."""
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def percent(value: float, digits: int = 1) -> str:
    """A share of time or probability in per cent with a narrow space that does not break: 98.2 %."""
    return f"{100 * value:.{digits}f}\u202f%"


def duration(seconds: float) -> str:
    """Seconds for people: 8.2 s, 42 s, 3 min 12 s, 1 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def count(value: object) -> str:
    """A count with commas, the sum of a mapping of counts, or "unknown" for what nobody counted."""
    if isinstance(value, Mapping):
        value = sum(part for part in value.values() if isinstance(part, int))
    return f"{value:,}" if isinstance(value, int | float) else "unknown"


def price(dollars: float | None) -> str:
    """US dollars to the cent, below a cent to a hundredth of one; "unknown" where no price is known."""
    if dollars is None:
        return "unknown"
    return f"${dollars:,.2f}" if dollars == 0 or dollars >= 0.01 else f"${dollars:.4f}"
