"""A real server on a real port: it acts, withstands what nobody should send, and ends when it is told to."""

import json
import signal
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import httpx
import numpy as np
import pytest

import hostile_requests
from serving.real_server import serving
from wean.runtime import load

pytestmark = pytest.mark.slow


def test_hostile_requests_are_refused_and_harm_nobody(exported: Any) -> None:
    token = "open-sesame"
    folder = exported("grid")
    seen = np.load(folder / "example.npy")
    limits = ("--limit", "read_seconds=1", "--limit", "idle_seconds=1")
    with serving(str(folder), "--acting", "sampled", *limits, WEAN_SERVE_TOKEN=token) as server:
        headers = {"authorization": f"Bearer {token}"}
        asked = {"observations": seen.tolist(), "seed": 1}
        with httpx.Client(base_url=server.address, headers=headers, timeout=30) as client:
            before = client.post("/act", json=asked).json()
            attacks = hostile_requests.attacks(token, seen.shape[1:])
            found = hostile_requests.check("127.0.0.1", client.base_url.port or 0, attacks, lambda: True)
            assert found["requests"] >= 200
            assert found["not refused"] == []
            assert found["leaks"] == []
            assert client.post("/act", json=asked).json() == before
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=20) == 130
        assert server.process.stderr is not None
        said = server.process.stderr.read()
        assert "Traceback" not in said
        assert token not in said


def test_a_run_folder_is_served_like_its_export(exported: Any) -> None:
    own = exported("grid").parent / "own"
    seen = np.load(exported("grid") / "example.npy")
    policy = load(exported("grid"), "greedy")
    policy.reset(members=len(seen))
    body, kind = json.dumps({"observations": seen.tolist()}), {"Content-Type": "application/json"}
    with (
        serving(str(own), "--acting", "greedy") as server,
        closing(HTTPConnection(server.address.removeprefix("http://"), timeout=30)) as connection,
    ):
        for pause in (0.0, 5.5):  # a connection that nobody uses stays for longer than uvicorn's own five seconds
            time.sleep(pause)
            connection.request("POST", "/act", body, kind)
            assert json.load(connection.getresponse())["actions"] == policy.act(seen).tolist()
