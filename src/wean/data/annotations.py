"""Sub-goals, `navigate_to(kitchen)`, and annotations of demonstrations with them, as JSONL (`wean-annotation/1`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from wean.data.trajectories import Key, Trajectory
from wean.errors import UsageError, WeanError, shown
from wean.files import is_integer, is_number, read_lines, replacing

SCHEMA = "wean-annotation/1"

Origin = Literal["asked", "propagated", "corrected", "played"]

_MOST_ACTIONS = 100_000  # of a sub-goal

_FORM = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*(?:[ _-]+[A-Za-z0-9]+)*)\s*\(([^()]*)\)\s*")


class SubGoal(NamedTuple):
    """What a few consecutive actions achieve together.

    Attributes:
        verb: One word, or words with underscores between them, in lower case.
        arguments: Names of things and places, in lower case; there may be none.
    """

    verb: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.verb}({', '.join(self.arguments)})"


class Chunk(NamedTuple):
    """A sub-goal with its share of a demonstration.

    Attributes:
        subgoal: What is achieved.
        actions: How many consecutive actions achieve it, at least 1.
    """

    subgoal: SubGoal
    actions: int


def parse_subgoal(text: str) -> SubGoal:
    """Reads one `verb(argument, argument)`; also accepts forms like "Navigate to (Kitchen)".

    Raises:
        UsageError: It has another form, or an argument is empty.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{shown(text.strip())} is no sub-goal; write verb(argument, argument)")
    verb = re.sub(r"[ _-]+", "_", match[1]).lower()
    inner = " ".join(match[2].split()).lower()
    arguments = tuple(argument.strip().strip("'\"") for argument in inner.split(",")) if inner else ()
    if not all(arguments):
        raise UsageError(f"{shown(text.strip())} has an empty argument; write verb(argument, argument)")
    return SubGoal(verb, arguments)


def subgoal_of(text: str) -> SubGoal:
    """A sub-goal in the words of actions as `verb(argument)`: "pick up metal pot" is `pick(up metal pot)`.

    Rendered (`render_subgoal`) it is the same words again.
    """
    verb, _, rest = " ".join(re.sub(r"[(),]", " ", text.lower()).split()).partition(" ")
    if not re.fullmatch(r"[a-z][a-z0-9]*", verb):
        verb, rest = "do", f"{verb} {rest}".strip()
    return SubGoal(verb, (rest,) if rest else ())


@dataclass(frozen=True)
class Annotation:
    """The sub-goals of one demonstration.

    Attributes:
        task: Name of the task.
        variation: Which of its variations.
        chunks: The sub-goals in their order, each with its number of actions.
        origin: `asked` of a model, `propagated` from like demonstrations, `corrected` by a person, or `played`: named
            by the student whose own play it is.
        model: Who was asked; of a propagated annotation, who annotated what it was learnt from.
        recorded: Day, ISO 8601.
        confidence: Estimated probability that a propagated annotation is what the model would have said; None for
            others.
        digest: Of the actions that were annotated (`Trajectory.digest`); empty where the file does not say.
    """

    task: str
    variation: int
    chunks: tuple[Chunk, ...]
    origin: Origin = "asked"
    model: str = ""
    recorded: str = ""
    confidence: float | None = None
    digest: str = ""

    @property
    def key(self) -> Key:
        """Task and variation of the demonstration."""
        return self.task, self.variation

    @property
    def ends(self) -> tuple[int, ...]:
        """After how many actions each sub-goal ends; the last is the number of actions."""
        return tuple(accumulate(chunk.actions for chunk in self.chunks))

    @cached_property
    def chunk_of(self) -> tuple[int, ...]:
        """For each action which of the sub-goals (from 0) it belongs to."""
        return tuple(index for index, chunk in enumerate(self.chunks) for _ in range(chunk.actions))


AnnotatedTrajectory = tuple[Trajectory, Annotation]


class Annotations(NamedTuple):
    """The annotations of a file.

    Attributes:
        found: The usable annotations in their order; of several of one demonstration, the last.
        problems: One line for each that cannot be used.
        cut: Whether the file ends in the middle of a line.
    """

    found: list[Annotation]
    problems: list[str]
    cut: bool


def read_annotations(path: Path) -> Annotations:
    """Reads annotations; lines that hold none become problems and are left out.

    Raises:
        WeanError: The file cannot be read.
        UsageError: A line is no JSON object.
    """
    lines = read_lines(path)
    found: dict[Key, Annotation] = {}
    problems = [f"{path}: the last line is half-written and left out"] if lines.cut else []
    for number, row in lines.rows:
        try:
            annotation = parse_annotation(row)
        except UsageError as error:
            problems.append(f"{path}:{number}: {error}; left out")
            continue
        found.pop(annotation.key, None)
        found[annotation.key] = annotation
    return Annotations(list(found.values()), problems, lines.cut)


def match_annotations(
    annotations: Iterable[Annotation], trajectories: Iterable[Trajectory]
) -> tuple[dict[Key, Annotation], list[str]]:
    """The annotations that fit their demonstrations, and one line for each that does not; others are skipped."""
    paths = {trajectory.key: trajectory for trajectory in trajectories}
    fitting: dict[Key, Annotation] = {}
    problems = []
    for annotation in annotations:
        trajectory = paths.get(annotation.key)
        if trajectory is None:
            continue
        try:
            check_fits(annotation, trajectory)
        except UsageError as error:
            problems.append(str(error))
        else:
            fitting[annotation.key] = annotation
    return fitting, problems


def check_fits(annotation: Annotation, trajectory: Trajectory) -> None:
    """Checks that an annotation belongs to exactly these actions.

    Raises:
        UsageError: It does not.
    """
    name = f"{annotation.task} {annotation.variation}"
    counted, there = annotation.ends[-1], len(trajectory.actions)
    if counted != there:
        raise UsageError(
            f"{name}: the sub-goals have {counted} actions, the path has {there}; "
            "annotate it again, or bring the path that was annotated"
        )
    if annotation.digest and annotation.digest != trajectory.digest:
        raise UsageError(
            f"{name}: the annotation is of another path with as many actions; "
            "annotate it again, or bring the path that was annotated"
        )


def parse_annotation(row: Mapping[str, Any]) -> Annotation:
    """The annotation in a line of JSON.

    Raises:
        UsageError: Something is missing, has the wrong type or another form.
    """
    task, variation, listed = row.get("task"), row.get("variation"), row.get("subgoals")
    if not isinstance(task, str) or not task or not is_integer(variation):
        raise UsageError('an annotation needs "task", a text, and "variation", a whole number')
    if row.get("schema", SCHEMA) != SCHEMA:
        raise UsageError(f'"schema" is {shown(row["schema"])}, this version of wean reads {SCHEMA!r}')
    if not isinstance(listed, list) or not listed:
        raise UsageError(f'{task} {variation}: "subgoals" must be a list of [sub-goal, number of actions]')
    origin, confidence = row.get("origin", "asked"), row.get("confidence")
    if origin not in get_args(Origin):
        raise UsageError(f'{task} {variation}: "origin" is one of {", ".join(get_args(Origin))}, not {shown(origin)}')
    if confidence is not None and not (is_number(confidence) and 0 <= confidence <= 1):
        raise UsageError(f'{task} {variation}: "confidence" is a number from 0 to 1, not {shown(confidence)}')
    texts = [row.get(name) or "" for name in ("model", "recorded", "digest")]
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f'{task} {variation}: "model", "recorded" and "digest" must be texts')
    model, recorded, digest = texts
    try:
        chunks = tuple(map(_chunk, listed))
    except UsageError as error:
        raise UsageError(f"{task} {variation}: {error}") from None
    return Annotation(task, variation, chunks, cast(Origin, origin), model, recorded, confidence, digest)


def annotation_row(annotation: Annotation) -> dict[str, Any]:
    """The line of an annotation."""
    return {
        "schema": SCHEMA,
        "task": annotation.task,
        "variation": annotation.variation,
        "model": annotation.model,
        "recorded": annotation.recorded,
        "origin": annotation.origin,
        "confidence": None if annotation.confidence is None else round(annotation.confidence, 4),
        "digest": annotation.digest,
        "subgoals": [[str(subgoal), actions] for subgoal, actions in annotation.chunks],
    }


class AnnotationWriter:
    """Appends annotations to a file, one by one, so that a stopped run keeps what it has.

    A half-written last line of an existing file is cut off.

    Raises:
        WeanError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                with path.open("rb+") as file:
                    _drop_half_line(file)
        except OSError as error:
            raise WeanError(f"{path}: cannot be written ({error.strerror}); name another file") from None

    def write(self, annotations: Iterable[Annotation]) -> None:
        """Adds annotations; a later one replaces an earlier one of the same demonstration when they are read.

        Raises:
            WeanError: The file cannot be written.
        """
        if not (text := "".join(map(_line, annotations))):
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise WeanError(
                f"{self._path}: cannot be written ({error.strerror}); free space and run again, what is there is kept"
            ) from None

    def replace(self, annotations: Iterable[Annotation]) -> None:
        """Replaces everything in the file at once.

        Raises:
            WeanError: The file cannot be written.
        """
        text = "".join(map(_line, annotations))
        if not text and not self._path.exists():
            return
        try:
            with replacing(self._path) as draft:
                draft.write_text(text, encoding="utf-8")
        except OSError as error:
            raise WeanError(
                f"{self._path}: cannot be written ({error.strerror}); free space and run again, what was there is kept"
            ) from None


def _line(annotation: Annotation) -> str:
    return json.dumps(annotation_row(annotation)) + "\n"


def _drop_half_line(file: Any) -> None:
    file.seek(0)
    whole = file.read().rfind(b"\n") + 1
    file.truncate(whole)


def _chunk(item: Any) -> Chunk:
    if not isinstance(item, list | tuple) or len(item) != 2 or not isinstance(item[0], str):
        raise UsageError(f"{shown(item)} is not [sub-goal, number of actions]")
    text, actions = item
    if not is_integer(actions) or not 1 <= actions <= _MOST_ACTIONS:
        raise UsageError(f"{text[:80]} has {shown(actions)} actions; a sub-goal has 1 to {_MOST_ACTIONS:,}")
    return Chunk(parse_subgoal(text), actions)
