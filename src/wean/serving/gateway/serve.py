"""Starts a gateway."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wean.errors import UsageError, WeanError, in_one_line
from wean.extras import require
from wean.llm.ledger import Ledger
from wean.serving.gateway.deciding import Judge, Rules
from wean.serving.gateway.journal import Journal
from wean.students.deciding import Decider
from wean.teachers.logged_prompts import PromptReader, read_mapping

if TYPE_CHECKING:
    from wean.serving.gateway.front import Front


@dataclass(frozen=True)
class Place:
    """Where a gateway stands.

    Attributes:
        upstream: Address of the endpoint.
        host: The address at which it listens.
        port: The port; 0 takes a free one.
        seconds: In which the endpoint must go on answering.
    """

    upstream: str
    host: str = "127.0.0.1"
    port: int = 8001
    seconds: float = 600.0


def make_gateway(
    student: Path | None, place: Place, rules: Rules, ledger: Path, mapping: str | None, note: Callable[[str], None]
) -> Front:
    """Returns the ASGI application of a gateway.

    Args:
        student: A run of `wean train distill`; None passes everything on and keeps the log.
        place: Where it stands.
        rules: When the student decides alone.
        ledger: Where answers are kept.
        mapping: Of prompts, as for `wean logs`.
        note: Told of a student that cannot be used: the gateway passes everything on then.

    Raises:
        UsageError: The address or the mapping is wrong.
        WeanError: The ledger cannot be used.
    """
    for package in ("uvicorn", "httptools", "httpcore", "fastapi"):
        require(package, extra="serve")
    from wean.serving.gateway.app import Gateway
    from wean.serving.gateway.front import Front, Retrainer
    from wean.serving.gateway.upstream import Upstream

    decider = None
    if student is not None:
        try:
            decider = Decider(student)
        except WeanError as error:
            note(f"{in_one_line(str(error))}; until then everything is passed on")
    judge = Judge(decider, PromptReader(read_mapping(mapping)), rules)
    gateway = Gateway(Upstream(place.upstream, place.seconds), judge, Journal(Ledger(ledger)))
    retrainer = Retrainer(ledger, ledger.with_name(f"{ledger.stem}-students"), mapping)
    return Front(gateway, retrainer, _is_loopback(place.host))


def serve_gateway(app: Front, place: Place, ready: Callable[[str], None]) -> None:
    """Serves until the process is told to end; `ready` is told the address.

    Raises:
        UsageError: The port is taken.
    """
    from wean.runtime.folder import PolicyError
    from wean.runtime.server.limits import Limits
    from wean.runtime.server.running import run

    # A connection counts as idle while its answer is waited for, so it must outlast the endpoint.
    limits = Limits(idle_seconds=Limits().idle_seconds + math.ceil(place.seconds))
    try:
        run(app, place.host, place.port, limits, ready)
    except PolicyError as error:
        raise UsageError(str(error)) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
