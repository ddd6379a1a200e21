"""Annotates many demonstrations: asks about a few of each task, propagates, and asks about what stays unclear."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from wean.annotation.annotator import Annotates, Outcome, QueryStats, Request
from wean.annotation.choosing import most_telling
from wean.annotation.propagation import Propagator
from wean.annotation.segmentation import Example
from wean.data.annotations import Annotation, AnnotationWriter
from wean.data.trajectories import Key, Trajectory, by_task

Progress = Callable[[str, int, int], None]

_BATCH = 8  # demonstrations that are asked about together; a stopped run loses no more than these


class Plan(NamedTuple):
    """How much is asked.

    Attributes:
        per_task: Demonstrations of each task that are asked about first.
        confidence: Propagated sub-goals below this are unclear: they are asked about, the least certain first.
        budget: Most questions in this run, second ones included; None for no limit.
    """

    per_task: int = 3
    confidence: float = 0.7
    budget: int | None = None


@dataclass
class Result:
    """What a run gave.

    Attributes:
        annotations: Of every demonstration that has sub-goals now.
        tally: What the questions of this run came to.
        missing: Demonstrations without sub-goals.
        problems: One line for each demonstration whose answers did not hold.
    """

    annotations: dict[Key, Annotation]
    tally: QueryStats
    missing: list[Trajectory]
    problems: list[str]


@dataclass
class Pipeline:
    """One run over many demonstrations.

    Attributes:
        annotator: Who is asked.
        plan: How much is asked.
        writer: Keeps every asked annotation at once, and in the end all; None keeps nothing.
        examples: Annotated demonstrations that are not among those of the run, but teach.
        progress: Called with a stage, how much of it is done, and how much there is.
    """

    annotator: Annotates
    plan: Plan = field(default_factory=Plan)
    writer: AnnotationWriter | None = None
    examples: Sequence[Example] = ()
    progress: Progress | None = None

    def run(self, trajectories: Sequence[Trajectory], known: Mapping[Key, Annotation]) -> Result:
        """Annotates demonstrations.

        Args:
            trajectories: All of them.
            known: Annotations that are there already; propagated ones are made anew, all others stay.

        Raises:
            WeanError: The model failed, its budget is used up, or the file cannot be written; what was answered is
                in the file.
        """
        state = _State(dict(known), trajectories, self.examples)
        self._ask_first(state)
        propagated = self._propagate(state, state.tasks)
        while unclear := self._unclear(state, propagated):
            asked = self._ask(state, [(trajectory, state.example(trajectory)) for trajectory in unclear])
            if not asked:
                break
            self._tell("asking about unclear ones", state.tally.questions, state.tally.questions + len(unclear))
            propagated |= self._propagate(state, {trajectory.task for trajectory in asked})
        propagated = {key: annotation for key, annotation in propagated.items() if key not in state.known}
        order = [trajectory.key for trajectory in trajectories]
        everything = state.known | propagated
        annotations = {key: everything[key] for key in order if key in everything}
        if self.writer is not None:
            self.writer.replace(annotations.values())
        missing = [trajectory for trajectory in trajectories if trajectory.key not in annotations]
        return Result(annotations, state.tally, missing, state.problems)

    def _ask_first(self, state: _State) -> None:
        """Asks about a few of each task: one of each, then the others, which have that one as their example."""
        wanted = sum(min(self.plan.per_task, len(group)) for group in state.groups.values())
        for count in (1, self.plan.per_task):
            for _ in range(2):  # once more for those whose answer did not hold
                requests = []
                for task, group in state.groups.items():
                    there = state.annotated(task)
                    left = [one for one in group if one.key not in state.known and one.key not in state.tried]
                    chosen = most_telling(left, there, count - len(there)) if count > len(there) else []
                    requests += [(trajectory, state.example(trajectory)) for trajectory in chosen]
                for start in range(0, len(requests), _BATCH):
                    # The examples grow while the first demonstrations of the tasks are asked about.
                    batch = [(one, example or state.example(one)) for one, example in requests[start : start + _BATCH]]
                    if not state.examples:
                        self._ask(state, batch[:1])
                        batch = [(one, state.example(one)) for one, _ in batch[1:]]
                    self._ask(state, batch)
                    self._tell("asking", sum(len(state.annotated(task)) for task in state.groups), wanted)

    def _ask(self, state: _State, requests: Sequence[Request]) -> list[Trajectory]:
        """Asks about demonstrations as far as the budget goes; returns those that were asked about."""
        asked: list[Trajectory] = []
        for start in range(0, len(requests), _BATCH):
            batch = list(requests[start : start + _BATCH])
            left = None if self.plan.budget is None else max(0, self.plan.budget - state.tally.questions)
            batch = batch[:left]
            if not batch:
                break
            outcomes = self.annotator.annotate(batch, left)
            for (trajectory, _), outcome in zip(batch, outcomes, strict=True):
                state.add(trajectory, outcome)
            if self.writer is not None:
                self.writer.write(outcome.annotation for outcome in outcomes if outcome.annotation is not None)
            asked += [trajectory for trajectory, _ in batch]
        return asked

    def _propagate(self, state: _State, tasks: set[str]) -> dict[Key, Annotation]:
        if not state.examples:
            return {}
        left = [one for task in tasks for one in state.groups[task] if one.key not in state.known]
        propagator = Propagator(state.examples, left)
        propagated = {}
        for done, trajectory in enumerate(left, 1):
            propagated[trajectory.key] = propagator.propagate(trajectory)
            self._tell("propagating", done, len(left))
        return propagated

    def _unclear(self, state: _State, propagated: Mapping[Key, Annotation]) -> list[Trajectory]:
        """The least certain demonstration of each task, as far as it is unclear and was not asked about."""
        if self.plan.budget is not None and state.tally.questions >= self.plan.budget:
            return []
        worst: dict[str, tuple[float, Trajectory]] = {}
        for trajectory in state.trajectories:
            if trajectory.key in state.known or trajectory.key in state.tried:
                continue
            annotation = propagated.get(trajectory.key)
            confidence = 0.0 if annotation is None else annotation.confidence or 0.0
            if confidence < min(self.plan.confidence, worst.get(trajectory.task, (1.0,))[0]):
                worst[trajectory.task] = (confidence, trajectory)
        return [trajectory for _, trajectory in sorted(worst.values(), key=lambda entry: entry[0])]

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(stage, done, total)


class _State:
    """What is known so far."""

    def __init__(
        self, known: dict[Key, Annotation], trajectories: Sequence[Trajectory], examples: Sequence[Example]
    ) -> None:
        self.trajectories = trajectories
        self.groups = by_task(trajectories)
        self.tasks = set(self.groups)
        there = {trajectory.key for trajectory in trajectories}
        self.known = {key: one for key, one in known.items() if key in there and one.origin != "propagated"}
        self.tried: set[Key] = set()
        self.tally = QueryStats()
        self.problems: list[str] = []
        self._outside = list(examples)

    @property
    def examples(self) -> list[Example]:
        """All annotated demonstrations; of two with one name, that of the run."""
        mine = [(one, self.known[one.key]) for one in self.trajectories if one.key in self.known]
        return [*mine, *((one, given) for one, given in self._outside if one.key not in self.known)]

    def annotated(self, task: str) -> list[Trajectory]:
        """The demonstrations of a task that are annotated, examples from outside included."""
        return [trajectory for trajectory, _ in self.examples if trajectory.task == task]

    def example(self, trajectory: Trajectory) -> Example | None:
        """What is shown with a question: the first annotated demonstration of its task, else of any."""
        examples = self.examples
        own = [example for example in examples if example[0].task == trajectory.task]
        return next(iter(own or examples), None)

    def add(self, trajectory: Trajectory, outcome: Outcome) -> None:
        """Notes what came of a question."""
        self.tried.add(trajectory.key)
        self.tally.add(outcome)
        if outcome.annotation is not None:
            self.known[trajectory.key] = outcome.annotation
        elif outcome.answers:
            self.problems.append(f"{trajectory.task} {trajectory.variation}: {_why(outcome)}; left to propagation")


def _why(outcome: Outcome) -> str:
    told = ", ".join(f"{kind} ({count})" for kind, count in outcome.faults.items())
    questions = "1 question" if outcome.questions == 1 else f"{outcome.questions} questions"
    return f"no answer that holds after {questions}" + (f": {told}" if told else "")
