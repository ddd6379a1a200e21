"""The command line: parse, call, print. Heavy imports happen inside the commands."""

from __future__ import annotations

import sys

import typer

from wean.commands import asking, comparing, evaluating, ledger, listing, models, train
from wean.errors import WeanError

app = typer.Typer(
    name="wean",
    help="Train small agents that no longer need their language model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("train")(train.train)
app.command("eval")(evaluating.evaluate)
app.command("compare")(comparing.compare)
app.command("ask")(asking.ask)
app.command("list")(listing.list_)
app.add_typer(models.app, name="models")
app.add_typer(ledger.app, name="ledger")


def main() -> None:
    """Runs the command line; an error that the user can mend is one line, and sets the exit code."""
    try:
        app()
    except WeanError as error:
        typer.echo(f"wean: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("wean: stopped", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output went away (`wean list | head`): nothing is wrong.
        sys.stderr.close()
        sys.exit(0)
