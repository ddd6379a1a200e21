"""What wean does that no processor changes: plays, words, questions, answers and sub-goals, as plain data.

Only the helpers at the top know where things are in wean; below they are called. Everything here is deterministic, and
nothing goes through a network of weights.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from wean.agents.react import ReactPolicy
from wean.agents.references import RandomPolicy
from wean.annotation.annotator import Annotator, RecordedAnnotator, answer_text
from wean.annotation.propagation import Propagator
from wean.data.parts import Blocks
from wean.data.replay import NStep, Replay
from wean.data.shipped import shipped
from wean.errors import UsageError
from wean.evaluation.demonstrations import DemoPlan, demonstrate
from wean.evaluation.evaluate import play_seeds
from wean.evaluation.playing import play
from wean.experiment.presets import BUILD_DECISIONS, METHODS
from wean.experiment.settings import resolve
from wean.llm import Ledger, scripted_model
from wean.llm.answers import Question
from wean.llm.transfer import export_lines
from wean.runtime.prompt import EpisodeEncoder, PromptConfig
from wean.students.text.examples import encode_episode, sft_rows
from wean.tasks.registration import TASKS, make_task
from wean.tasks.splits import Case
from wean.tasks.vector import SerialTasks, chosen
from wean.teachers.elicitation import AdviceConfig, PriorConfig, rate
from wean.teachers.priors import Prior
from wean.teachers.teacher import Teacher

HEAVY = ("TextWorldCooking", "TextWorldTreasure", "TextWorldCoin", "ScienceWorld")
SEEDS = (0, 10_000)
STEPS = 100

# ---- Helpers: all that knows wean's modules and classes ---------------------------------------------------------


def light_tasks() -> list[str]:
    """The registered tasks of numbers that need no other program; ALFWorld has golden walks of its own."""
    return [name for name in TASKS if name not in HEAVY and not name.startswith("ALFWorld")]


def tasks_of(name: str) -> SerialTasks:
    """One task by its name."""
    return SerialTasks([partial(make_task, name)])


def known_or_none(ask: Callable[[Sequence[int]], list[Any]]) -> Any:
    """What a task says of its only member; None where it cannot."""
    try:
        return ask([0])[0]
    except UsageError:
        return None


@cache
def recorded(name: str) -> dict[str, str]:
    """The shipped recorded answers by question."""
    lines = resources.files("wean.llm").joinpath("recorded", f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {json.dumps(row["messages"]): row["answer"] for row in reversed(rows)}


def asking(
    ask: Callable[[Any], Any], answer: Callable[[list[dict[str, str]]], str]
) -> tuple[Any, list[dict[str, Any]]]:
    """Lets something ask a model; returns what it made of the answers, and the ledger's rows with their keys."""

    def score(messages: list[dict[str, str]], candidates: list[str]) -> list[float]:
        return [-len(candidate) / 8 for candidate in candidates]

    with Ledger(":memory:") as ledger:
        made = ask(scripted_model(lambda messages: answer(messages), name="golden", score=score, ledger=ledger))
        rows = exported(ledger)
    for row in rows:
        question = Question.build(row["kind"], row["model"], row["messages"], row["parameters"])
        row["key"] = question.digest.hex()
    return made, sorted(rows, key=lambda row: (row["key"], row["sample"]))


def exported(ledger: Ledger) -> list[dict[str, Any]]:
    """What a ledger holds, as `wean ledger export` writes it."""
    import io

    out = io.StringIO()
    export_lines(ledger, out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def advice(situations: Sequence[Any], model: Any, elicitation: str = "verbalized") -> list[Any]:
    """What a teacher makes of the answers: for each situation its plans with their probabilities."""
    found = Teacher(model, AdviceConfig(elicitation=elicitation)).advise(situations)
    return [[[list(plan), _rounded(probability)] for plan, probability in one.plans] for one in found]


def priors(situations: Sequence[Any], model: Any, elicitation: str = "verbalized") -> list[Any]:
    """What a prior makes of the answers: for each situation its weights over the choices."""
    prior = Prior(model, PriorConfig(elicitation=elicitation))
    return [list(map(_rounded, found.weights)) for found in prior.propose(situations)]


def ratings(situations: Sequence[Any], model: Any) -> Any:
    """What a judge makes of the answers."""
    return [dict(verdict.ratings) for verdict in rate(model, situations)]


def agents_play(task: str, history: int, model: Any) -> Any:
    """How a language model plays three episodes, a skill a question."""
    tasks = tasks_of(task)
    played = play_seeds(ReactPolicy(model, history), tasks, 3, 10_000)
    asked = [[one.stats[name] for name in ("questions", "failed", "tokens")] for one in played.played]
    return [list(map(float, played.returns)), list(map(int, played.lengths)), asked]


def agent_in_words(task: Any, model: Any) -> Any:
    """How a language model plays a task in words."""
    (episode,) = play(ReactPolicy(model, history=2), SerialTasks([lambda: task]), [Case("golden", 0, 0)], max_moves=10)
    return [list(entry.values()) for entry in episode.stats["trace"]]


def demonstrations(name: str = "scienceworld") -> list[tuple[Any, Any]]:
    """Shipped demonstrations, each with its sub-goals."""
    return list(shipped(name).examples)


def student_rows(trajectory: Any, annotation: Any, form: str) -> list[Any]:
    """A demonstration as a student that is fed step by step reads it."""
    known = {trajectory.key: annotation} if annotation else {}
    return [list(row.values()) for row in sft_rows([trajectory], known, form)]


def told_whole(trajectory: Any, annotation: Any) -> list[str]:
    """A demonstration as a student that is fed in sequence reads it: its windows."""
    episode = EpisodeEncoder(lambda text: list(map(ord, text)), PromptConfig(context=6000))
    return ["".join(map(chr, window.ids)) for window in encode_episode(trajectory, annotation, episode, 100).windows]


def propagated(examples: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Sub-goals that are carried from some demonstrations to others, with the confidence in them."""
    propagator = Propagator(examples, others)
    return [[_goals(found), _rounded(found.confidence)] for found in map(propagator.propagate, others)]


def annotated(examples: Sequence[Any], model: Any) -> list[Any]:
    """What the annotator makes of the answers, and what it had to put right."""
    requests = [(trajectory, examples[0] if number % 2 else None) for number, (trajectory, _) in enumerate(examples)]
    outcomes = Annotator(model).annotate(requests)
    return [[_goals(one.annotation), one.questions, {k: v for k, v in one.faults.items() if v}] for one in outcomes]


def looked_up(examples: Sequence[Any], name: str = "scienceworld") -> list[Any]:
    """Recorded annotations of demonstrations."""
    found = shipped(name)
    annotator = RecordedAnnotator("recorded", found.annotations, found.trajectories)
    return [_goals(one.annotation) for one in annotator.annotate([(trajectory, None) for trajectory, _ in examples])]


def lines_of(annotation: Any) -> str:
    """Sub-goals as an annotator answers them."""
    return answer_text(annotation.chunks)


def kept_episodes(task: str, folder: Path) -> list[Any]:
    """Rows of the demonstrations that are kept of a mixture of successes and failures."""
    import pyarrow.parquet as pq

    file = folder / "kept.parquet"
    job = {"task": task, "policy": "random", "episodes": 6, "share": 0.5, "seed": 0}
    plan = DemoPlan(task, partial(make_task, task), "random", lambda tasks: RandomPolicy())
    demonstrate(plan, Blocks(file, job, False), 6, 0.5)
    return [list(row.values()) for row in pq.read_table(file).to_pylist()]


def replayed_transitions(steps: Sequence[tuple[float, bool]], n: int, alpha: float) -> Any:
    """What n-step replay keeps of some steps, and what it draws."""
    replay = Replay(16, np.random.default_rng(0), alpha)
    summing = NStep(replay, 1, n, 0.5)
    for moment, (reward, ended) in enumerate(steps):
        summing.add(0, moment, moment % 3, reward, moment + 1, ended, ended)
    replay.set_priorities(np.arange(4), np.array([1, 2, 3, 4], np.float32))
    places, drawn, _ = replay.draw(8)
    return [places.tolist(), *(column.tolist() for column in drawn)]


def settings(method: str, task: str, model: str | None = None) -> dict[str, Any]:
    """The resolved settings of a method on a task, by dotted name."""
    found: dict[str, Any] = {}
    todo = list(resolve(method, task, model=model).model_dump(mode="json").items())
    while todo:
        name, value = todo.pop()
        if isinstance(value, dict):
            todo += [(f"{name}.{inner}", one) for inner, one in value.items()]
        else:
            found[name] = value
    return dict(sorted(found.items()))


def _goals(annotation: Any) -> Any:
    return None if annotation is None else [[str(chunk.subgoal), chunk.actions] for chunk in annotation.chunks]


# ---- What is kept, by file; nothing below knows wean's modules --------------------------------------------------


def environments() -> dict[str, Any]:
    """For each light task and two reset seeds what pseudo-random actions lead to."""
    return {name: {str(seed): _trace(name, seed) for seed in SEEDS} for name in light_tasks()}


def _trace(name: str, seed: int) -> dict[str, Any]:
    """Some steps, half at random; a task that ends is reset with the next seed."""
    tasks, draw = tasks_of(name), random.Random(f"{name} {seed}")
    kinds = ("observations", "steps", "words", "skills", "best", "explorer", "achieved", "cells")
    seen: dict[str, list[Any]] = {kind: [] for kind in kinds}
    observation, episode = tasks.reset([0], [seed])[0], 0
    for _ in range(STEPS):
        (now,) = tasks.situations([0])
        seen["observations"].append([str(observation.dtype), observation.shape, observation.tobytes().hex()])
        seen["words"].append([now.goal, now.text, now.choices])
        (leading,) = tasks.first_actions([0], [[(choice,) for choice in now.choices]])
        seen["skills"].append(leading)
        seen["best"].append(known_or_none(tasks.best_actions))
        seen["explorer"].append(known_or_none(tasks.scripted_actions))
        cells = known_or_none(tasks.named_cells)
        seen["cells"].append(cells if cells is None else sorted(cells))  # which first, is not promised
        number = _pick(draw, int(tasks.action_space.n), seen["best"][-1] or [], leading)
        stepped = tasks.step([0], [number])
        seen["achieved"].append(known_or_none(tasks.achieved))
        ended = bool(stepped.terminated[0]), bool(stepped.truncated[0])
        success = float(stepped.successes[0])
        told = [number, float(stepped.rewards[0]), *ended, None if success != success else success]
        seen["steps"].append([*told, int(stepped.primitive_steps[0])])
        observation = stepped.observations[0]
        if any(ended):
            episode += 1
            observation = tasks.reset([0], [seed + episode])[0]
    again = tasks_of(name).replay(tasks.histories())[0]
    assert again.tobytes() == observation.tobytes(), "replayed, a task is where it was"
    hashes = {kind: digest(value) for kind, value in seen.items() if any(one is not None for one in value)}
    last = {"text": seen["words"][-1][1], "choices": seen["words"][-1][2]}
    return {"hashes": hashes, "ended": episode, "rewards": _rounded(sum(one[1] for one in seen["steps"])), **last}


def _pick(draw: random.Random, count: int, best: Sequence[int], leading: Sequence[int | None]) -> int:
    """An action: half at random, else one of the best, or one with which a skill begins."""
    wanted = best or [action for action in leading if action is not None]
    return draw.choice(wanted) if wanted and draw.random() < 0.5 else draw.randrange(count)


def situations_of(name: str, episodes: int = 3, steps: int = 80) -> list[Any]:
    """The distinct situations that random skills meet."""
    tasks, draw, met = tasks_of(name), random.Random(name), {}
    for seed in range(episodes):
        tasks.reset([0], [seed])
        plan: tuple[str, ...] = ()
        for _ in range(steps):
            (now,) = tasks.situations([0])
            met.setdefault(now.key, now)
            action = tasks.first_actions([0], [[plan]])[0][0] if plan else None
            if action is None or draw.random() < 0.2:
                plan = (draw.choice(now.choices),)
                action = tasks.first_actions([0], [[plan]])[0][0]
            number = draw.randrange(int(tasks.action_space.n)) if action is None else action
            stepped = tasks.step([0], chosen(tasks, [0], np.array([number])))
            if stepped.terminated[0] or stepped.truncated[0]:
                break
    return list(met.values())


def questions() -> dict[str, Any]:
    """Questions of those who ask, word for word, with the ledger's keys, and what the recorded answers give."""
    found: dict[str, Any] = {}
    for make, recording, names in (
        (advice, "doorkey", ("SimpleDoorKey", "ColoredDoorKey", "LavaDoorKey", "KeyInBox", "RandomBoxKey", "TwoDoor")),
        (advice, "minigrid", ("KeyCorridorS3R3", "MultiRoomN2S4", "ObstructedMaze1Dlh")),
        (priors, "kitchen", ("Kitchen", "KitchenRandom", "KitchenTomato")),
        (priors, "frozenlake", ("FrozenLake", "FrozenLake4x4")),
        (ratings, "minigrid", ("MultiRoomN2S4", "SimpleDoorKey")),
        (partial(advice, elicitation="samples"), "doorkey", ("ColoredDoorKey",)),
        (partial(advice, elicitation="logprobs"), "doorkey", ("ColoredDoorKey",)),
        (partial(priors, elicitation="samples"), "kitchen", ("KitchenTomato",)),
        (partial(priors, elicitation="logprobs"), "kitchen", ("KitchenTomato",)),
    ):
        how = [*make.keywords.values()] if isinstance(make, partial) else []
        for name in names:
            met = situations_of(name)
            title = " ".join([make.func.__name__ if how else make.__name__, name, *how])
            found[title] = _kept(*asking(partial(make, met), _answering(recording)))
    for name, history in (("ColoredDoorKey", 0), ("KeyInBox", 0), ("SimpleDoorKey", 2)):
        played = asking(partial(agents_play, name, history), _answering("react"))
        found[f"agent {name} {history}"] = _kept(*played)
    return found


def _answering(recording: str) -> Callable[[list[dict[str, str]]], str]:
    known = recorded(recording)
    return lambda messages: known.get(json.dumps(messages), "I do not know.")


def _kept(made: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Questions, keys and results as hashes, the first of them in full."""
    asked = [[row["kind"], row["messages"], row["parameters"], row["sample"], row["answer"]] for row in rows]
    unknown = sum(row["answer"] == "I do not know." for row in rows)
    hashes = {"questions": digest(asked), "keys": digest([row["key"] for row in rows]), "made": digest(made)}
    first = {"messages": rows[0]["messages"][-1:], "key": rows[0]["key"]}
    return {"count": len(rows), "unknown": unknown, "hashes": hashes, "first": first, "made": _beginning(made)}


def words() -> dict[str, Any]:
    """A language model in the loop of a task in words, and what text students read."""
    found: dict[str, Any] = {}
    ones = demonstrations()[::29]
    found["student"] = {
        f"{trajectory.task} {trajectory.variation}": {
            "hashes": {
                "steps": digest(student_rows(trajectory, annotation, "completion")),
                "chat": digest(student_rows(trajectory, annotation, "chat")),
                "flat": digest(student_rows(trajectory, None, "completion")),
                "windows": digest(told_whole(trajectory, annotation)),
            },
            "window": told_whole(trajectory, annotation)[0][:1500],
        }
        for trajectory, annotation in ones
    }
    trajectory = min(demonstrations(), key=lambda one: len(one[0].actions))[0]
    commands = iter(trajectory.actions)
    replies: Iterator[str] = (json.dumps({"command": command}) for command in commands)
    made, rows = asking(partial(agent_in_words, Retold(trajectory)), lambda messages: next(replies))
    found["agent"] = _kept(made, rows)
    return found


class Retold(gym.Env[str, str]):
    """A task in words that goes through a demonstration, whatever is done."""

    observation_space = action_space = gym.spaces.Text(10_000)
    irrevocable: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    refusal_is_free = False
    max_moves = None
    meanings: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, trajectory: Any) -> None:
        self._path, self._at, self.score = trajectory.path, 0, 0.0
        self.description = trajectory.description

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        return self.look(), {}

    def look(self) -> str:
        return self._path[min(self._at, len(self._path) - 1)].look

    def inventory(self) -> str:
        return self._path[min(self._at, len(self._path) - 1)].inventory

    def situation(self) -> Any:
        class Now:
            choices = tuple(sorted({moment.action for moment in self._path}))

        return Now

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        moment = self._path[self._at]
        self._at += 1
        self.score = float(moment.score or 0)
        return moment.observation, 0.0, self._at == len(self._path), False, {"moves": self._at}


def subgoals() -> dict[str, Any]:
    """Sub-goals that are recorded, asked for, and propagated."""
    every = demonstrations()
    names = sorted({trajectory.task for trajectory, _ in every})[::5]
    examples = [one for name in names for one in [e for e in every if e[0].task == name][:2]]
    others = [trajectory for name in names for trajectory, _ in [e for e in every if e[0].task == name][2:4]]
    carried = propagated(examples, others)
    said = {trajectory.description: lines_of(annotation) for trajectory, annotation in examples}
    made, rows = asking(partial(annotated, examples), partial(_annotators_answer, said))
    return {
        "recorded": {"hash": digest(looked_up(every)), "first": looked_up(every[:2])},
        "asked": _kept(made, rows),
        "propagated": {f"{one.task} {one.variation}": goals for one, goals in zip(others, carried, strict=True)},
    }


def _annotators_answer(said: dict[str, str], messages: list[dict[str, str]]) -> str:
    """The recorded sub-goals; every second demonstration gets them with talk and a line missing."""
    text = [m["content"] for m in messages if m["content"].startswith("Task:")][-1]
    description = text.removeprefix("Task: ").split("\n\nThe ")[0]
    lines = said[description].splitlines()
    if len(description) % 2 and len(messages) < 5:
        lines = ["Of course!", *lines[:1], *lines[2:]]
    return "\n".join(lines)


def kept(folder: Path) -> dict[str, Any]:
    """What is kept of episodes: demonstrations of both kinds, and transitions for replay."""
    rows = kept_episodes("FrozenLake4x4Dry", folder)
    steps = [(0.0, False), (1.0, False), (0.25, True), (0.5, False), (0.0, False), (2.0, True)] * 3
    found: dict[str, Any] = {"episodes": {"count": len(rows), "hash": digest(rows), "first": _beginning(rows)}}
    for n, alpha in ((1, 0.0), (3, 0.0), (2, 0.5)):
        found[f"replay n={n} alpha={alpha:g}"] = replayed_transitions(steps, n, alpha)
    return found


def presets() -> dict[str, Any]:
    """The settings of every method on every light task: hashes, and those of its own task in full."""
    found = {}
    for name, method in METHODS.items():
        if method.build == BUILD_DECISIONS:  # it learns from logs: there is no task
            continue
        model = "recorded:FILE" if method.teaches else None  # few of the tasks have a recording of their own
        by_task = {task: digest(settings(name, task, model)) for task in light_tasks()}
        found[name] = {"full": settings(name, method.home), "hashes": by_task}
    return found


def digest(value: Any) -> str:
    """The beginning of the SHA-256 of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:24]


def _beginning(value: Any, most: int = 1200) -> Any:
    """As much of a list as can be read at a glance."""
    if isinstance(value, list):
        count = next((n for n in range(len(value), 0, -1) if len(json.dumps(value[:n])) <= most), 0)
        return value[:count]
    return value


def _rounded(number: Any) -> Any:
    """Digits on which all processors agree."""
    return None if number is None else float(f"{float(number):.9g}")
