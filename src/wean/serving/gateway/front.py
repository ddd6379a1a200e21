"""What is at `/gateway`: the page with live numbers, and training anew; for clients on this machine alone."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
import time
from importlib import resources
from pathlib import Path

from wean.errors import WeanError, in_one_line
from wean.runtime.server.app import HEADERS, LOOPBACK
from wean.runtime.server.guard import Receive, Scope, Send, answer
from wean.serving.gateway.app import Gateway
from wean.students.deciding import Decider


class Front:
    """An ASGI application before a gateway.

    Args:
        gateway: The gateway.
        retrainer: Trains a new student.
        local: Whether only names of this machine are served: a page of another site could lead its name here.
    """

    def __init__(self, gateway: Gateway, retrainer: Retrainer, local: bool) -> None:
        self._gateway, self._retrainer, self._local = gateway, retrainer, local
        self._page = resources.files("wean.serving.gateway").joinpath("page.html").read_bytes()

    async def close(self) -> None:
        """Closes the gateway."""
        await self._gateway.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        path, method = scope["path"], scope["method"]
        here = _name(headers.get(b"host", b"")) in LOOPBACK
        if self._local and not here:
            await answer(send, 400, "this gateway is for its own machine; name it 127.0.0.1")
        elif path != "/gateway" and not path.startswith("/gateway/"):
            await self._gateway(scope, receive, send)
        elif not here or not _is_here(scope):
            await answer(send, 404, "there is nothing here for other machines; look at it on the gateway's own")
        elif path == "/gateway" and method == "GET":
            sent = [(b"content-type", b"text/html; charset=utf-8")]
            sent += [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            await send({"type": "http.response.start", "status": 200, "headers": sent})
            await send({"type": "http.response.body", "body": self._page})
        elif path == "/gateway/numbers" and method == "GET":
            await answer(send, 200, {**self._gateway.numbers(), "training": self._retrainer.doing})
        elif path == "/gateway/retrain" and method == "POST":
            # A page of another site cannot send this type without being asked first.
            if headers.get(b"content-type", b"") != b"application/json":
                await answer(send, 415, "send Content-Type: application/json")
            else:
                await answer(send, 202, {"training": self._retrainer.begin(self._gateway)})
        else:
            await answer(send, 404, "there is nothing here; look at /gateway")


class Retrainer:
    """Trains a new student on the ledger, in processes of their own, and puts it in the old one's place.

    Args:
        ledger: The ledger.
        folder: Where students are put.
        mapping: Of the logs, if there is one.

    Attributes:
        doing: What is being done or came of it, for people.
    """

    def __init__(self, ledger: Path, folder: Path, mapping: str | None) -> None:
        self._ledger, self._folder, self._mapping = ledger, folder, mapping
        self._task: asyncio.Task[None] | None = None
        self.doing = ""

    def begin(self, gateway: Gateway) -> str:
        """Begins, unless it is at it; returns what it does."""
        if self._task is None or self._task.done():
            self.doing = "training"
            self._task = asyncio.create_task(self._train(gateway))
        return self.doing

    async def _train(self, gateway: Gateway) -> None:
        out = self._folder / time.strftime("%Y%m%d-%H%M%S")
        decisions = out / "decisions.parquet"
        mapping = ["--mapping", self._mapping] if self._mapping else []
        commands = [
            ["logs", str(self._ledger), "--out", str(decisions), *mapping],
            ["train", "distill", f"data={decisions}", "--out", str(out / "run")],
        ]
        try:
            out.mkdir(parents=True, exist_ok=True)
            for command in commands:
                await _wean(*command)
            gateway.judge.use(await asyncio.to_thread(Decider, out / "run"))
        except (WeanError, OSError) as error:
            self.doing = f"training failed, the student stays: {in_one_line(str(error))}"
        else:
            self.doing = f"trained anew: {out / 'run'}"


async def _wean(*words: str) -> None:
    """Runs a command of wean to its end.

    Raises:
        WeanError: It fails.
    """
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "wean", *words, stdout=pipe, stderr=pipe)
    _, told = await process.communicate()
    if process.returncode:
        lines = told.decode(errors="replace").strip().splitlines()
        raise WeanError(lines[-1] if lines else f"wean {words[0]} ended with {process.returncode}")


def _is_here(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


def _name(host: bytes) -> str:
    text = host.decode("latin-1").lower()
    return text.partition("]")[0] + "]" if text.startswith("[") else text.partition(":")[0]
