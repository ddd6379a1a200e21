"""A trained student behind HTTP, with a page on which a person plays beside it; see `docs/deploy.md`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wean.errors import UsageError, WeanError
from wean.extras import require
from wean.files import is_exported
from wean.runtime.folder import ExportError, PolicyError
from wean.runtime.policy import load

_COMPARED = 200  # observations in which a run's student is compared with its export, before it is served

Say = Callable[[str], None]
Ready = Callable[[str, str | None], None]


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and to whom.

    Attributes:
        host: The address.
        port: The port; 0 takes a free one.
        token_file: File with the bearer token; None takes that of the environment, if there is one.
        limits: Bounds to change, as `NAME=NUMBER`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    limits: Sequence[str] = ()


def serve(path: Path, listening: Listening, acting: str | None, task: str | None, say: Say, ready: Ready) -> None:
    """Serves a student until the process is told to end.

    Args:
        path: A run folder, a student's folder, or one that `wean export` wrote. The first two are exported before.
        listening: Where, and to whom.
        acting: How it acts; as its run shipped it by default.
        task: Its task, where the folder does not say it.
        say: Called with what is being done.
        ready: Called when the server can be reached, with its address, and why it has no page to play on, if so.

    Raises:
        UsageError: The student cannot be served, or an option is wrong.
        WeanError: There is no student, it is damaged, or the port is taken.
    """
    for package in ("fastapi", "uvicorn", "httptools", "prometheus_client", "onnxruntime"):
        require(package, extra="serve")
    from wean.runtime.server.app import guarded, make_app
    from wean.runtime.server.limits import Limits
    from wean.runtime.server.running import run, token
    from wean.serving.page import add_page

    with in_wean(), exported(path, task, say) as folder:
        limits, secret = Limits.of(listening.limits), token(listening.token_file)
        app = make_app(load(folder, acting), limits)
        why = add_page(app, str(path), task)
        guard = guarded(app, secret, listening.host)
        run(guard, listening.host, listening.port, limits, lambda address: ready(address, why))


@contextmanager
def in_wean() -> Iterator[None]:
    """Turns the runtime's errors into wean's."""
    try:
        yield
    except ExportError as error:
        raise WeanError(str(error)) from None
    except PolicyError as error:
        raise UsageError(str(error)) from None


@contextmanager
def exported(path: Path, task: str | None, say: Say) -> Iterator[Path]:
    """The folder of an exported student: `path` itself, or of a run's student one that is taken away afterwards.

    So everything is served by the same code, PyTorch is needed at most for the start, and what is served was compared
    with the original.
    """
    if is_exported(path):
        yield path
        return
    from wean.serving.export import export

    with tempfile.TemporaryDirectory(prefix="wean-serve-") as place:
        yield export(path, Path(place) / "exported", make=task, observations=_COMPARED, say=say).folder
