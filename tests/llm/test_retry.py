"""Back-off, Retry-After and pacing, without a server."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from wean.errors import WeanError
from wean.llm.retry import Retrier, TransientError, retry_after


def failing(times, error):
    calls = []

    def call():
        calls.append(time.monotonic())
        if len(calls) <= times:
            raise error
        return len(calls)

    return call, calls


def test_pauses_double_up_to_the_longest_and_vary():
    retrier = Retrier("host", base_seconds=1.0, longest_pause=5.0)
    for failures, whole in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (30, 5.0)):
        pauses = {retrier.pause(failures) for _ in range(50)}
        assert all(whole / 2 <= pause <= whole for pause in pauses)
        assert len(pauses) > 1


def test_tries_so_often_and_no_more():
    retrier = Retrier("host", attempts=3, base_seconds=0.0)
    call, calls = failing(2, TransientError("flaky"))
    assert retrier.run(call) == 3
    call, calls = failing(9, TransientError("flaky"))
    with pytest.raises(WeanError, match=r"host: flaky \(tried 3 times\)"):
        retrier.run(call)
    assert len(calls) == 3


def test_a_host_that_never_answered_is_given_up_early_but_not_one_that_did():
    error = TransientError("refused", hopeless_at_first=True)
    retrier = Retrier("host", attempts=5, base_seconds=0.0)
    call, _ = failing(9, error)
    with pytest.raises(WeanError, match="tried 2 times"):
        retrier.run(call)
    retrier.run(lambda: None)
    call, _ = failing(4, error)
    assert retrier.run(call) == 5


def test_retry_after_is_waited_for():
    retrier = Retrier("host", base_seconds=0.0)
    call, calls = failing(1, TransientError("busy", retry_after=0.2))
    retrier.run(call)
    assert calls[1] - calls[0] >= 0.2


def test_other_errors_pass_through_at_once():
    retrier = Retrier(
        "host",
    )
    call, calls = failing(1, WeanError("final"))
    with pytest.raises(WeanError, match=r"^final$"):
        retrier.run(call)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Sat, 01 Jan 2028 00:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 31 Dec 2027 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
    ],
)
def test_what_servers_ask_for(headers, seconds):
    assert retry_after(headers, now=datetime(2028, 1, 1, tzinfo=UTC)) == seconds
