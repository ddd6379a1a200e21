"""Is wean's ALFWorld the original? Both play the same commands side by side; every difference is counted.

    python benchmarks/alfworld_conformance.py --games FOLDER [--count 300] [--quick] [--json] [--save]

FOLDER holds the original game files: `json_2.1.1` as `alfworld-download` leaves it, or an unpacked copy. The original
is TextWorld's PDDL environment with ALFWorld's names of things: `pip install textworld[pddl] alfworld`.

walks      games of all types and splits: the game's own walkthrough, and a random walk of 20 commands, most of which
           take, put, open or use something, and some of which are not admissible. Compared are the introduction, each
           answer, the sorted admissible commands, score and end. What TextWorld's parsers make of a text is kept, so
           that each text is parsed once; nothing else of it is touched.
speed      the seconds of such commands, the list of admissible ones included, in both, one after the other: in 12
           games, with TextWorld as it is.
wins       the walkthroughs of all 3,827 games, played by wean alone: how many are admissible throughout and win.

What was compared is kept in `runs/alfworld_conformance.jsonl`; the same command goes on. `--write-walks FILE` writes
walks that were found equal in both, one of each type and split, by which the tests compare without the original.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from harness import MEASURED_ANEW, finish, hardware, options
from wean.tasks.alfworld.archive import Entry, archive
from wean.tasks.alfworld.engine import NOTHING_HAPPENS
from wean.tasks.alfworld.task import ALFWorld

KEPT = Path("runs/alfworld_conformance.jsonl")
KEPT_TIMES = Path("runs/alfworld_speed.jsonl")
TIMED = 12
"""Games in which the original is timed as it is."""
STEPS = 20
"""Commands of a random walk."""
GAMES_OF_A_PROCESS = 40
"""After so many games a new process plays: the original's memory grows by some megabytes with each."""
_DULL = ("go to", "look", "inventory", "help", "examine")
_WRONG = ("dance", "go to nowhere 1", "take apple 99 from fridge 1", "")


class Seen(NamedTuple):
    """What a command leads to."""

    answer: str
    admissible: list[str]
    score: int
    over: bool


def keep_parses() -> None:
    """Lets TextWorld parse each text of its grammars and each of their conditions once in a process."""
    from textworld.envs.pddl import textgen
    from textworld.logic import Rule

    parse = lru_cache(maxsize=None)(partial(textgen._parse_and_convert, rule_name="symbols"))
    textgen._parse_and_convert = lambda text, **_: deepcopy(parse(text))
    Rule.parse_conjunctive_query = lru_cache(maxsize=None)(Rule.parse_conjunctive_query)


class Original:
    """A game in TextWorld's PDDL environment, with ALFWorld's names of things."""

    def __init__(self, path: Path) -> None:
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
        from textworld import EnvInfos
        from textworld.envs.pddl import PddlEnv

        self._env = AlfredDemangler(PddlEnv(EnvInfos(admissible_commands=True, score=True, won=True)))
        begun = time.perf_counter()
        self._env.load(str(path))
        state = self._env.reset()
        self.start_seconds = time.perf_counter() - begun
        self.first = self._seen(state, 0, False)

    def again(self) -> Seen:
        """Begins the game anew."""
        return self._seen(self._env.reset(), 0, False)

    def step(self, command: str) -> Seen:
        """Gives a command."""
        state, score, over = self._env.step(command)
        return self._seen(state, score, over)

    def _seen(self, state: Any, score: int, over: bool) -> Seen:
        return Seen(state.feedback, state["admissible_commands"], int(score), bool(over))


class Own:
    """The same game in wean."""

    def __init__(self, number: int) -> None:
        begun = time.perf_counter()
        self._task = ALFWorld(game=number, max_moves=None)
        text, _ = self._task.reset(seed=0)
        choices = list(self._task.situation().choices)
        self.start_seconds = time.perf_counter() - begun
        self.first = Seen(text, choices, 0, False)

    def step(self, command: str) -> Seen:
        """Gives a command."""
        text, reward, terminated, _, _ = self._task.step(command)
        return Seen(text, list(self._task.situation().choices), int(reward), terminated)


def chosen(count: int) -> list[Entry]:
    """Games of all types and splits, as evenly as there are."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in archive().entries:
        groups.setdefault((entry.split, entry.kind), []).append(entry)
    found: list[Entry] = []
    for turn in range(max(map(len, groups.values()))):
        found += [some[turn] for some in groups.values() if turn < len(some)]
    return found[:count]


def next_command(admissible: Sequence[str], draw: random.Random) -> str:
    """A random command, mostly one that changes something."""
    if draw.random() < 0.05:
        return draw.choice(_WRONG)
    lively = [command for command in admissible if not command.startswith(_DULL)]
    return draw.choice(lively if lively and draw.random() < 0.6 else list(admissible))


def compare(entry: Entry, path: Path, stock: bool = False) -> dict[str, Any]:
    """Plays a game in both, with the original's parses kept unless `stock`; returns differences, steps and seconds."""
    if not stock and not _keeping:
        keep_parses()
        _keeping.append(True)
    differences: Counter[str] = Counter()
    examples: list[str] = []
    seconds = {"original": 0.0, "wean": 0.0}
    steps = refused = 0
    draw = random.Random(entry.number)
    walkthrough = list(archive().open(entry).walkthrough)
    original, own = Original(path), Own(entry.number)
    starts = {"original": original.start_seconds, "wean": own.start_seconds}
    _note(differences, examples, original.first, own.first, f"{entry.name}: the start")
    for plan in (walkthrough, None):
        now = original.first
        if plan is None:
            now, own = original.again(), Own(entry.number)
        for turn in range(STEPS if plan is None else len(plan)):
            command = next_command(now.admissible, draw) if plan is None else plan[turn]
            begun = time.perf_counter()
            now = original.step(command)
            between = time.perf_counter()
            mine = own.step(command)
            seconds["original"] += between - begun
            seconds["wean"] += time.perf_counter() - between
            steps += 1
            refused += now.answer == NOTHING_HAPPENS
            _note(differences, examples, now, mine, f"{entry.name}: {command!r}")
            if now.over or mine.over:
                break
        if plan is not None and not now.over:
            differences["walkthrough"] += 1
    return {
        "number": entry.number, "split": entry.split, "kind": entry.kind, "steps": steps, "refused": refused,
        "differences": dict(differences), "examples": examples, "seconds": seconds, "start_seconds": starts,
    }  # fmt: skip


_keeping: list[bool] = []


def _note(differences: Counter[str], examples: list[str], theirs: Seen, ours: Seen, where: str) -> None:
    for name, one, other in zip(Seen._fields, theirs, ours, strict=True):
        if one != other:
            differences[name] += 1
            examples.append(f"{where}: {name} is {one!r} in the original and {other!r} here"[:1_000])


def compare_all(entries: Sequence[Entry], games: Path, kept: Path, stock: bool) -> list[dict[str, Any]]:
    """Compares games that were not compared before, in processes of some games each; returns all rows."""
    lines = kept.read_text().splitlines() if kept.exists() else []
    rows = {row["number"]: row for row in map(json.loads, lines)}
    wanted = [entry for entry in entries if entry.number not in rows]
    kept.parent.mkdir(exist_ok=True)
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=GAMES_OF_A_PROCESS) as pool:
        files = [_file_of(games, entry) for entry in wanted]
        for row in pool.map(compare, wanted, files, [stock] * len(wanted)):
            rows[row["number"]] = row
            with kept.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            print(f"{len(rows)} of {len(entries)} games, {row['differences'] or 'no'} differences", flush=True)
    return [rows[entry.number] for entry in entries]


def _file_of(games: Path, entry: Entry) -> Path:
    return games / entry.split / entry.name / "game.tw-pddl"


def wins() -> dict[str, int]:
    """How many walkthroughs win in wean."""
    found = Counter({"games": 0, "admissible": 0, "won": 0, "commands": 0})
    for entry in archive().entries:
        game = archive().open(entry)
        own = Own(entry.number)
        now, admissible = own.first, True
        for command in game.walkthrough:
            admissible &= command in now.admissible
            now = own.step(command)
            found["commands"] += 1
            if now.over:
                break
        found["games"] += 1
        found["admissible"] += admissible
        found["won"] += now.score
    return dict(found)


def alone(count: int) -> float:
    """Steps per CPU second of wean alone, with situations, under random commands."""
    task, draw = ALFWorld(), random.Random(0)
    task.reset(seed=0)
    begun = time.process_time()
    for step in range(count):
        if task.step(draw.choice(task.situation().choices))[2] or task.moves >= 50:
            task.reset(seed=step)
    return count / (time.process_time() - begun)


def write_walks(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the random walks of compared games, which were equal in both: a line a game.

    Each step is its command, the answer, a digest of what is admissible then, and the score.
    """
    lines = []
    for row in rows:
        if row["differences"]:
            raise SystemExit(f"game {row['number']} is told otherwise by the original: mend the engine first")
        own, draw = Own(row["number"]), random.Random(row["number"])
        now, steps = own.first, []
        for _ in range(STEPS):
            command = next_command(now.admissible, draw)
            now = own.step(command)
            steps.append([command, now.answer, digest(now.admissible), now.score])
            if now.over:
                break
        name = archive().entries[row["number"]].name
        first = [own.first.answer, digest(own.first.admissible)]
        lines.append(json.dumps({"game": name, "first": first, "steps": steps}))
    path.write_text("\n".join(lines) + "\n")


def digest(admissible: Sequence[str]) -> str:
    """A short digest of admissible commands."""
    return hashlib.sha256("\n".join(admissible).encode()).hexdigest()[:12]


def main() -> None:
    """Compares and prints."""
    parser = options(__doc__, MEASURED_ANEW)
    parser.add_argument("--games", type=Path, required=True, help="the folder json_2.1.1 of the original files")
    parser.add_argument("--count", type=int, default=300, help="games that are compared")
    parser.add_argument("--write-walks", type=Path, help="write walks for the tests, and stop")
    arguments = parser.parse_args()
    if not (arguments.games / "valid_seen").is_dir():
        parser.exit(2, f"{arguments.games} has no valid_seen; name the folder json_2.1.1 of ALFWorld's game files\n")
    if arguments.write_walks:
        write_walks(arguments.write_walks, compare_all(chosen(18), arguments.games, KEPT, stock=False))
        return
    entries = chosen(18 if arguments.quick else arguments.count)
    timed = compare_all(entries[: 3 if arguments.quick else TIMED], arguments.games, KEPT_TIMES, stock=True)
    _tell(arguments, compare_all(entries, arguments.games, KEPT, stock=False), timed)


def _tell(arguments: argparse.Namespace, rows: list[dict[str, Any]], timed: list[dict[str, Any]]) -> None:
    differences: Counter[str] = Counter(dict.fromkeys((*Seen._fields, "walkthrough"), 0))
    for row in (*rows, *timed):
        differences.update(row["differences"])
    ratios = sorted(row["seconds"]["original"] / row["seconds"]["wean"] for row in timed)
    steps = sum(row["steps"] for row in rows)
    rates = {
        who: sum(row["steps"] for row in timed) / sum(row["seconds"][who] for row in timed)
        for who in ("original", "wean")
    }
    starts = {who: 1000 * statistics.median(row["start_seconds"][who] for row in timed) for who in rates}
    results = {
        "games": len(rows),
        "games_of": dict(Counter(f"{row['split']} {row['kind']}" for row in rows)),
        "steps": steps,
        "refused": sum(row["refused"] for row in rows),
        "differences": dict(differences),
        "examples": [example for row in rows for example in row["examples"]][:20],
        "steps_per_second": rates,
        "ratio": {"median": statistics.median(ratios), "low": ratios[0], "high": ratios[-1]},
        "start_ms": starts,
        "alone_steps_per_cpu_second": alone(20_000),
        "walkthroughs": wins(),
    }
    found, ratio, won = results["differences"], results["ratio"], results["walkthroughs"]
    markdown = f"""\
| what | number |
|---|---|
| games compared, of all types and splits | {len(rows)} |
| commands in both | {steps:,} ({results["refused"]} not admissible) |
| differences of answers, admissible commands, score, end | {", ".join(str(found[name]) for name in Seen._fields)} |
| walkthroughs that do not win in the original | {found["walkthrough"]} |
| walkthroughs that win in wean | {won["won"]:,} of {won["games"]:,} ({won["admissible"]:,} admissible throughout) |
| steps a second with admissible commands, side by side | {rates["wean"]:,.0f} beside {rates["original"]:.1f} |
| how many times as fast, median of the games | {ratio["median"]:,.0f} ({ratio["low"]:,.0f} to {ratio["high"]:,.0f}) |
| start of a game, median | {starts["wean"]:.2f} ms beside {starts["original"]:,.0f} ms |
| steps a CPU second of wean alone, with situations | {results["alone_steps_per_cpu_second"]:,.0f} |
"""
    finish("alfworld_conformance", hardware("textworld"), results, markdown, arguments)


if __name__ == "__main__":
    main()
