"""Askers of one ledger, a fifth of the requests failing, SIGKILLs: nothing is lost, left behind or given away."""

from __future__ import annotations

import json
import os
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
KEY = "sk-not-for-anybody-0123456789"

# One asker. What ends it (a cut answer, no credit) ends a user's run, too, who then starts it again.
CLIENT = """
import logging, random, sys
from wean.errors import WeanError
from wean.llm import Ledger, open_model
url, path, total, concurrency, order = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
logging.basicConfig(level=logging.INFO, filename=f"{path}.{order}.log")
def chat(i):
    rules = {"role": "system", "content": "rules " * (i % 7 + 1)}
    return [rules, {"role": "user", "content": f"question {i}"}]
numbers = list(range(total))
random.Random(order).shuffle(numbers)
half = [i for i in numbers if i % 2], [i for i in numbers if i % 2 == 0]
with Ledger(path) as ledger, open_model(
    url + "#fake-1", ledger=ledger, concurrency=concurrency, timeout=4, retry_base=0.02, retries=12
) as model:
    stopped = 0
    while True:
        try:
            plain = model.generate([chat(i) for i in half[0]])
            warm = model.generate([chat(i) for i in half[1]], temperature=0.5, schema={"type": "object"})
            break
        except WeanError as error:
            print(error, file=sys.stderr)
            stopped += 1
    for i, [answer] in zip([*half[0], *half[1]], [*plain, *warm]):
        assert answer.text.endswith(f"question {i}"), (i, answer)
    print(model.counts.asked, model.counts.replayed, stopped)
"""


def stored(path):
    with Ledger(path) as ledger, ledger.database.read() as connection:
        return set(connection.execute("SELECT digest, sample, answer, recorded FROM answers"))


def named_in_processes(text):
    """Processes in whose command line a text occurs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def run_with_kills(folder, total, kill_at, processes=1, fault_rate=0.2, wait=250):
    """Asks `total` questions from some processes; kills one, and starts it anew, as the ledger reaches `kill_at`."""
    path = folder / "ledger.sqlite"
    environment = {**os.environ, "OPENAI_API_KEY": KEY}
    command = [sys.executable, HERE / "fake_server.py", "--fault-rate", str(fault_rate), "--hang", "6"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    end = time.monotonic() + wait

    def said():
        return [file.read_text()[-2000:] for file in folder.glob("asker.*.err")]

    def start(order):
        with (folder / f"asker.{order}.out").open("a") as out, (folder / f"asker.{order}.err").open("a") as err:
            client = [sys.executable, "-c", CLIENT, url, path, str(total), str(CONCURRENCY), str(order)]
            return subprocess.Popen(client, stdout=out, stderr=err, env=environment)

    askers, lost, seen = [], 0, 0
    try:
        url = server.stdout.readline().strip()
        askers = [start(order) for order in range(processes)]
        for victim, threshold in enumerate(kill_at):
            while len(stored(path)) < threshold:
                assert all(asker.poll() is None for asker in askers), (
                    [asker.poll() for asker in askers],
                    len(stored(path)),
                    said(),
                )
                assert time.monotonic() < end
                seen += len(named_in_processes(KEY))
                time.sleep(0.2)
            before = stored(path)
            place = victim % processes
            askers[place].kill()  # SIGKILL
            askers[place].wait()
            lost += len(before - stored(path))
            askers[place] = start(place)
        kept = stored(path)
        codes = [asker.wait(max(1.0, end - time.monotonic())) for asker in askers]
        lost += len(kept - stored(path))
        with urllib.request.urlopen(url.removesuffix("/v1") + "/counts") as response:
            counts = json.load(response)
    finally:
        for asker in askers:
            asker.kill()
            asker.wait()
        server.stdin.close()
        server.wait()
        server.stdout.close()
    assert codes == [0] * processes, said()
    told = [list(map(int, file.read_text().split()[-3:])) for file in folder.glob("asker.*.out")]
    seen += sum(KEY.encode() in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    return {
        "questions": total,
        "stored": len(stored(path)),
        "processes": processes,
        "kills": len(kill_at),
        "lost": lost,
        "asked_again": sum(counts["answered"].values()) - len(counts["answered"]),
        "in_flight_at_kills": CONCURRENCY * len(kill_at),
        "requests": counts["requests"],
        "faults": counts["faults"],
        "asked_by_the_last_processes": sum(asked for asked, _, _ in told),
        "replayed_by_them": sum(replayed for _, replayed, _ in told),
        "stopped_in_one_line_and_started_again": sum(stopped for _, _, stopped in told),
        "processes_left_behind": len(named_in_processes(str(path))),
        "key_seen": seen,
    }


def check(numbers):
    assert numbers["stored"] == numbers["questions"]
    assert numbers["lost"] == 0
    assert numbers["asked_again"] <= numbers["in_flight_at_kills"]
    assert numbers["requests"] > numbers["questions"] * 1.1
    assert numbers["processes_left_behind"] == 0
    assert numbers["key_seen"] == 0


def test_400_questions_one_kill(tmp_path):
    check(run_with_kills(tmp_path, 400, [150]))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_2000_questions_of_3_processes_two_kills(tmp_path):
    check(run_with_kills(tmp_path, 2000, [600, 1300], processes=3, wait=800))
