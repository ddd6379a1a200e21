"""The command line: parse, call, print. Heavy imports happen inside the commands."""

from __future__ import annotations

import codecs
import errno
import io
import signal
import sys
import unicodedata
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from wean import __version__
from wean.cli import (
    annotate,
    ask,
    compare,
    data,
    demos,
    evaluate,
    export,
    gateway,
    listing,
    logs,
    practise,
    serve,
    sweep,
    train,
)
from wean.errors import UsageError, WeanError, in_one_line

app = typer.Typer(
    name="wean",
    help="Train small agents that no longer need their language model.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing what it needs takes longer than all of `wean --help`
    context_settings={"max_content_width": 120},
)


_GOING_ON = {
    "demos": "the same command with --resume goes on",
    "practise": "the same command goes on where it stopped",
    "sweep": "the same command goes on, its runs from their last checkpoints",
    "annotate": "the same command goes on, what was answered is kept",
    "eval": "what was played is kept where there is an --out, and the same command goes on",
}
"""How a command goes on that was stopped."""
_STOPPED = 130  # exit code, also of Typer where it meets a KeyboardInterrupt


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wean {__version__}")
        raise typer.Exit


app.command("train")(train.train)
app.command("eval")(evaluate.evaluate)
app.command("practise")(practise.practise)
app.command("sweep")(sweep.sweep)
app.command("compare")(compare.compare)
app.command("ask")(ask.ask)
app.command("demos")(demos.demos)
app.command("annotate")(annotate.annotate)
app.command("export-sft")(annotate.export_sft)
app.command("export")(export.export)
app.command("serve")(serve.serve)
app.command("logs")(logs.logs)
app.command("gateway")(gateway.gateway)
app.command("list")(listing.list_)
app.add_typer(listing.app, name="models")
listing.data_app.command("import")(data.import_)
listing.data_app.command("export")(data.export)
app.add_typer(listing.data_app, name="data")
app.add_typer(ask.app, name="ledger")


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line; an error that the user can mend is one line, and sets the exit code."""
    _write_anywhere()
    for name in ("SIGTERM", "SIGHUP"):  # as Ctrl-C: what is begun is ended, and so are its processes
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as under `nohup`
            signal.signal(number, signal.default_int_handler)
    try:
        _refuse_empty(sys.argv[1:])
        # Without its "standalone mode" Typer hands its own errors on instead of printing them over several lines.
        code = app(sys.argv[1:] or ["--help"], prog_name="wean", standalone_mode=False) or 0
        if code == _STOPPED:
            raise KeyboardInterrupt
        sys.exit(code)
    except WeanError as error:
        _fail(str(error), error.exit_code)
    except TyperException as error:
        _fail(f"{error.format_message().rstrip('.')}; --help shows what there is", error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        going_on = _GOING_ON.get(sys.argv[1]) if len(sys.argv) > 1 else None
        _fail(f"stopped; {going_on}" if going_on else "stopped", _STOPPED)
    except BrokenPipeError:
        # The reader of our output went away (`wean list | head`): nothing is wrong.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        from wean.files import CANNOT_WRITE

        if error.errno == errno.ENAMETOOLONG:
            _fail(f"{error.filename or 'a name'}: {error.strerror}; give a shorter one", 2)
        if error.errno not in CANNOT_WRITE:
            raise
        _fail(f"{error.filename or 'cannot write'}: {error.strerror}; make room or check permissions, and try again", 1)


_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "→": "->", "…": "..."})


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that the terminal's encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = unicodedata.normalize("NFKD", error.object[error.start : error.end].translate(_PLAIN))
    return "".join(char if char.isascii() else "?" for char in lacking if not unicodedata.combining(char)), error.end


def _write_anywhere() -> None:
    """Lets what is printed reach terminals of every encoding, in place of an error in the midst of a table."""
    codecs.register_error("wean", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="wean")


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuses values that are empty, as of a shell variable that is not set: they would count as left out.

    Raises:
        UsageError: There is one.
    """
    for place, argument in enumerate(arguments):
        before = arguments[place - 1] if place else ""
        if argument == "" or (argument.startswith("--") and argument.endswith("=")):
            named = argument.removesuffix("=") or (before if before.startswith("-") else "an argument")
            raise UsageError(f"{named} is empty; give it a value, or leave it out")


def _fail(message: str, exit_code: int) -> None:
    typer.echo(f"wean: {in_one_line(message)}", err=True)
    sys.exit(exit_code)
