"""One run from settings to report: what `wean train` does, as a function."""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import gymnasium as gym
import torch

from wean.algorithms.imitation import Imitation, ImitationConfig
from wean.algorithms.ppo import PPO, PPOConfig, Update
from wean.errors import UsageError, WeanError
from wean.evaluation.episodes import play, summarize
from wean.evaluation.policies import Policy, RandomSkillsPolicy, StudentPolicy, TeacherPolicy
from wean.evaluation.recording import record
from wean.evaluation.report import write_report
from wean.llm import Ledger, open_model
from wean.llm.model import LanguageModel
from wean.methods.card import student_card
from wean.methods.settings import AdviceSettings, RunConfig
from wean.runs import RunFolder, write_json
from wean.students.saving import make_student, save_student, weight_bytes
from wean.students.student import Student
from wean.tasks.registration import make_task, task_id
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import logprobs, samples, verbalized
from wean.teachers.teacher import Teacher

# Training episodes come from seeds below the first of these, every choice is made on the next ones, and the final
# figures on those from the last one up.
CHOICE_SEED = 5_000
FINAL_SEED = 10_000
_NO_LLM = {
    "model": None,
    "asked": 0,
    "replayed": 0,
    "distinct": 0,
    "unanswered": 0,
    "tokens": 0,
    "cost_usd": 0.0,
}


def make_teacher(model: LanguageModel, advice: AdviceSettings | None = None, seed: int = 0) -> Teacher:
    """Makes a teacher that asks a model as the settings say; `seed` is for the mode "sampled"."""
    advice = advice or AdviceSettings()
    elicit = {"verbalized": verbalized, "samples": samples, "logprobs": logprobs}[advice.elicitation]
    return Teacher(partial(elicit, model, temperature=advice.temperature), advice.mode, seed)


def llm_counts(model: LanguageModel | None) -> dict[str, Any]:
    """What was asked of a model so far, as summaries and evaluations write it."""
    return dict(_NO_LLM) if model is None else {"model": model.name, **dataclasses.asdict(model.counts)}


def success_return(task: str) -> float | None:
    """The return from which an episode counts as success: Gymnasium's `reward_threshold`; None for "positive"."""
    spec = make_task(task).spec
    return None if spec is None else spec.reward_threshold


class Training:
    """One run; `run` does it all.

    Args:
        config: The settings.
        out: The run folder.
        resume: Continues what is there.
        strict: A question that recorded answers lack is an error instead of "no advice".
        ledger: Where answers are kept; the user's ledger by default.
        progress: Called with (environment steps, latest metrics) after every update.
        make: Makes one task; by default the registered one that the settings name.
    """

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        *,
        resume: bool = False,
        strict: bool = False,
        ledger: Ledger | None = None,
        progress: Callable[[int, dict[str, float]], None] | None = None,
        make: Callable[[], gym.Env[Any, Any]] | None = None,
    ) -> None:
        self.config, self.folder = config, RunFolder(out)
        self._resume, self._strict, self._ledger, self._progress = resume, strict, ledger, progress
        self._make = make or partial(make_task, config.task)
        self._stop = False
        self._curve: list[dict[str, Any]] = []
        self._teacher_success = 0.0
        self._seconds_before = 0.0
        self._asked_before: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """Trains, evaluates, and writes everything into the run folder.

        Returns:
            The summary, as in `summary.json`.

        Raises:
            UsageError: If the settings, the task or the folder are wrong.
            WeanError: If something fails or the user stops it; what is written stays and can be resumed.
        """
        self.folder.create(self.config.as_yaml(), self._resume)
        if self.folder.summary.exists():
            finished: dict[str, Any] = json.loads(self.folder.summary.read_text())
            return finished
        handled = self._stop_at_the_next_update()
        try:
            return self._run()
        except OSError as error:
            raise WeanError(
                f"cannot write to {self.folder.path} ({error.strerror or error}); make room and add --resume"
            ) from error
        finally:
            for number, handler in handled.items():
                signal.signal(number, handler)

    def _run(self) -> dict[str, Any]:
        config = self.config
        torch.set_num_threads(config.threads)
        self._started = time.perf_counter()
        self._threshold = success_return(config.task) if _registered(config.task) else None
        torch.manual_seed(config.seed)
        model = open_model(config.model, ledger=self._ledger, strict=self._strict) if config.model else None
        teacher = make_teacher(model, config.advice, config.seed) if model else None
        tasks = SerialTasks([self._make] * config.algorithm.num_envs)
        self._judges = SerialTasks([self._make] * min(100, config.evaluation.episodes))
        try:
            student = make_student(
                tasks.observation_space,
                tasks.action_space,
                hidden=config.student.hidden,
                recurrent=config.student.recurrent,
            )
            algorithm: PPO | Imitation
            if isinstance(config.algorithm, PPOConfig):
                algorithm = PPO(student, tasks, config.algorithm, teacher, config.seed)
            else:
                algorithm = Imitation(student, tasks, config.algorithm, teacher, config.seed)
            self._continue(student, algorithm, teacher)
            self._learn(student, algorithm, teacher, model)
            return self._finish(student, algorithm, teacher, model)
        finally:
            tasks.close()
            self._judges.close()
            if model is not None:
                model.close()

    # --- learning ------------------------------------------------------------------------------------------------

    def _learn(
        self, student: Student, algorithm: PPO | Imitation, teacher: Teacher | None, model: LanguageModel | None
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if _matches_teacher(self.config) and teacher is not None and not self._teacher_success:
            judged = self._judge(TeacherPolicy(teacher, student.num_actions), 100, CHOICE_SEED)
            self._teacher_success = float(judged.successes.mean())
        writer = SummaryWriter(str(self.folder.path), purge_step=algorithm.env_steps)
        points = self.config.evaluation.curve_points
        every = self.config.algorithm.total_timesteps / points if points else float("inf")

        def on_update(update: Update) -> None:
            row = {"env_steps": update.env_steps, **update.metrics}
            self.folder.append_metrics(row)
            for name, value in update.metrics.items():
                writer.add_scalar(name, value, update.env_steps)
            if update.env_steps >= every * len(self._curve):
                self._measure(student, algorithm)
                writer.add_scalar("evaluation/success", self._curve[-1]["success"], update.env_steps)
                self._checkpoint(student, algorithm, teacher, model)
            if self._progress is not None:
                success = {"success": self._curve[-1]["success"]} if self._curve else {}
                self._progress(update.env_steps, {**update.metrics, **success})
            if self._stop:
                self._checkpoint(student, algorithm, teacher, model)
                raise WeanError(
                    f"stopped at step {update.env_steps}; the same command with --resume goes on from there"
                )

        try:
            if not self._curve and points:
                self._measure(student, algorithm)
            algorithm.learn(on_update)
        finally:
            writer.close()

    def _measure(self, student: Student, algorithm: PPO | Imitation) -> None:
        """Adds a point to the learning curve, on the seeds for choices."""
        greedy = self.config.evaluation.acting == "greedy"
        judged = self._judge(StudentPolicy(student, greedy), self.config.evaluation.curve_episodes, CHOICE_SEED)
        success = float(judged.successes.mean())
        if self._teacher_success:
            algorithm.matched = success / self._teacher_success
        self._curve.append(
            {
                "env_steps": algorithm.env_steps,
                "wall_seconds": self._seconds_before + time.perf_counter() - self._started,
                "success": success,
                "return": float(judged.returns.mean()),
                "length": float(judged.lengths.mean()),
                "teacher_weight": algorithm.teacher_weight,
                "episodes": len(judged.returns),
            }
        )

    def _judge(self, policy: Policy, episodes: int, seed: int) -> Any:
        return play(policy, self._judges, episodes, seed, self._threshold)

    # --- checkpoints ---------------------------------------------------------------------------------------------

    def _counts(self, model: LanguageModel | None) -> dict[str, Any]:
        """What was asked by this run, the time before a resume included."""
        now = llm_counts(model)
        if model is None:
            return now
        for name, value in self._asked_before.items():
            known = now[name] is not None and value is not None
            now[name] = now[name] + value if known else None
        return now

    def _checkpoint(
        self, student: Student, algorithm: PPO | Imitation, teacher: Teacher | None, model: LanguageModel | None
    ) -> None:
        tensors, values = algorithm.state()
        tensors |= {f"student.{name}": value for name, value in student.state_dict().items()}
        tensors["torch.random"] = torch.get_rng_state()
        everything = {
            "algorithm": values,
            "teacher": teacher.state() if teacher else None,
            "llm": {name: value for name, value in self._counts(model).items() if name != "model"},
            "curve": self._curve,
            "teacher_success": self._teacher_success,
            "wall_seconds": self._seconds_before + time.perf_counter() - self._started,
        }
        self.folder.save_checkpoint(algorithm.env_steps, tensors, everything)

    def _continue(self, student: Student, algorithm: PPO | Imitation, teacher: Teacher | None) -> None:
        """Goes on from the newest checkpoint, if there is one."""
        found = self.folder.load_checkpoint()
        if found is None:
            self.folder.rewind_metrics(-1)
            return
        tensors, values = found
        try:
            student.load_state_dict({k[8:]: v for k, v in tensors.items() if k.startswith("student.")})
            algorithm.restore(tensors, values["algorithm"])
            if teacher is not None:
                teacher.restore(values["teacher"])
            torch.set_rng_state(tensors["torch.random"])
            self._curve, self._seconds_before = values["curve"], values["wall_seconds"]
            self._asked_before = values["llm"]
            self._teacher_success = values["teacher_success"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeanError(
                f"the newest checkpoint in {self.folder.checkpoints} does not fit this run ({type(error).__name__}); "
                "delete it to go on from the one before"
            ) from None
        self.folder.rewind_metrics(algorithm.env_steps)

    def _stop_at_the_next_update(self) -> dict[int, Any]:
        """Turns the first Ctrl-C (or SIGTERM) into a clean stop; the second one stops at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True

        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}

    # --- the end -------------------------------------------------------------------------------------------------

    def _finish(
        self,
        student: Student,
        algorithm: PPO | Imitation,
        teacher: Teacher | None,
        model: LanguageModel | None,
    ) -> dict[str, Any]:
        config, episodes = self.config, self.config.evaluation.episodes
        save_student(student, self.folder.student)
        table = teacher.table() if teacher else []  # before the teacher meets situations in its own evaluation
        trained = self._seconds_before + time.perf_counter() - self._started
        greedy = config.evaluation.acting == "greedy"
        final, other = (
            summarize(
                self._judge(policy, episodes, FINAL_SEED),
                config.task,
                policy.name,
                FINAL_SEED,
                llm_counts(None),
            )
            for policy in (StudentPolicy(student, greedy), StudentPolicy(student, not greedy))
        )
        references = {}
        for policy in self._references(student.num_actions, teacher):
            judged = self._judge(policy, episodes, FINAL_SEED)
            counts = self._counts(model if policy.name == "teacher" else None)
            references[policy.name] = summarize(judged, config.task, policy.name, FINAL_SEED, counts)
        learning = sum(algorithm.seconds.values())
        summary = {
            "schema": "wean-run/1",
            "method": config.method,
            "task": config.task,
            "seed": config.seed,
            "env_steps": algorithm.env_steps,
            "wall_seconds": trained,
            "steps_per_second": algorithm.env_steps / learning,
            "llm": self._counts(model),
            "unadvised": teacher.unadvised if teacher else 0,
            "student_parameters": student.parameter_count(),
            "student_bytes": weight_bytes(self.folder.student),
            "acting": config.evaluation.acting,
            "final": final,
            "final_other": other,
            "references": references,
            "curve": self._curve,
            "time": {**algorithm.seconds, "evaluation": max(0.0, trained - learning)},
        }
        save_student(student, self.folder.student, student_card(summary))
        if teacher is not None and model is not None:
            goal = self._judges.situations([0])[0].goal
            rows = {"schema": "wean-teacher/1", "model": model.name, "goal": goal, "rows": table}
            write_json(self.folder.path / "teacher.json", rows)
        self._record(StudentPolicy(student, greedy))
        write_json(self.folder.summary, summary)
        write_report(self.folder.path)
        return summary

    def _references(self, num_actions: int, teacher: Teacher | None) -> list[Policy]:
        if teacher is None:
            return []
        return [TeacherPolicy(teacher, num_actions), RandomSkillsPolicy(num_actions)]

    def _record(self, policy: Policy) -> None:
        if _registered(self.config.task):
            seeds = range(FINAL_SEED, FINAL_SEED + self.config.evaluation.recorded_episodes)
            episodes = record(policy, self.config.task, seeds)
            write_json(self.folder.path / "episodes.json", episodes)


def _registered(task: str) -> bool:
    """Whether a task can be made by its name; one that `make` makes need not be."""
    try:
        task_id(task)
    except UsageError:
        return False
    return True


def _matches_teacher(config: RunConfig) -> bool:
    return not isinstance(config.algorithm, ImitationConfig) and config.algorithm.teacher.kind == "matching"
