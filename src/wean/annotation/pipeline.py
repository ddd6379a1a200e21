"""Annotates many demonstrations: asks about a few of each task, propagates, and asks about what stays unclear."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

from wean.annotation.annotator import Annotates, Outcome, QueryStats, Request
from wean.annotation.features import features_of
from wean.annotation.propagation import Propagator
from wean.data.annotations import AnnotatedTrajectory, Annotation, AnnotationWriter
from wean.data.trajectories import Key, Trajectory, by_task
from wean.processes import Kind, work

Progress = Callable[[str, int, int], None]

_FEW = 100  # demonstrations to propagate to, for which no worker is begun
_BATCH = 8  # demonstrations that are asked about together; a stopped run loses no more than these


class Plan(NamedTuple):
    """The amount of questions.

    Attributes:
        per_task: Demonstrations of each task that are asked about first.
        confidence: Propagated sub-goals below this are asked about, the least certain first.
        budget: Most questions in this run, second ones included; None for no limit.
    """

    per_task: int = 3
    confidence: float = 0.7
    budget: int | None = None


@dataclass
class Result:
    """The result of a run; `problems` has one line for each demonstration whose answers did not hold."""

    annotations: dict[Key, Annotation]
    stats: QueryStats
    missing: list[Trajectory]
    problems: list[str]


@dataclass
class Pipeline:
    """One run over many demonstrations.

    The writer keeps every asked annotation at once, and in the end all; `examples` are annotated demonstrations beside
    those of the run; `progress` is called with a stage, how much of it is done, and how much there is. Sub-goals are
    propagated by as many `workers` of a `kind` as there are; the result does not depend on it.
    """

    annotator: Annotates
    plan: Plan = field(default_factory=Plan)
    writer: AnnotationWriter | None = None
    examples: Sequence[AnnotatedTrajectory] = ()
    progress: Progress | None = None
    workers: int = 1
    kind: Kind = "processes"

    def run(self, trajectories: Sequence[Trajectory], known: Mapping[Key, Annotation]) -> Result:
        """Annotates demonstrations; propagated annotations among the known ones are made anew, all others stay.

        Raises:
            WeanError: The model failed, its budget is used up, or the file cannot be written; what was answered is
                in the file.
        """
        state = _State(known, trajectories, self.examples)
        self._ask_first(state)
        propagated = self._propagate(state, state.groups)
        while unclear := self._unclear(state, propagated):
            asked = self._ask(state, [(trajectory, state.example(trajectory)) for trajectory in unclear])
            if not asked:
                break
            questions = state.stats.questions
            self._report("asking about unclear ones", questions, questions + len(unclear))
            propagated |= self._propagate(state, {trajectory.task for trajectory in asked})
        everything = propagated | state.known
        annotations = {one.key: everything[one.key] for one in trajectories if one.key in everything}
        if self.writer is not None:
            self.writer.replace(annotations.values())
        missing = [trajectory for trajectory in trajectories if trajectory.key not in annotations]
        return Result(annotations, state.stats, missing, state.problems)

    def _ask_first(self, state: _State) -> None:
        """Asks about a few of each task: one of each, then the others, which have that one as their example."""
        wanted = sum(min(self.plan.per_task, len(group)) for group in state.groups.values())
        for count in (1, self.plan.per_task):
            for _ in range(2):  # once more for those whose answer did not hold
                requests = state.first_requests(count)
                for start in range(0, len(requests), _BATCH):
                    # The examples grow while the first demonstrations of the tasks are asked about.
                    batch = [(one, example or state.example(one)) for one, example in requests[start : start + _BATCH]]
                    if not state.examples:
                        self._ask(state, batch[:1])
                        batch = [(one, state.example(one)) for one, _ in batch[1:]]
                    self._ask(state, batch)
                    self._report("asking", sum(len(state.annotated(task)) for task in state.groups), wanted)

    def _ask(self, state: _State, requests: Sequence[Request]) -> list[Trajectory]:
        """Asks about demonstrations as far as the budget goes; returns those that were asked about."""
        asked: list[Trajectory] = []
        for start in range(0, len(requests), _BATCH):
            left = None if self.plan.budget is None else max(0, self.plan.budget - state.stats.questions)
            batch = requests[start : start + _BATCH][:left]
            if not batch:
                break
            outcomes = self.annotator.annotate(batch, left)
            for (trajectory, _), outcome in zip(batch, outcomes, strict=True):
                state.add(trajectory, outcome)
            if self.writer is not None:
                self.writer.write(outcome.annotation for outcome in outcomes if outcome.annotation is not None)
            asked += [trajectory for trajectory, _ in batch]
        return asked

    def _propagate(self, state: _State, tasks: Iterable[str]) -> dict[Key, Annotation]:
        if not state.examples:
            return {}
        left = [one for task in tasks for one in state.groups[task] if one.key not in state.known]
        few = len(left) < _FEW
        workers, kind = 1 if few else self.workers, "processes" if few else self.kind
        make = partial(_Propagates, state.examples, left)
        found = work(make, ((one,) for one in left), workers, "repeat the command with fewer --workers", kind)
        propagated = {}
        for done, annotation in enumerate(found, 1):
            propagated[annotation.key] = annotation
            self._report("propagating", done, len(left))
        return propagated

    def _unclear(self, state: _State, propagated: Mapping[Key, Annotation]) -> list[Trajectory]:
        """The least certain demonstration of each task, as far as it is unclear and was not asked about."""
        if self.plan.budget is not None and state.stats.questions >= self.plan.budget:
            return []
        worst: dict[str, tuple[float, Trajectory]] = {}
        for trajectory in filter(state.is_open, state.trajectories):
            annotation = propagated.get(trajectory.key)
            confidence = 0.0 if annotation is None else annotation.confidence or 0.0
            if confidence < min(self.plan.confidence, worst.get(trajectory.task, (1.0,))[0]):
                worst[trajectory.task] = (confidence, trajectory)
        return [trajectory for _, trajectory in sorted(worst.values(), key=lambda entry: entry[0])]

    def _report(self, stage: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(stage, done, total)


class _Propagates:
    """Propagates to one demonstration after the other, in any process."""

    def __init__(self, examples: Sequence[AnnotatedTrajectory], trajectories: Sequence[Trajectory]) -> None:
        self._propagator = Propagator(examples, trajectories)

    def __call__(self, trajectory: Trajectory) -> Annotation:
        """The sub-goals of a demonstration."""
        return self._propagator.propagate(trajectory)

    def close(self) -> None:
        """Holds nothing."""


class _State:
    """The annotations and counts of a run so far."""

    def __init__(
        self,
        known: Mapping[Key, Annotation],
        trajectories: Sequence[Trajectory],
        examples: Sequence[AnnotatedTrajectory],
    ) -> None:
        self.trajectories = trajectories
        self.groups = by_task(trajectories)
        there = {trajectory.key for trajectory in trajectories}
        self.known = {key: one for key, one in known.items() if key in there and one.origin != "propagated"}
        self.stats = QueryStats()
        self.problems: list[str] = []
        self._asked: set[Key] = set()
        self._outside = list(examples)

    @property
    def examples(self) -> list[AnnotatedTrajectory]:
        """All annotated demonstrations; of two with one name, that of the run."""
        mine = [(one, self.known[one.key]) for one in self.trajectories if one.key in self.known]
        return [*mine, *((one, given) for one, given in self._outside if one.key not in self.known)]

    def annotated(self, task: str) -> list[Trajectory]:
        """The demonstrations of a task that are annotated, examples from outside included."""
        return [trajectory for trajectory, _ in self.examples if trajectory.task == task]

    def example(self, trajectory: Trajectory) -> AnnotatedTrajectory | None:
        """The example shown with a question: the first annotated demonstration of its task, else of any."""
        examples = self.examples
        own = [example for example in examples if example[0].task == trajectory.task]
        return next(iter(own or examples), None)

    def is_open(self, trajectory: Trajectory) -> bool:
        """Whether a demonstration is neither annotated nor asked about."""
        return trajectory.key not in self.known and trajectory.key not in self._asked

    def first_requests(self, count: int) -> list[Request]:
        """Requests that bring each task to a number of annotated demonstrations, as far as there are so many."""
        requests: list[Request] = []
        for task, group in self.groups.items():
            annotated = self.annotated(task)
            left = [one for one in group if self.is_open(one)]
            chosen = select_diverse(left, annotated, count - len(annotated)) if count > len(annotated) else []
            requests += [(trajectory, self.example(trajectory)) for trajectory in chosen]
        return requests

    def add(self, trajectory: Trajectory, outcome: Outcome) -> None:
        """Adds the outcome for a demonstration."""
        self._asked.add(trajectory.key)
        self.stats.add(outcome)
        if outcome.annotation is not None:
            self.known[trajectory.key] = outcome.annotation
        elif outcome.answers:
            self.problems.append(f"{trajectory.task} {trajectory.variation}: {_why(outcome)}; left to propagation")


def _why(outcome: Outcome) -> str:
    faults = ", ".join(f"{kind} ({count})" for kind, count in outcome.faults.items())
    questions = "1 question" if outcome.questions == 1 else f"{outcome.questions} questions"
    return f"no answer that holds after {questions}" + (f": {faults}" if faults else "")


# --- which demonstrations to ask about ----------------------------------------------------------------------------


def select_diverse(trajectories: Sequence[Trajectory], selected: Sequence[Trajectory], count: int) -> list[Trajectory]:
    """Selects up to `count` demonstrations of one task that, with those `selected` before, are like the others.

    The first is the medoid; every further one is that whose nearest selected one is farthest away (farthest-first
    traversal; Gonzalez 1985). Of equals the earlier is taken.
    """
    if count >= len(trajectories):
        return list(trajectories)
    new: list[Trajectory] = []
    left = list(trajectories)
    nearest = {one.key: min((_distance(one, other) for other in selected), default=math.inf) for one in left}
    while len(new) < count:
        if not selected and not new:
            best = min(left, key=lambda one: sum(_distance(one, other) for other in left))
        else:
            best = max(left, key=lambda one: nearest[one.key])
        left.remove(best)
        new.append(best)
        for one in left:
            nearest[one.key] = min(nearest[one.key], _distance(one, best))
    return new


def _distance(one: Trajectory, other: Trajectory) -> float:
    """Share of the pairs of neighbouring actions that only one of them has (Jaccard distance)."""
    ours, theirs = _neighbours(one), _neighbours(other)
    return 1.0 - len(ours & theirs) / max(1, len(ours | theirs))


@lru_cache(maxsize=8192)
def _neighbours(trajectory: Trajectory) -> frozenset[tuple[object, ...]]:
    actions = [(action.frame, action.again) for action in features_of(trajectory).features]
    return frozenset(zip([None, *actions], [*actions, None], strict=True))
