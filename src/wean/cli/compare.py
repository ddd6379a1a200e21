"""`wean compare`: runs beside each other, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from wean.evaluation.statistics import Interval
    from wean.report.compare import Comparison, Group, Reference


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    out: Annotated[Path | None, typer.Option(help="Also draw the learning curves: a .png or .html file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-compare/2).")] = False,
) -> None:
    """Compare runs: pooled episodes and steps to success by method and task, 95 % intervals."""
    import json

    from rich.console import Console

    from wean.report.compare import compare as compare_runs
    from wean.report.curves import write_curves

    found = compare_runs(runs)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
    else:
        print_comparison(found, Console())
    if out is not None:
        write_curves(found, out)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints one table for each task; made to be read in 80 columns."""
    from rich.markup import escape

    for task in comparison.tasks:
        groups = comparison.of(task)
        for measure, unit in dict.fromkeys((group.measure, group.unit) for group in groups):
            alike = [group for group in groups if (group.measure, group.unit) == (measure, unit)]
            if measure == "success":
                console.print(_table_of_successes(comparison, task, alike, wide=console.width >= 96))
            elif measure == "return":
                console.print(_table_of_returns(comparison, task, alike))
            else:
                console.print(_table_of_answers(task, alike))
    console.print(
        "Intervals are 95 %. success: all episodes pooled (Wilson). over seeds, length, return: bootstrap "
        f"over seeds. first at {comparison.threshold:g}: median over seeds; a seed that never got there counts as "
        "later than all others.",
        style="dim",
    )
    for note in comparison.notes:
        console.print(escape(note), style="yellow")


def _table_of_successes(comparison: Comparison, task: str, groups: list[Group], wide: bool) -> Table:
    """Policies that have played held-out episodes, with one unit of progress, then the references."""
    returns = ["return"] if wide else []
    title = f"{task}, progress in {groups[0].unit_name}"
    table = _table(title, ["success", "over seeds", "length", *returns, f"first at {comparison.threshold:g}"])
    for group in groups:
        spread = _interval(group.over_seeds if len(group.runs) > 1 else None)
        cells = [_interval(group.success), spread, *_means(group, wide), _dimmed(group.speed_text)]
        table.add_row(_who(group), *cells, end_section=group is groups[-1])
    for reference in comparison.beside(task):
        table.add_row(_beside(reference), _interval(reference.success), "", *_means(reference, wide), "", style="dim")
    return table


def _table_of_returns(comparison: Comparison, task: str, groups: list[Group]) -> Table:
    """Policies on a task that does not say what success is."""
    table = _table(f"{task}, which does not say what success is", ["return", "length"])
    for group in groups:
        cells = [_interval(group.returns), _interval(group.length, 1)]
        table.add_row(_who(group), *cells, end_section=group is groups[-1])
    for reference in comparison.beside(task):
        cells = [_interval(reference.returns), _interval(reference.length, 1)]
        table.add_row(_beside(reference), *cells, style="dim")
    return table


def _who(group: Group) -> str:
    """Method, seeds, episodes and budget."""
    about = f"{_plural(len(group.runs), 'seed')}, {group.episodes:,} eps."
    return _dimmed("\n".join([group.name, about, group.budget_text.replace("environment", "env.")]))


def _beside(reference: Reference) -> str:
    return _two_lines(reference.name, f"{reference.episodes:,} eps." if reference.episodes else "")


def _table_of_answers(task: str, groups: list[Group]) -> Table:
    """Fine-tuned students, by their answers in demonstrations kept apart."""
    table = _table(task, ["exact answers", "trained for", "tokens"])
    for group in groups:
        exact = _interval(group.exact) if len(group.runs) > 1 else _interval(group.exact).split("\n")[0]
        tokens = [run.summary.get("tokens") or 0 for run in group.runs]
        cells = [exact, _dimmed(group.budget_text.replace(" ", "\n", 1)), _average(tokens)]
        table.add_row(_two_lines(group.name, _plural(len(group.runs), "seed")), *cells)
    return table


def _table(title: str, columns: list[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("method", min_width=19)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _means(row: Group | Reference, wide: bool) -> list[str]:
    """Length and return; where there is little room, the length's mean alone."""
    if wide:
        return [_interval(row.length, 1), _interval(row.returns)]
    return [f"{row.length.mean:.1f}" if row.length else ""]


def _interval(interval: Interval | None, digits: int = 3) -> str:
    from wean.report.run_files import span

    return "" if interval is None else _two_lines(f"{interval.mean:.{digits}f}", span(interval, digits))


def _two_lines(first: str, second: str) -> str:
    return _dimmed(f"{first}\n{second}")


def _dimmed(lines: str) -> str:
    """Lines of a cell, dim from the second on."""
    from rich.markup import escape

    first, *rest = lines.split("\n")
    return "\n".join([escape(first), *(f"[dim]{escape(line)}[/dim]" for line in rest)])


def _average(values: list[int]) -> str:
    return f"{sum(values) / len(values):,.0f}"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
