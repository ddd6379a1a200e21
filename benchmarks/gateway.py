"""Measures the way from logs to a gateway: what the student takes alone, what that costs, and what faults do.

    python benchmarks/gateway.py [--quick] [--json] [--save]
    python benchmarks/gateway.py --log FILE.jsonl.gz     writes the log that comes with wean (`wean logs kitchen`) anew

The log is that of an agent in the kitchen (KitchenRandom) that asks a large language model, whose recorded answers are
replayed. The gateway is a process of its own; the endpoint behind it is a real server on loopback, with faults where
they are measured. Nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from harness import MEASURED_ANEW, finish, hardware, options
from scripted_upstream import upstream
from wean.evaluation.statistics import bootstrap_mean
from wean.llm import open_model
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import choice_question
from wean.teachers.reading import parse_choices

FINAL_SEED = 10_000
CONNECTIONS = 32
LOGGED = 800  # episodes of the shipped log
UNANSWERED = "I cannot tell."  # said where no answer was recorded: the agent then draws among all choices

Reply = Callable[[list[dict[str, str]]], str]


def recorded() -> Reply:
    """The recorded answers of a large model; safe to use from several threads."""
    model, lock = open_model("recorded:kitchen"), threading.Lock()

    def reply(messages: list[dict[str, str]]) -> str:
        with lock:
            (answers,) = model.generate([messages], n=1)
        answer = answers[0] if isinstance(answers, list) else answers
        return answer.text or UNANSWERED

    return reply


def play(seeds: range, reply: Reply) -> tuple[list[float], list[dict[str, Any]]]:
    """Success of each episode, and the log; the agent draws among what the model weighs, by the episode's seed."""
    tasks = SerialTasks([partial(make_task, "KitchenRandom")])
    successes, log = [], []
    for seed in seeds:
        random, ended = np.random.default_rng(seed), False
        tasks.reset([0], [seed])
        while not ended:
            situation = tasks.situations([0])[0]
            messages: Any = choice_question(situation)
            text = reply(messages)
            weights = parse_choices(text, situation.choices) or dict.fromkeys(range(len(situation.choices)), 1.0)
            total = sum(weights.values())
            action = int(random.choice(list(weights), p=[weight / total for weight in weights.values()]))
            steps = tasks.step([0], [action])
            ended = bool(steps.terminated[0] or steps.truncated[0])
            answer = {"choices": [{"message": {"role": "assistant", "content": text}}]}
            log.append({"session": f"episode {seed}", "request": {"messages": messages}, "response": answer})
        successes.append(float(steps.successes[0] > 0))
    tasks.close()
    return successes, log


def write_log(file: Path) -> None:
    """Writes the log of the agent's training episodes; steps for which no answer was recorded are left out."""
    _, log = play(range(LOGGED), recorded())
    answered = [row for row in log if row["response"]["choices"][0]["message"]["content"] != UNANSWERED]
    lines = [json.dumps({**row, "request": {"model": "claude", **row["request"]}}) + "\n" for row in answered]
    with file.open("wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        packed.write("".join(lines).encode())


def distilled(folder: Path) -> dict[str, Any]:
    """A student from the shipped log: its numbers on sessions that were held out."""
    decisions = folder / "decisions.parquet"
    about = json.loads(wean("logs", "kitchen", "--out", str(decisions), "--json"))
    wean("train", "distill", f"data={decisions}", "--out", str(folder / "run"))
    summary = json.loads((folder / "run" / "summary.json").read_text())
    coverage = summary["coverage"]
    (row,) = (one for one in coverage["levels"] if one["wanted"] == 0.98)
    return {
        "episodes": about["sessions"],
        "decisions": about["decisions"],
        "situations": about["situations"],
        "test_decisions": summary["test_decisions"],
        "known_situations": 1 - coverage["new_situations"] / summary["test_decisions"],
        "share_alone": row["share"],
        "agreement_there": row["agreement"],
        "agreement": coverage["agreement"],
        "agreement_in_new_situations": coverage["new_agreement"],
        "calibration_error": coverage["calibration_error"],
    }


def wean(*words: str) -> str:
    """Runs a command of wean; returns what it prints."""
    return subprocess.run([sys.executable, "-m", "wean", *words], check=True, capture_output=True, text=True).stdout


@contextmanager
def gateway(folder: Path, url: str, student: bool = True, **options: float) -> Iterator[str]:
    """The address of a gateway in a process of its own."""
    words = [str(folder / "run")] if student else []
    words += ["--upstream", url, "--port", "0", "--ledger", str(folder / f"{time.time_ns()}.sqlite")]
    words += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "wean", "gateway", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split(" at ")[1].split("/v1")[0]
    finally:
        process.terminate()
        process.wait()


def paired(folder: Path, episodes: int) -> dict[str, Any]:
    """The same episodes with the model alone, and behind the gateway; its first audits included."""
    seeds, reply = range(FINAL_SEED, FINAL_SEED + episodes), recorded()
    alone, _ = play(seeds, reply)
    with upstream(lambda body: {"content": reply(body["messages"])}) as (url, met), gateway(folder, url) as at:
        with httpx.Client(base_url=at, trust_env=False) as client:

            def ask(messages: list[dict[str, str]]) -> str:
                told = client.post("/v1/chat/completions", json={"model": "m", "messages": messages}).json()
                return str(told["choices"][0]["message"]["content"])

            behind, log = play(seeds, ask)
            numbers = client.get("/gateway/numbers").json()
        calls = len(met)
    difference = bootstrap_mean(np.array(behind) - np.array(alone))
    return {
        "episodes": episodes,
        "success_alone": float(np.mean(alone)),
        "success_behind": float(np.mean(behind)),
        "difference": {"mean": difference.mean, "low": difference.low, "high": difference.high},
        "decisions": len(log),
        "calls": calls,
        "calls_share": calls / len(log),
        "agreement_in_audits": numbers["agreement"],
        "delays_ms": numbers["delays_ms"],
    }


def delay(folder: Path, requests: int, pause: float = 0.2) -> dict[str, Any]:
    """What the gateway adds to requests that it passes on, at 32 connections, to a model that takes 0.2 s."""

    def answer(body: dict[str, Any]) -> dict[str, str]:
        time.sleep(pause)
        return {"content": "A poem of some words."}

    with upstream(answer) as (url, _), gateway(folder, url) as at:
        direct = asyncio.run(load(url, requests))
        through = asyncio.run(load(f"{at}/v1", requests))
        own = httpx.get(f"{at}/gateway/numbers", trust_env=False).json()["delays_ms"]["passed"]
    added = {f"added_{name}_ms": through[name] - direct[name] for name in ("p50", "p99")}
    return {"requests": requests, "direct_ms": direct, "through_ms": through, **added, "own_ms": own}


async def load(url: str, requests: int) -> dict[str, float]:
    """Milliseconds of requests by 32 clients."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Write a poem."}]}
    seconds: list[float] = []

    async def one(client: httpx.AsyncClient, count: int) -> None:
        for _ in range(count):
            began = time.perf_counter()
            (await client.post(f"{url}/chat/completions", json=body)).raise_for_status()
            seconds.append(time.perf_counter() - began)

    bounds = httpx.Limits(max_connections=CONNECTIONS)
    async with httpx.AsyncClient(limits=bounds, timeout=60, trust_env=False) as client:
        await asyncio.gather(*(one(client, requests // CONNECTIONS) for _ in range(CONNECTIONS)))
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return {"p50": float(p50), "p99": float(p99)}


def faults(folder: Path, requests: int) -> dict[str, Any]:
    """Requests of which a third meets a fault of the endpoint; each must get what the endpoint gave."""
    kinds = {0: 429, 1: 500, 2: "cut", 3: "hang"}

    def fault(body: dict[str, Any]) -> Any:
        number = int(body["user"])
        return kinds[number // 3 % 4 if number % 300 == 0 else number // 3 % 3] if number % 3 == 0 else None

    def answer(body: dict[str, Any]) -> dict[str, str]:
        return {"content": f"answer {body['user']}"}

    with upstream(answer, fault, hang=2.0) as (url, _), gateway(folder, url, timeout=1.0) as at:
        found = asyncio.run(ask_all(at, requests, fault))
        numbers = httpx.get(f"{at}/gateway/numbers", trust_env=False).json()
    return {**found, "whole_answers_logged": numbers["logged"], "failures_of_the_gateway": numbers["failures"]}


async def ask_all(at: str, requests: int, fault: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Asks with 16 clients; counts what they got that the endpoint did not give."""
    met: Counter[str] = Counter()
    wanted_status = {None: 200, "cut": 502, "hang": 504}

    async def one(client: httpx.AsyncClient, numbers: range) -> None:
        for number in numbers:
            body = {"model": "m", "user": str(number), "messages": [{"role": "user", "content": f"Say {number}."}]}
            body["stream"] = number % 2 == 1
            kind = fault(body)
            try:
                told = await client.post(f"{at}/v1/chat/completions", json=body)
            except httpx.RemoteProtocolError:
                met["right" if kind == "cut" and body["stream"] else "wrong"] += 1
                continue
            text = "".join(
                json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                for line in told.text.splitlines()
                if line.startswith("data: {")
            )
            if told.status_code == 200 and not body["stream"]:
                text = told.json()["choices"][0]["message"]["content"]
            right = told.status_code == wanted_status.get(kind, kind)
            right = right and (kind is not None or text.strip() == f"answer {number}")
            met["right" if right else "wrong"] += 1
            met["whole"] += kind is None

    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        await asyncio.gather(*(one(client, range(start, requests, 16)) for start in range(16)))
    return {"requests": requests, "right": met["right"], "wrong": met["wrong"], "whole_answers": met["whole"]}


def tables(results: dict[str, Any]) -> str:
    """The results beside what is wanted."""
    student, agent, added, fault = (results[name] for name in ("student", "agent", "delay", "faults"))
    agreed, difference = student["agreement_there"], agent["difference"]
    alone = agent["delays_ms"]["alone"]
    rows = [
        ("share taken alone at agreement >= 0.98, held-out sessions", f"{student['share_alone']:.3f}", ">= 0.9"),
        ("agreement there", "-" if agreed is None else f"{agreed['mean']:.3f} ({agreed['low']:.3f} up)", ">= 0.98"),
        (
            f"success behind the gateway minus model alone, {agent['episodes']} paired episodes",
            f"{difference['mean']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})",
            ">= -0.01",
        ),
        ("calls to the model, first audits included", f"{agent['calls_share']:.1%}", "<= 15 %"),
        (
            f"added delay p50 / p99, {CONNECTIONS} connections",
            f"{added['added_p50_ms']:.1f} / {added['added_p99_ms']:.1f} ms",
            "<= 2 / 15 ms",
        ),
        ("a decision alone, p50", "-" if alone is None else f"{alone['p50']:.1f} ms", "<= 15 ms"),
        (f"wrong of {fault['requests']:,} requests, a third with faults", f"{fault['wrong']}", "0"),
        ("whole answers that were not logged", f"{fault['whole_answers'] - fault['whole_answers_logged']}", "0"),
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    known = (
        f"{student['known_situations']:.1%} of the held-out decisions are on situations that were in the training log."
    )
    return "\n".join(["| what | measured | wanted |", "|---|---|---|", *lines, "", known])


def main() -> None:
    """Parses, measures, prints."""
    parser = options(__doc__, MEASURED_ANEW)
    parser.add_argument("--log", type=Path, metavar="FILE", help="write the shipped log there, measure nothing")
    arguments = parser.parse_args()
    if arguments.log:
        write_log(arguments.log)
        return
    measured_on = hardware("torch", "uvicorn", "httpcore")
    quick = arguments.quick
    with tempfile.TemporaryDirectory(prefix="wean-gateway-") as place:
        folder = Path(place)
        results = {
            "student": distilled(folder),
            "agent": paired(folder, 40 if quick else 500),
            "delay": delay(folder, 320 if quick else 3_200),
            "faults": faults(folder, 500 if quick else 10_000),
        }
    finish("gateway", measured_on, results, tables(results), arguments)


if __name__ == "__main__":
    main()
