"""Counts of a server, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """The counts of one server.

    Args:
        sessions: The number of sessions now.

    Attributes:
        media_type: How Prometheus names the text.
    """

    media_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, sessions: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "wean_requests", "Requests, by path and status.", ["path", "status"], registry=self._registry
        )
        self._children: dict[tuple[str, int], Counter] = {}
        self.actions = Counter("wean_actions", "Actions that the student took.", registry=self._registry)
        self.seconds = Histogram(
            "wean_act_seconds", "Seconds of a request to act.", buckets=_SECONDS, registry=self._registry
        )
        Gauge("wean_sessions", "Sessions now.", registry=self._registry).set_function(sessions)

    def answered(self, path: str, status: int) -> None:
        """Counts an answer; `path` is one of few, never what a client made up."""
        child = self._children.get((path, status))
        if child is None:
            child = self._children[path, status] = self._requests.labels(path, status)
        child.inc()

    def text(self) -> bytes:
        """All counts, as Prometheus reads them."""
        return generate_latest(self._registry)
