"""Files that are damaged or of the wrong content, and answers of models that are no answers, for `bad_input.py`."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bad_input import COMMANDS, LAKE, METHODS, SEED, command

Act = Callable[[], object]
Found = Iterator[tuple[str, str, Act]]

HUGE, DEEP = "@HUGE@", "@DEEP@"  # what `json.dumps` cannot write
LONG = "x" * 300
WRONG: list[Any] = [None, True, False, -1, 0, 0.5, 2**63, 1e308, HUGE, DEEP, "", "1", LONG, [], {}, [None], {"a": []}]
WRONG += [
    "<script>alert(1)</script>",
    "\x1b[31m[bold]",
    "a\nb",
    "../../etc",
    float("nan"),
    float("inf"),
    [[[1]]],
    "\ud800",
]
LONGER = ["evaluation.curve_points=2", "total_timesteps=64"]
TESTS = Path(__file__).resolve().parent.parent / "tests"


def make_materials(folder: Path, few: bool) -> None:
    """Makes what is damaged later: demonstrations, annotations, answers, a ledger; unless few, runs and a model."""
    sys.path[:0] = [str(TESTS), str(TESTS / "lm")]
    from wean.data.trajectories import read_trajectories, write_paths
    from wean.llm import Ledger, scripted_model
    from wean.llm.transfer import export_lines
    from word_demos import write

    write(folder, count=4)
    _make("demos", "FrozenLake4x4", "--policy", "expert", "--episodes", "6", "--out", "demos.parquet")
    rows = [
        {"task": one.task, "variation": one.variation, "description": one.description}
        | {"path": [step._asdict() for step in one.path]}
        for one in read_trajectories(Path("demos.jsonl")).found
    ]
    write_paths(Path("paths.parquet"), rows, {"version": "1"})
    with Ledger(folder / "asked.sqlite") as ledger:
        model = scripted_model(lambda messages: "explore", ledger=ledger)
        model.generate([[{"role": "user", "content": f"question {number}"}] for number in range(5)], n=2)
        with Path("answers.jsonl").open("w") as out:
            export_lines(ledger, out)
    if not few:
        _make_runs()
        _make_model(folder / "model")


def _make(*words: str) -> None:
    try:
        command(*words)()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(words) from None


def _make_runs() -> None:
    _make("train", "ppo", *METHODS["ppo"], *LONGER, "--out", "run")
    shutil.copytree("run", "unfinished")
    for name in ("summary.json", "report.html", "episodes.json"):
        Path("unfinished", name).unlink(missing_ok=True)
    shutil.rmtree("unfinished/student")
    _make("train", "cql", *METHODS["cql"], "--out", "values")
    _make("train", "llm4teach", *METHODS["llm4teach"], "--out", "taught")
    _make("train", "subgoals", *METHODS["subgoals"], "--out", "words")


def _make_model(folder: Path) -> None:
    from tiny import tiny_llama, tiny_tokenizer

    tokenizer = tiny_tokenizer()
    tiny_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


# --- damage --------------------------------------------------------------------------------------------------------


def in_bytes(content: bytes, draw: random.Random) -> bytes:
    """A file's content with some of it gone, turned over, or something else among it."""
    place = draw.randrange(len(content) + 1)
    match draw.randrange(9):
        case 0:
            return content[:place]
        case 1:
            return b""
        case 2:
            return b"\xef\xbb\xbf" + content
        case 3:
            return (
                content[:place]
                + draw.choice([b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"{", b"]", b"\n"])
                + content[place:]
            )
        case 4:
            return content[place:]
        case 5:
            return content[: place // 2] + content[place:]
        case 6:
            return content + content
        case _:
            flipped = bytearray(content or b"x")
            for _ in range(draw.choice([1, 1, 3, 20])):
                flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
            return bytes(flipped)


def in_value(value: Any, draw: random.Random) -> Any:
    """JSON or YAML with one thing in it replaced, removed or twice there."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        if draw.random() < 0.2:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: in_value(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.8:
        place = draw.randrange(len(value))
        if draw.random() < 0.2:
            return value[:place] + value[place + 1 :]
        return [*value[:place], in_value(value[place], draw), *value[place + 1 :]]
    return draw.choice(WRONG)


def as_json(value: Any) -> str:
    """The value as JSON; a number of 5,000 digits and 100,000 nested brackets among it where they are named."""
    text = json.dumps(value)
    return text.replace(f'"{HUGE}"', "9" * 5_000).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)


def damaged(content: bytes, suffix: str, draw: random.Random) -> bytes:
    """A file's content, damaged as a whole or, where it is JSON or YAML, in a value."""
    if suffix in (".json", ".jsonl", ".yaml") and draw.random() < 0.75:
        import yaml

        if suffix == ".yaml":
            changed = in_value(yaml.safe_load(content), draw)
            return yaml.safe_dump(changed).replace(HUGE, "9" * 5_000).replace(DEEP, "[" * 3_000 + "]" * 3_000).encode()
        lines = [json.loads(line) for line in content.splitlines()] if suffix == ".jsonl" else [json.loads(content)]
        place = draw.randrange(len(lines))
        lines[place] = in_value(lines[place], draw)
        return "\n".join(map(as_json, lines)).encode("utf-8", "surrogatepass") + b"\n"
    return in_bytes(content, draw)


def _with_damage(path: str, number: int, act: Act) -> None:
    """Damages a file, the same number in the same way, or puts a folder in its place where it is 0, and goes on."""
    file = Path(path)
    content = file.read_bytes()
    file.unlink()
    if number == 0:
        file.mkdir()
    else:
        file.write_bytes(damaged(content, file.suffix, random.Random(f"{SEED}-{path}-{number}")))
    act()


def _many(kind: str, files: dict[str, list[tuple[str, Act]]], times: int) -> Found:
    for path, acts in files.items():
        for number in range(times):
            for name, act in acts:
                yield kind, f"{path} #{number} {name}", partial(_with_damage, path, number, act)


def _act_with(folder: str) -> None:
    import numpy as np

    import wean

    policy = wean.load(folder)
    policy.reset(seed=1)
    for seen in (0, 3, np.int64(1)):
        policy.act(seen)


def run_folders(materials: Path) -> Found:
    """Damaged files of finished and unfinished runs."""
    of_run: list[tuple[str, Act]] = [
        ("eval", command("eval", "run", "--episodes", "2")),
        ("compare", command("compare", "run", "taught", "--out", "page.html")),
        ("report", command("train", "ppo", *METHODS["ppo"], *LONGER,
                           "--out", "run", "--resume")),
    ]  # fmt: skip
    again = [("resume", command("train", "ppo", *METHODS["ppo"], *LONGER,
                                "--out", "unfinished", "--resume"))]  # fmt: skip
    steps = sorted(path.name for path in (materials / "unfinished" / "checkpoints").glob("step-*"))
    last = f"unfinished/checkpoints/{steps[-1] if steps else 'none'}"
    files = {f"run/{name}": of_run for name in ("config.yaml", "summary.json", "metrics.jsonl", "episodes.json")}
    for name in (
        "unfinished/config.yaml",
        "unfinished/metrics.jsonl",
        f"{last}/state.json",
        f"{last}/state.safetensors",
    ):
        files[name] = again
    files["taught/summary.json"] = [("compare", command("compare", "taught", "run"))]
    files["taught/teacher.json"] = [
        ("report", command("train", "llm4teach", *METHODS["llm4teach"], "--out", "taught", "--resume"))
    ]
    yield from _many("run folders", {k: v for k, v in files.items() if (materials / k).exists()}, 30)


def students(materials: Path) -> Found:
    """Damaged files of students."""
    files: dict[str, list[tuple[str, Act]]] = {}
    for run, task in (("run", LAKE), ("values", LAKE), ("taught", ["--task", "SimpleDoorKey"])):
        acts = [("eval", command("eval", run, *task, "--episodes", "2"))]
        if run == "run":
            acts.append(("load", partial(_act_with, "run")))
        for name in ("config.json", "model.safetensors"):
            files[f"{run}/student/{name}"] = acts
    of_words = [("load", partial(_load, "words"))]
    for path in sorted((materials / "words" / "student").rglob("*")):
        if path.is_file() and path.suffix in (".json", ".safetensors"):
            files[str(path.relative_to(materials))] = of_words
    yield from _many("students", files, 15)


def _load(folder: str) -> None:
    import wean

    wean.load(folder)


def model_folders(materials: Path) -> Found:
    """Damaged folders of local language models."""
    files: dict[str, list[tuple[str, Act]]] = {}
    for path in sorted((materials / "model").glob("*")):
        files[f"model/{path.name}"] = [("generate", _generate)]
    yield from _many("model folders", files, 20)


def _generate() -> None:
    from wean.llm import open_model

    with open_model("hf:model") as model:
        model.generate([[{"role": "user", "content": "Where?"}]], max_tokens=2)


def demonstrations(materials: Path) -> Found:
    """Damaged demonstrations, annotations, recorded answers and ledgers, and columns of other types."""
    kind = "demonstrations"
    offline = ("cql", command("train", "cql", *METHODS["cql"], "--out", "new"))
    words = ("subgoals", command("train", "subgoals", *METHODS["subgoals"], "--out", "new"))
    annotate = ("annotate", command(*COMMANDS["annotate"]))
    ask = ("ask", command("ask", "SimpleDoorKey", "--episodes", "1", "--model", "recorded:answers.jsonl"))
    files: dict[str, list[tuple[str, Act]]] = {
        "demos.parquet": [offline],
        "demos.jsonl": [annotate, ("export", command(*COMMANDS["export-sft"]))],
        "paths.parquet": [("annotate", command("annotate", "paths.parquet", "--model", "recorded:answers.jsonl"))],
        "subgoals.jsonl": [words, ("annotate", command(*COMMANDS["annotate"], "--out", "subgoals.jsonl"))],
        "answers.jsonl": [ask, ("import", command(*COMMANDS["ledger import"]))],
        "asked.sqlite": [
            ("stats", command("ledger", "stats", "--ledger", "asked.sqlite")),
            ("export", command("ledger", "export", "--ledger", "asked.sqlite")),
        ],
    }
    yield from _many(kind, files, 25)
    for path, (name, act) in (("demos.parquet", offline), ("paths.parquet", files["paths.parquet"][0])):
        for changed in _tables(materials / path):
            yield kind, f"{path} {changed[0]} {name}", partial(_with_table, path, changed[1], act)


Change = Callable[[Any], Any]


def _tables(path: Path) -> Iterator[tuple[str, Change]]:
    """Changes of a Parquet file's columns."""
    import pyarrow.parquet as pq

    names = pq.read_schema(path).names
    for name in names:
        for how in (
            "dropped",
            "renamed",
            "null",
            "text",
            "dictionary",
            "large",
            "struct",
            "bytes",
            "negative",
            "half null",
        ):
            yield f"{name} {how}", partial(_changed_column, name, how)
    yield "reversed", lambda table: table.take(list(range(len(table)))[::-1])
    yield "columns reversed", lambda table: table.select(table.column_names[::-1])
    yield "empty", lambda table: table.slice(0, 0)
    yield "without metadata", lambda table: table.replace_schema_metadata({})
    yield (
        "strange metadata",
        lambda table: table.replace_schema_metadata(
            {**table.schema.metadata, b"task": b"\xff\xfe", b"version": b"\xff", b"goal": b"\xff"}
        ),
    )


def _changed_column(name: str, how: str, table: Any) -> Any:
    import pyarrow as pa

    place, column, rows = table.column_names.index(name), table[name], len(table)
    if how == "dropped":
        return table.remove_column(place)
    if how == "renamed":
        return table.rename_columns([f"{one}?" if one == name else one for one in table.column_names])
    values = column.to_pylist()
    other: dict[str, Callable[[], Any]] = {
        "null": lambda: pa.nulls(rows),
        "text": lambda: pa.array([str(value) for value in values]),
        "dictionary": lambda: column.combine_chunks().dictionary_encode(),
        "large": lambda: pa.array([str(value) for value in values], pa.large_string()),
        "struct": lambda: pa.array([{"a": 1}] * rows),
        "bytes": lambda: pa.array([b"\xff\xfe"] * rows),
        "negative": lambda: pa.array([-1] * rows),
        "half null": lambda: pa.array([None if row % 2 else value for row, value in enumerate(values)], column.type),
    }
    try:
        return table.set_column(place, name, other[how]())
    except pa.ArrowNotImplementedError:  # lists have no dictionary
        return table.remove_column(place)


def _with_table(path: str, change: Change, act: Act) -> None:
    import pyarrow.parquet as pq

    table = change(pq.read_table(path))
    pq.write_table(table, path)
    act()


# --- answers -------------------------------------------------------------------------------------------------------

NESTED = "[" * 100_000
ANSWERS = [
    "", " ", "\x00", "\ud800", NESTED, NESTED + "]" * 100_000, '{"a":' * 50_000, "9" * 5_000, "{" * 3,
    "```json", "<think>",
    "</think>", "<think>" * 1_000, "null", "NaN", "[NaN, Infinity]", '{"plans": null}', '{"plans": [[]]}',
    '{"plans": {"a": 1}}',
    '{"plans": [{"plan": 3, "probability": "x"}]}', '{"plans": [{"plan": ["explore"], "probability": 1e400}]}',
    '{"plans": [{"plan": ["explore"], "probability": -1}]}', '{"explore": ' + "9" * 5_000 + "}", '{"explore": 1e999}',
    '[{"choice": "explore", "probability": null}]', '["explore"', "explore " * 50_000, "\u202e\u200b\ufeff", "1-2: x(y",
    "0-0: a()", "5-1: a(b)", "1-99999999999999999999: a(b)", "1-2: " + "a(" * 5_000, "Action: ",
    "Action: \n\n\n", "Action: explore" * 99,
    '{"action": {"a": []}}', '{"action": 7}', '{"rating": "\u00bd"}', "\u0661\u0662", "A" * 1_000_000,
    "\n" * 100_000, "(" * 20_000,
]  # fmt: skip
CHOICES = ("explore", "go to key", "")


def answers() -> Found:
    """Answers of models that are none, to every kind of question."""
    for number, text in enumerate(ANSWERS):
        for door in ("verbalized", "samples", "prior", "rate", "annotate", "agent", "scores"):
            yield "answers", f"{door} {number} {text[:20]!r}", partial(_answered, door, text)


def _answered(door: str, text: str) -> None:
    from wean.data.trajectories import PathStep, Trajectory
    from wean.llm import scripted_model
    from wean.tasks.situation import Situation
    from wean.teachers.elicitation import AdviceConfig, rate
    from wean.teachers.priors import Prior
    from wean.teachers.teacher import Teacher

    model = scripted_model(lambda messages: text, score=lambda messages, candidates: json.loads(text))
    situations = [Situation("Open the door.", "You see a key.", CHOICES[:2])]
    if door in ("verbalized", "samples"):
        Teacher(model, AdviceConfig(elicitation=door)).advise(situations)
    elif door == "scores":
        Teacher(model, AdviceConfig(elicitation="logprobs")).advise(situations)
    elif door == "prior":
        Prior(model).propose(situations)
    elif door == "rate":
        rate(model, situations)
    elif door == "annotate":
        from wean.annotation.annotator import Annotator

        steps = tuple(PathStep(f"action {number}") for number in range(3))
        Annotator(model).annotate([(Trajectory("carry", 0, "Carry it.", steps), None)])
    else:
        import wean
        from wean.agents.react import ReactPolicy

        wean.evaluate(ReactPolicy(model, None, 0.0), "SimpleDoorKey", episodes=1)


def _completion(**changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "explore"}
    whole: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
    whole["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {**whole, "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}, **changes}


def endpoints() -> Found:
    """Responses of servers that are damaged or odd."""
    draw = random.Random(7)
    bodies = [as_json(in_value(_completion(), draw)).encode("utf-8", "surrogatepass") for _ in range(100)]
    bodies += [in_bytes(as_json(_completion()).encode(), draw) for _ in range(40)]
    bodies += [as_json({"error": in_value({"message": "no", "code": 402}, draw)}).encode() for _ in range(10)]
    for number, body in enumerate(bodies):
        for status in (200, 400, 500):
            yield "endpoints", f"response {number} {status}", partial(_served, body, status)


def _served(body: bytes, status: int) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from wean.llm import open_model

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = f"http://127.0.0.1:{server.server_address[1]}/v1#m"
    with open_model(name, retries=1, retry_base=0.01, timeout=5) as model:
        model.generate([[{"role": "user", "content": "Where?"}]])
