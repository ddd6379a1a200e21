"""`wean serve` in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Real(NamedTuple):
    """A server and its address."""

    process: subprocess.Popen[str]
    address: str


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[Real]:
    """A server, until the block ends."""
    command = [sys.executable, "-m", "wean", "serve", *arguments, "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("serving "), line
            yield Real(process, line.split(" at ")[1].split()[0])
        finally:
            process.terminate()
            process.wait(timeout=20)
