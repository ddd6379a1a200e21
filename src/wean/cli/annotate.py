"""`wean annotate` and `wean export-sft`: sub-goals on demonstrations, and both as examples for other trainers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wean.cli.players import Asking, ExecutorOption, MaxDollars, MaxTokens, ModelOptions, asking
from wean.cli.progress import showing

if TYPE_CHECKING:
    from rich.console import Console

    from wean.annotation.annotator import Annotates
    from wean.annotation.pipeline import Result
    from wean.data.annotations import Annotation
    from wean.data.trajectories import Key, Trajectory


SCHEMA = "wean-annotate/1"


def annotate(
    data: Annotated[str, typer.Argument(help="Demonstrations: a JSONL (.gz too) or Parquet file, or `scienceworld`.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The annotations; what is in the file stays. DATA.subgoals.jsonl by default."),
    ] = None,
    model: Annotated[str, typer.Option(help="Who is asked, e.g. openai:gpt-5.")] = "recorded:scienceworld",
    option: ModelOptions = None,
    per_task: Annotated[
        int, typer.Option(min=1, max=10**9, help="Demonstrations of each task that are asked about first.")
    ] = 3,
    confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Propagated sub-goals that are less certain are asked about.")
    ] = 0.7,
    budget: Annotated[
        int | None, typer.Option(min=0, max=10**9, help="Most questions of this call; 0 only propagates.")
    ] = None,
    max_tokens: MaxTokens = None,
    max_dollars: MaxDollars = None,
    ask_all: Annotated[bool, typer.Option("--ask-all", help="Ask about every demonstration.")] = False,
    examples: Annotated[
        str | None, typer.Option(help="Annotated demonstrations that teach beside these: scienceworld.")
    ] = None,
    corrections: Annotated[
        Path | None, typer.Option(help="Corrections saved by the page; they count as right, and teach.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="The page to look and correct; beside OUT by default.")] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=1_024, help="Processes that propagate; the result does not depend on it.")
    ] = 1,
    executor: ExecutorOption = "processes",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-annotate/1).")] = False,
) -> None:
    """Write sub-goals on demonstrations: ask about a few, propagate, ask about what is unclear."""
    import json

    from rich.console import Console

    from wean.annotation.pipeline import Pipeline, Plan
    from wean.data.annotations import AnnotationWriter
    from wean.data.shipped import shipped
    from wean.data.trajectories import check_versions
    from wean.errors import UsageError
    from wean.processes import check_kind, file_locked
    from wean.report.pages import write_annotation_page

    console, kind = Console(stderr=True), check_kind(executor)
    trajectories = _trajectories(data, console)
    teaching = shipped(examples).examples if examples is not None else []
    check_versions(trajectories, [trajectory for trajectory, _ in teaching])
    name = Path(data).name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".parquet")
    file = out or Path(f"{name}.subgoals.jsonl")
    if file.is_dir():
        raise UsageError(f"{file} is a folder; name a file in it with --out")
    asked = asking(model, option, budget=(None, max_tokens, max_dollars))
    annotator = _annotator(asked)
    plan = Plan(len(trajectories), 0.0, budget) if ask_all else Plan(per_task, confidence, budget)
    with file_locked(file), showing() as progress:
        known = _known(file, corrections, trajectories, console)
        writer = AnnotationWriter(file)
        writer.write(annotation for annotation in known.values() if annotation.origin == "corrected")
        result = Pipeline(annotator, plan, writer, teaching, progress.show, workers, kind).run(trajectories, known)
    if not result.annotations and result.stats.unanswered:
        raise UsageError(
            "nobody could say the sub-goals of any of these demonstrations: "
            f"{asked.model} has none of them; name another --model"
        )
    html = page or file.with_name(f"{file.name.removesuffix('.jsonl')}.html")
    write_annotation_page(html, trajectories, result.annotations, confidence)
    _tell(console, result.problems)
    if as_json:
        typer.echo(json.dumps(_summary(result, trajectories, file, html)))
    else:
        _print_summary(Console(), result, trajectories, file, html)


def _trajectories(data: str, console: Console) -> list[Trajectory]:
    from wean.data.shipped import is_shipped, shipped
    from wean.data.trajectories import read_trajectories

    if is_shipped(data):
        return shipped(data).trajectories
    found, problems = read_trajectories(Path(data))
    _tell(console, problems)
    return found


def _known(
    file: Path, corrections: Path | None, trajectories: list[Trajectory], console: Console
) -> dict[Key, Annotation]:
    """The annotations so far, and the corrections of them."""
    from wean.data.annotations import match_annotations, read_annotations
    from wean.errors import UsageError

    known: dict[Key, Annotation] = {}
    for path in (file, corrections):
        if path is None or (path is file and not path.exists()):
            continue
        read = read_annotations(path)
        fitting, problems = match_annotations(read.found, trajectories)
        _tell(console, [*read.problems, *problems])
        if path is corrections and not fitting:
            raise UsageError(f"{path} corrects none of these demonstrations; give the file that their page saved")
        known |= fitting
    return {key: annotation for key, annotation in known.items() if annotation.origin != "propagated"}


def _annotator(asked: Asking) -> Annotates:
    """The language model that annotates; for `recorded:`, annotations that are looked up by demonstration."""
    from wean.annotation.annotator import Annotator, RecordedAnnotator
    from wean.data.shipped import RECORDED, shipped
    from wean.errors import UsageError

    name = asked.model or ""
    kind, _, rest = name.partition(":")
    if kind == "recorded" and rest in RECORDED:
        if asked.options:
            raise UsageError(f"{name} takes no option {', '.join(asked.options)}; it takes none")
        demonstrations = shipped(rest)
        return RecordedAnnotator(name, demonstrations.annotations, demonstrations.trajectories)
    return Annotator(asked.open(name))


def _tell(console: Console, problems: list[str]) -> None:
    for problem in problems:
        console.print(f"note: {problem}", style="yellow", highlight=False, soft_wrap=True)


def _summary(result: Result, trajectories: list[Trajectory], file: Path, page: Path) -> dict[str, Any]:
    stats = result.stats
    origins = [annotation.origin for annotation in result.annotations.values()]
    return {
        "schema": SCHEMA,
        "demonstrations": len(trajectories),
        **{origin: origins.count(origin) for origin in ("asked", "propagated", "corrected")},
        "missing": len(result.missing),
        "questions": stats.questions,
        "answers": {
            "at_once": stats.at_once,
            "repaired": stats.repaired,
            "second_question": stats.second,
            "refused": stats.refused,
            "unanswered": stats.unanswered,
        },
        "faults": {kind: count for kind, count in stats.faults.items() if count},
        "annotations": str(file),
        "page": str(page),
    }


def _print_summary(console: Console, result: Result, trajectories: list[Trajectory], file: Path, page: Path) -> None:
    told = _summary(result, trajectories, file, page)
    answers = told["answers"]
    lines = [
        f"{told['demonstrations']} demonstrations: {told['asked']} asked about, {told['propagated']} propagated, "
        f"{told['corrected']} corrected, {told['missing']} without sub-goals",
        f"{told['questions']} questions in this call: {answers['at_once']} answers held at once, "
        f"{answers['repaired']} were repaired, {answers['second_question']} needed a second question, "
        f"{answers['refused']} were refused, {answers['unanswered']} had no answer",
        f"annotations  {file}",
        f"page         {page}",
    ]
    if told["faults"]:
        lines.insert(2, "put right: " + ", ".join(f"{kind} {count}" for kind, count in told["faults"].items()))
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def export_sft(
    data: Annotated[str, typer.Argument(help="Demonstrations: a file, or `scienceworld`.")],
    out: Annotated[Path, typer.Option(help="The JSONL file.")],
    annotations: Annotated[Path | None, typer.Option(help="Their sub-goals.")] = None,
    flat: Annotated[bool, typer.Option("--flat", help="Without sub-goals.")] = False,
    chat: Annotated[bool, typer.Option("--chat", help="Messages instead of prompt and completion.")] = False,
    actions: Annotated[int, typer.Option(min=1, max=10**9, help="Greatest number of a demonstration's actions.")] = 100,
) -> None:
    """Write the prompts and answers of planner and executor as JSONL for supervised fine-tuning."""
    import json

    from rich.console import Console

    from wean.data.shipped import annotated, demonstrations
    from wean.errors import WeanError
    from wean.students.text.examples import sft_rows

    console = Console(stderr=True)

    def note(problem: str) -> None:
        console.print(f"note: {problem}", highlight=False)

    if flat:
        found = demonstrations(data, note=note)._replace(annotations={})
    else:
        found = annotated(data, annotations, "refuse", note)
    count = 0
    try:
        with out.open("w", encoding="utf-8") as stream:
            for row in sft_rows(*found, "chat" if chat else "completion", actions):
                stream.write(json.dumps(row) + "\n")
                count += 1
    except OSError as error:
        raise WeanError(f"{out}: cannot be written ({error.strerror}); name another file") from None
    typer.echo(f"{count} rows of {len(found.trajectories)} demonstrations in {out}")
