"""10,000 questions, a fifth of the requests failing, and two SIGKILLs: nothing committed is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from wean.llm import Ledger

pytest.importorskip("openai")

HERE = Path(__file__).parent
CONCURRENCY = 8

CLIENT = """
import sys
from wean.llm import Ledger, open_model
url, path, total, concurrency = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def chat(i):
    rules = {"role": "system", "content": "rules " * (i % 7)}
    return [rules, {"role": "user", "content": f"question {i}"}]
with Ledger(path) as ledger, open_model(
    url + "#fake-1", ledger=ledger, concurrency=concurrency, timeout=0.5, retry_base=0.02, retries=12
) as model:
    half = total // 2
    plain = model.generate([chat(i) for i in range(half)])
    warm = model.generate([chat(i) for i in range(half, total)], temperature=0.5, schema={"type": "object"})
    for i, [answer] in enumerate([*plain, *warm]):
        assert answer.text == f"echo: question {i}", (i, answer)
    print(model.counts.asked, model.counts.replayed)
"""


def stored(path):
    with Ledger(path) as ledger, ledger.database.read() as connection:
        return set(connection.execute("SELECT digest, sample, answer, recorded FROM answers"))


def run_with_kills(folder, total, kill_at, fault_rate=0.2):
    """Asks `total` questions; kills the asker whenever the ledger holds one of `kill_at` answers."""
    path = folder / "ledger.sqlite"
    command = [sys.executable, HERE / "fake_server.py", "--fault-rate", str(fault_rate), "--hang", "0.7"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        client = [sys.executable, "-c", CLIENT, url, path, str(total), str(CONCURRENCY)]
        lost = 0
        for threshold in kill_at:
            process = subprocess.Popen(client)
            try:
                while len(stored(path)) < threshold:
                    assert process.poll() is None, "the asker ended by itself"
                    time.sleep(0.05)
                before = stored(path)
            finally:
                process.kill()  # SIGKILL
                process.wait()
            lost += len(before - stored(path))
        kept = stored(path)
        done = subprocess.run(client, capture_output=True, text=True, timeout=250, check=False)
        assert done.returncode == 0, done.stderr
        lost += len(kept - stored(path))
        asked, replayed = map(int, done.stdout.split())
        with urllib.request.urlopen(url.removesuffix("/v1") + "/counts") as response:
            counts = json.load(response)
    finally:
        server.stdin.close()
        server.wait()
        server.stdout.close()
    return {
        "questions": total,
        "stored": len(stored(path)),
        "kills": len(kill_at),
        "lost": lost,
        "asked_again": sum(counts["answered"].values()) - len(counts["answered"]),
        "in_flight_at_kills": CONCURRENCY * len(kill_at),
        "requests": counts["requests"],
        "asked_in_last_run": asked,
        "replayed_in_last_run": replayed,
    }


def check(numbers):
    assert numbers["stored"] == numbers["questions"]
    assert numbers["lost"] == 0
    assert numbers["asked_again"] <= numbers["in_flight_at_kills"]
    assert numbers["requests"] > numbers["questions"] * 1.1
    assert numbers["asked_in_last_run"] + numbers["replayed_in_last_run"] == numbers["questions"]


def test_400_questions_one_kill(tmp_path):
    numbers = run_with_kills(tmp_path, 400, [150])
    check(numbers)
    assert numbers["replayed_in_last_run"] >= 150


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_3000_questions_two_kills(tmp_path):
    numbers = run_with_kills(tmp_path, 3000, [900, 1950])
    check(numbers)
    assert numbers["replayed_in_last_run"] >= 1950
