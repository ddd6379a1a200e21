"""`python -m wean_runtime.server FOLDER`: serves an exported student where nothing but the runtime is installed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..folder import ACTING, PolicyError
from ..policy import load
from .limits import Limits


def main() -> None:
    """Parses and serves."""
    parser = argparse.ArgumentParser(prog="python -m wean_runtime.server", description="Serve an exported student.")
    parser.add_argument("folder", help="what `wean export` wrote")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 is every one")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at; 0 takes a free one")
    parser.add_argument("--acting", choices=ACTING, help="how the student acts; as its run shipped it by default")
    parser.add_argument("--token-file", type=Path, help="file with the bearer token; else of $WEAN_SERVE_TOKEN")
    parser.add_argument(
        "--limit", action="append", default=[], metavar="NAME=NUMBER", help=f"a bound; there are {Limits.names()}"
    )
    arguments = parser.parse_args()
    try:
        limits = Limits.of(arguments.limit)
        serve(arguments.folder, arguments.acting, arguments.host, arguments.port, arguments.token_file, limits)
    except PolicyError as error:
        sys.exit(f"wean_runtime.server: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"wean_runtime.server: {error.name} is not installed; pip install './runtime[serve]' in wean's clone")


def serve(folder: str, acting: str | None, host: str, port: int, token_file: Path | None, limits: Limits) -> None:
    """Serves an exported student until the process is told to end."""
    from .app import add_front, guarded, make_app
    from .running import run, token

    secret = token(token_file)
    app = make_app(load(folder, acting), limits)
    add_front(app)

    def say(address: str) -> None:
        sys.stdout.write(f"serving {folder} at {address}\n")
        sys.stdout.flush()

    run(guarded(app, secret, host), host, port, limits, say)


if __name__ == "__main__":
    main()
