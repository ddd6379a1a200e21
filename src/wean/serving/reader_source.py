"""A student that reads, with held-out episodes of its task: what is exported, and how near it stays to the original."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wean.agents.exported import load_exported
from wean.agents.policy import Policy
from wean.agents.reading import ReaderPolicy, reader_of
from wean.evaluation.evaluate import Plan, Player, evaluate_plan, seed_cases
from wean.evaluation.playing import Observer, play
from wean.runtime.decoding import Network, NetworkDecoder
from wean.runtime.folder import Folder
from wean.runtime.policy import READS
from wean.runtime.prompt import PROMPT_VERSION
from wean.runtime.reading import Reader, open_network
from wean.serving.parity import Parity
from wean.serving.reader import SPARE, check_readable, write_reader
from wean.serving.sources import Loss, Say
from wean.students.config import Acting
from wean.students.text.creation import merged
from wean.students.text.incremental import incremental
from wean.students.text.student import TextStudent, load_text_student
from wean.tasks.registration import episodes_of, make_task, short_name
from wean.tasks.splits import FINAL_SEED, Case
from wean.tasks.vector import MakeTask, SerialTasks, ShownTasks, Tasks

_MOST_CASES, _COMPARED_MOVES = 2_000, 30
_LOSS_EPISODES, _LOSS_MOVES = 30, 100


@dataclass
class ReaderSource:
    """A student that reads; see `Source`."""

    student: TextStudent
    task: str
    tasks: ShownTasks
    cases: Sequence[Case]
    kind: str = READS
    acting: Acting = "no_repeat"

    @classmethod
    def of(cls, folder: Path, task: str | MakeTask) -> ReaderSource:
        """Reads a student's folder.

        Raises:
            UsageError: It cannot be exported.
            WeanError: It is damaged.
        """
        student = merged(load_text_student(folder))
        check_readable(student)
        if isinstance(task, str):
            tasks, name = SerialTasks([partial(make_task, task)]), short_name(task)
            cases: Sequence[Case] = _in_turn(episodes_of(name, "test", _MOST_CASES))
        else:
            tasks = SerialTasks([task])
            name, cases = tasks.name, seed_cases(tasks.name, _MOST_CASES, FINAL_SEED)
        tasks.text_task(0)  # a task in numbers is refused before anything is written
        return cls(student, name, tasks, cases)

    def write(self, folder: Path, observations: int, say: Say) -> Mapping[str, Any]:
        """See `Source`; the example shows the first moment of a held-out episode."""
        say("writing the network")
        write_reader(self.student, folder / "model.onnx")
        (folder / "tokenizer.json").write_text(self.student.tokenizer.to_str(), encoding="utf-8")
        first = _FirstSight()
        next(play(ReaderPolicy(reader_of(self.student)), self.tasks, self.cases[:1], max_moves=1, observers=[first]))
        (folder / "example.json").write_text(json.dumps(first.shown, indent=1) + "\n", encoding="utf-8")
        return {
            "observation": {"words": True},
            "actions": [],
            "prompt": asdict(self.student.prompt),
            "prompt_version": PROMPT_VERSION,
            "longest": self.student.prompt.context + SPARE,
        }

    def compare(self, folder: Path, observations: int, say: Say) -> Parity:
        """See `Source`: both networks read the same prompts, those of held-out episodes that the original plays."""
        say("comparing in held-out episodes")
        exported = open_network(Folder(folder), 1)
        compared = _Compared(TorchNetwork(self.student), exported)
        reader = Reader(NetworkDecoder(compared), self.student.tokenizer, self.student.prompt)
        for case in self.cases:
            next(play(ReaderPolicy(reader), self.tasks, [case], max_moves=_COMPARED_MOVES))
            if compared.count >= observations:
                break
        return compared.parity()

    def loss(self, folder: Path) -> Loss:
        """See `Source`."""
        exported = load_exported(folder, None)
        cases = self.cases[:_LOSS_EPISODES]
        before, after = (self._score(policy, cases) for policy in (ReaderPolicy(reader_of(self.student)), exported))
        return Loss("score", before, after, len(cases))

    def _score(self, policy: Policy, cases: Sequence[Case]) -> float:
        plan = Plan(self.task, cases, lambda members: Player(policy, self.tasks), max_moves=_LOSS_MOVES)
        scores = evaluate_plan(plan)
        assert scores.score is not None
        return scores.score.mean


def _in_turn(cases: Sequence[Case]) -> list[Case]:
    """The episodes in another order: the first of each part of a task, the second of each, and so on."""
    parts: dict[str, list[Case]] = {}
    for case in cases:
        parts.setdefault(case.task, []).append(case)
    return [case for row in zip_longest(*parts.values()) for case in row if case is not None]


class _FirstSight(Observer):
    """Keeps what is seen before the first action."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}

    def before(self, tasks: Tasks, which: Sequence[int]) -> None:
        """See `Observer.before`."""
        task = tasks.text_task(which[0])
        carried, choices = task.inventory(), list(task.situation().choices)
        self.shown = {"goal": task.description, "text": task.look(), "carried": carried, "choices": choices}


class TorchNetwork:
    """A student's language model in PyTorch, as `NetworkDecoder` takes one."""

    def __init__(self, student: TextStudent) -> None:
        self._student = student
        self._model = incremental(student.model.eval(), student.prompt.context)

    def another(self) -> TorchNetwork:
        """See `Network`."""
        return TorchNetwork(self._student)

    @torch.inference_mode()
    def run(self, ids: list[int], past: int, last: int = 1) -> NDArray[np.float32]:
        """See `Network`."""
        found: NDArray[np.float32] = self._model.run(ids, past, last).log_softmax(-1).numpy()
        return found


class _Compared:
    """Two networks that read the same; the first one's numbers are acted on."""

    def __init__(self, original: Network, exported: Network) -> None:
        self._original, self._exported = original, exported
        self.count, self._difference, self._same = 0, 0.0, 0

    def another(self) -> _Compared:
        """See `Network`."""
        return _Compared(self._original.another(), self._exported.another())

    def run(self, ids: list[int], past: int, last: int = 1) -> NDArray[np.float32]:
        """See `Network`."""
        logs, found = (one.run(ids, past, last) for one in (self._original, self._exported))
        self.count += last
        self._difference = max(self._difference, float(np.abs(np.exp(logs) - np.exp(found)).max()))
        self._same += int((logs.argmax(1) == found.argmax(1)).sum())
        return logs

    def parity(self) -> Parity:
        """How far they were from each other."""
        return Parity(self.count, self._difference, self._same / self.count)
