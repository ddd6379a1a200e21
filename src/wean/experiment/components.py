"""The components of a run: what the runner needs of them, and those of runs that train policies and action values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from wean.agents.policy import Policy, ValuesPolicy, policy_of
from wean.agents.references import PriorPolicy, RandomSkillsPolicy, TeacherPolicy, query_policies
from wean.algorithms.algorithm import Algorithm
from wean.algorithms.rewards import RewardTerm
from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.evaluation.recording import record
from wean.evaluation.scores import Episodes, Scores, add_counts, chosen_share, llm_counts, paired, query_stats_report
from wean.experiment.run_folder import RunFolder, write_json, write_text
from wean.experiment.settings import RunConfig
from wean.llm import Budget, Ledger
from wean.llm.model import LanguageModel
from wean.report.report import student_card
from wean.students.action_values import ActionValues
from wean.students.config import Acting
from wean.students.grid import GridStudent
from wean.students.saving import save_student, weight_bytes
from wean.students.student import Student
from wean.tasks.contract import repeats
from wean.tasks.pictures import action_names
from wean.tasks.splits import CHOOSING_SEED, FINAL_SEED
from wean.tasks.vector import MakeTask, SerialTasks, ShownTasks
from wean.teachers.ask_or_act import AskOrAct
from wean.teachers.gated_teacher import GatedTeacher
from wean.teachers.priors import Prior
from wean.teachers.subgoal_tasks import SubgoalTasks
from wean.teachers.teacher import Teacher

Point = dict[str, Any]
_FIRST_POINT = 0.005  # share of a run before the first point of a geometric learning curve
_TEACHER_EPISODES = 100  # on which a student is compared with its teacher while it learns


@dataclass(frozen=True)
class Resources:
    """What a run uses beside its settings.

    Attributes:
        make: Makes one task; by default the registered one that the settings name.
        teacher: Instead of the language model that the settings name: a `Teacher` or a `Prior`, or what one is made of
            (a language model that is open, answers by the situation's text, or a function from situations to advice).
        student: Is trained instead of the one that the settings describe.
        ledger: Where answers are kept; the user's ledger by default.
        budget: Limits on what is asked live; at the limit the run stops and can be resumed.
        strict: A question that recorded answers lack is an error instead of "no advice".
        folder: The run folder, for what building a run leaves there.
        answers: The state of teacher or prior from before the run was stopped; it is not asked that again.
        say: Called with what a person should be told.
        watch: Called while a policy is evaluated: with its name, and how many of how many episodes are played.
    """

    make: MakeTask | None = None
    teacher: Any = None
    student: Any = None
    ledger: Ledger | None = None
    budget: Budget | None = None
    strict: bool = False
    folder: Path = Path()
    answers: Mapping[str, Any] | None = None
    say: Callable[[str], None] = field(default=lambda note: None)
    watch: Callable[[str, int, int], None] = field(default=lambda who, done, total: None)


class Components(Protocol):
    """What the runner needs of the parts of a run.

    Attributes:
        algorithm: Trains the student.
        points: Values of `algorithm.done` at which the student is measured and a checkpoint is written, rising; with a
            first 0 it is also measured before it learns.
        shown: Fields of a point of the learning curve that a progress bar and TensorBoard show.
        repeatable: Whether the run gives the same numbers again, so that a resumed one ends as one without a stop.
    """

    algorithm: Algorithm
    points: Sequence[float]
    shown: Sequence[str]

    @property
    def repeatable(self) -> bool:
        """See the class."""

    def begin(self) -> None:
        """Writes what a resumed run needs beside its checkpoints, into the run folder, which was not there before."""

    def measure(self, curve: Sequence[Point]) -> Point:
        """The next point of the learning curve, given those before it."""

    def notes(self) -> Sequence[str]:
        """All notes for the user so far."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The state of a checkpoint, the algorithm's included: tensors, and JSON values."""

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""

    def conclude(self, folder: RunFolder, so_far: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluates the trained student, saves it with its card, and adds the results to the summary `so_far`."""

    def close(self) -> None:
        """Closes tasks and models."""


@dataclass
class RLComponents:
    """The components of a run that trains a policy or action values, by playing or from a file; see `Components`.

    Attributes:
        config: The run's settings.
        make: Makes one task.
        tasks: The tasks in which the algorithm plays.
        judges: The tasks of evaluations.
        view: Shows tasks as the student sees them.
        student: The network or action values that are trained.
        algorithm: Trains the student.
        teacher: The teacher or the prior, if any.
        asking: The gated teacher that guides the algorithm, if any.
        model: The teacher's language model, if any.
        success_return: The return from which an episode counts as success where the task does not report success; None
            where it declares none.
        term: The reward term beside the task's rewards, if any.
        keeps_model: Leaves the model open at the end: it is the caller's.
        watch: See `Resources`.
    """

    config: RunConfig
    make: MakeTask
    tasks: ShownTasks
    judges: ShownTasks
    view: Callable[[SerialTasks], ShownTasks]
    student: Student | ActionValues
    algorithm: Algorithm
    teacher: Teacher | Prior | None
    asking: GatedTeacher | None
    model: LanguageModel | None
    success_return: float | None
    term: RewardTerm | None = None
    keeps_model: bool = False
    watch: Callable[[str, int, int], None] = lambda who, done, total: None
    shown: Sequence[str] = ("success", "return")
    _asked_before: Mapping[str, Any] = field(default_factory=dict)
    _teacher_success: float = 0.0

    @cached_property
    def points(self) -> list[float]:
        """See `Components`."""
        evaluation, total = self.config.evaluation, self.algorithm.total
        count = evaluation.curve_points
        if not count:
            return []
        if evaluation.curve_spacing == "linear" or count == 1:
            return [total / count * point for point in range(count + 1)]
        return [0, *(total * _FIRST_POINT ** ((count - point) / (count - 1)) for point in range(1, count + 1))]

    @property
    def guide(self) -> GatedTeacher | Prior | None:
        """The algorithm's guide: the gated teacher or the prior."""
        return self.asking or (self.teacher if isinstance(self.teacher, Prior) else None)

    def policy(self, acting: Acting) -> Policy:
        """The student's policy.

        Raises:
            UsageError: A student of action values cannot act so.
        """
        return policy_of(self.student, acting)

    def references(self) -> dict[str, Policy]:
        """Policies that play the final episodes, too: the teacher alone, and the student without its prior."""
        if self.teacher is None:
            return {}
        if not isinstance(self.teacher, Prior):
            return {"teacher": TeacherPolicy(self.teacher), "random-skills": RandomSkillsPolicy()}
        alone: dict[str, Policy] = {"teacher": PriorPolicy(self.teacher)}
        if isinstance(self.student, ActionValues):
            alone["without-prior"] = ValuesPolicy(self.student, greedy=True, use_prior=False)
        return alone

    def close(self) -> None:
        """See `Components.close`."""
        self.tasks.close()
        self.judges.close()
        if self.model is not None and not self.keeps_model:
            self.model.close()

    def begin(self) -> None:
        """See `Components.begin`; there is nothing of the kind."""

    # --- while it learns -----------------------------------------------------------------------------------------

    def measure(self, curve: Sequence[Point]) -> Point:
        """See `Components.measure`; on the seeds for choices."""
        episodes = self.config.evaluation.episodes_on_the_way
        judged = self._play(self.policy(self.config.evaluation.acting), episodes, CHOOSING_SEED)
        success = float(judged.successes.mean()) if judged.success_known else None
        if self.algorithm.matching:
            self._match(success)
        return {
            self.algorithm.unit: self.algorithm.done,
            "success": success,
            "return": float(judged.returns.mean()),
            "length": float(judged.lengths.mean()),
            "teacher_weight": self.algorithm.teacher_weight,
            "questions": self.asking.counts["questions"] if self.asking else 0,
            "episodes": episodes,
        } | _asking(judged)

    def _match(self, success: float | None) -> None:
        """Tells the algorithm how near the student's success is to the teacher's.

        Raises:
            UsageError: The task does not say what success is.
        """
        if success is None:
            raise UsageError(
                f"{self.config.task} does not say what success is, which teacher.kind=matching compares; report "
                'info["is_success"], register a reward_threshold, or take another teacher.kind'
            )
        if not self._teacher_success:
            judged = self._play(self.references()["teacher"], _TEACHER_EPISODES, CHOOSING_SEED)
            self._teacher_success = float(judged.successes.mean())
        if self._teacher_success:
            self.algorithm.matched = success / self._teacher_success

    @property
    def repeatable(self) -> bool:
        """See `Components`: whether the task repeats an episode with its seed."""
        env = self.make()
        try:
            return repeats(env)
        finally:
            env.close()

    def notes(self) -> Sequence[str]:
        """See `Components.notes`."""
        if self.asking is None:
            return []
        self.asking.note_silence()
        return self.asking.notes

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Components.state`."""
        tensors, values = self.algorithm.state()
        tensors |= {f"student.{name}": value for name, value in self.student.state_dict().items()}
        tensors["torch.random"] = torch.get_rng_state()
        asked = self._llm()
        del asked["model"]
        return tensors, {
            "algorithm": values,
            "teacher": self.guide.state() if self.guide else None,
            "llm": asked,
            "teacher_success": self._teacher_success,
        }

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """See `Components.restore`."""
        self.student.load_state_dict({name[8:]: value for name, value in tensors.items() if name[:8] == "student."})
        self.algorithm.restore(tensors, values["algorithm"])
        if self.guide is not None:
            self.guide.restore(values["teacher"])
        torch.set_rng_state(tensors["torch.random"])
        self._asked_before, self._teacher_success = values["llm"], values["teacher_success"]

    # --- when it has learned -------------------------------------------------------------------------------------

    def conclude(self, folder: RunFolder, so_far: Mapping[str, Any]) -> dict[str, Any]:
        """See `Components.conclude`; evaluates the student and its references on held-out episodes."""
        config, student, algorithm = self.config, self.student, self.algorithm
        acting = config.evaluation.acting
        about = {"task": config.task, "actions": self._action_names(), "acting": acting}
        save_student(student, folder.student, about=about)
        # Taken before the teacher meets situations in its own evaluation.
        table, unadvised = (self.teacher.table(), self.teacher.unadvised) if self.teacher else ([], 0)
        ratings = self.term.table() if self.term else []
        shipped = self.policy(acting)
        played = self._play(shipped, config.evaluation.episodes, FINAL_SEED)
        final = self._result(shipped, played)
        references = (
            self._rules(played)
            if isinstance(self.judges, AskOrAct)
            else {name: self._judged(policy) for name, policy in self.references().items()}
        )
        learning = sum(algorithm.seconds.values()) or so_far["wall_seconds"]  # an own algorithm need not say
        summary = {
            **so_far,
            "steps_per_second": algorithm.done / learning,
            "unadvised": unadvised,
            "advice": self._advice_counts(table),
            "rewards": self.term.report() if self.term else None,
            "student_parameters": student.parameter_count(),
            "student_bytes": weight_bytes(folder.student),
            "acting": acting,
            "chooses": "when to ask" if isinstance(self.judges, AskOrAct) else config.student.chooses,
            "final": final,
            **{name: self._judged(self.policy(other)) for name, other in self._other_ways().items()},
            "references": references,
            "llm": self._llm(),
            "time": {**algorithm.seconds, "evaluation": max(0.0, so_far["wall_seconds"] - learning)},
        }
        write_text(folder.student / "README.md", student_card(summary, reads=isinstance(student, ActionValues)))
        self._write_answers(folder, {"teacher": table if self.teacher else None, "judge": ratings or None})
        seeds = range(FINAL_SEED, FINAL_SEED + config.evaluation.recorded_episodes)
        shown = record(shipped, self.make, seeds, self.success_return, self.view)
        write_json(folder.path / "episodes.json", shown)
        return summary

    def _action_names(self) -> list[str]:
        """Names of the actions that the student chooses among: a situation's choices where those are the actions."""
        names = action_names(self.judges)
        one = SerialTasks([self.make])
        try:
            one.reset([0], [FINAL_SEED])
            choices = one.situations([0])[0].choices
            begun = one.first_actions([0], [[(choice,) for choice in choices]])[0]
        except UsageError:  # a task without words
            return names
        finally:
            one.close()
        return list(choices) if names and begun == list(range(len(names))) else names

    def _write_answers(self, folder: RunFolder, tables: Mapping[str, Any]) -> None:
        """Writes the language model's answers in the situations of the run."""
        if self.config.model is None:
            return
        goal = self.judges.situations([0])[0].goal
        for name, rows in tables.items():
            if rows is not None:
                table = {"schema": f"wean-{name}/1", "model": self._llm()["model"], "goal": goal, "rows": rows}
                write_json(folder.path / f"{name}.json", table)

    def _play(self, policy: Policy, episodes: int, seed: int) -> Episodes:
        def watch(done: int) -> None:
            self.watch(policy.name, done, episodes)

        return play_seeds(policy, self.judges, episodes, seed, self.success_return, watch)

    def _judged(self, policy: Policy) -> dict[str, Any]:
        """The result of a policy on the held-out episodes."""
        return self._result(policy, self._play(policy, self.config.evaluation.episodes, FINAL_SEED))

    def _result(self, policy: Policy, episodes: Episodes) -> dict[str, Any]:
        """The result of a policy in the held-out episodes that it has played."""
        asks = isinstance(policy, TeacherPolicy | PriorPolicy) or isinstance(self.judges, AskOrAct | SubgoalTasks)
        counts = self._llm() if asks else llm_counts(None)
        return Scores(self.config.task, policy.name, episodes, counts, {"seed": FINAL_SEED}).as_dict()

    def _rules(self, student: Episodes) -> dict[str, Any]:
        """Results of the fixed query rules; `paired` is the shipped student minus each."""
        found = {}
        for rule in query_policies(chosen_share(student)):
            other = self._play(rule, len(student.returns), FINAL_SEED)
            found[rule.name] = self._result(rule, other) | {"paired": paired(student, other)}
        return found

    def _other_ways(self) -> dict[str, Acting]:
        """Other ways of acting to evaluate; no_repeat only where the observation is a map of all that was seen."""
        acting = self.config.evaluation.acting
        ways: dict[str, Acting] = {"final_other": "sampled" if acting == "greedy" else "greedy"}
        remembers = isinstance(self.student, GridStudent) and not isinstance(self.judges, AskOrAct)
        if remembers and acting != "no_repeat":
            ways["final_no_repeat"] = "no_repeat"
        return ways

    def _advice_counts(self, table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Counts of advice wanted, given and refused; empty for a student without a guide."""
        if self.asking is None or isinstance(self.judges, AskOrAct):
            return {}
        unparsed = sum(bool(row["answer"]) and not row["advised"] for row in table)
        return {**self.asking.counts, "unparsed": unparsed, "notes": self.asking.notes}

    def _llm(self) -> dict[str, Any]:
        """Counts of the model's questions, including those before a resume; an unknown price stays unknown."""
        counts = add_counts(llm_counts(self.model), self._asked_before)
        return {**counts, "model": counts["model"] or self.config.model}


def _asking(played: Episodes) -> dict[str, Any]:
    """Query statistics of episodes as `asking`; empty for a student that does not ask."""
    stats = [episode.stats for episode in played.played]
    return {"asking": query_stats_report(stats)} if "questions" in stats[0] else {}
