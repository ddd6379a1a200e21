"""What is measured and written when a run has trained: scores, references, card, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wean.agents.policy import Policy, PriorPolicy, TeacherPolicy
from wean.evaluation.episodes import Episodes, play, summarize
from wean.evaluation.query_stats import paired, query_stats_report, rules
from wean.evaluation.recording import record
from wean.experiment.build import Components, llm_counts, registered
from wean.experiment.run_folder import RunFolder, write_json, write_text
from wean.experiment.settings import RunConfig, command_line
from wean.report.card import student_card
from wean.report.report import write_report
from wean.students.action_values import ActionValues
from wean.students.grid import GridStudent
from wean.students.no_repeat import Acting
from wean.students.saving import save_student, weight_bytes
from wean.tasks.splits import FINAL_SEED
from wean.teachers.ask_or_act import AskOrAct, QueryStats
from wean.teachers.subgoal_tasks import SubgoalTasks


def judge(parts: Components, policy: Policy, episodes: int, seed: int) -> Episodes:
    """Plays episodes of a run's task with a policy."""
    return play(policy, parts.judges, episodes, seed, parts.success_return)


def asking(parts: Components, episodes: int, seed: int) -> dict[str, Any]:
    """What was asked in the episodes that were judged last, as `asking`; nothing where the student does not ask."""
    found = _query_stats(parts, episodes, seed)
    return {"asking": query_stats_report(found)} if found else {}


def _query_stats(parts: Components, episodes: int, seed: int) -> list[QueryStats]:
    """What was asked in each of the episodes that were judged last."""
    if not isinstance(parts.judges, AskOrAct | SubgoalTasks):
        return []
    return [parts.judges.query_stats[seed + number] for number in range(episodes)]


def conclude(
    config: RunConfig, folder: RunFolder, parts: Components, learned: Mapping[str, Any], asked_before: Mapping[str, Any]
) -> dict[str, Any]:
    """Judges the student and its references on held-out episodes and writes the run's last files.

    Args:
        config: The settings.
        folder: Where the files go.
        parts: The run's parts, the student trained.
        learned: What the run has measured so far: `curve` and `wall_seconds`.
        asked_before: What was asked before the run was resumed.

    Returns:
        The summary, as in `summary.json`.
    """
    student, algorithm, teacher = parts.student, parts.algorithm, parts.teacher
    save_student(student, folder.student)
    # Taken before the teacher meets situations in its own evaluation.
    table, unadvised = (teacher.table(), teacher.unadvised) if teacher else ([], 0)
    ratings = parts.term.table() if parts.term else []
    acting = config.evaluation.acting
    shipped = parts.policy(acting)
    played = judge(parts, shipped, config.evaluation.episodes, FINAL_SEED)
    final = _told(config, parts, shipped, played, asked_before)
    if isinstance(parts.judges, AskOrAct):
        references = _rules(config, parts, played, asked_before)
    else:
        references = _references(config, parts, asked_before)
    learning = sum(algorithm.seconds.values())
    summary = {
        "schema": "wean-run/1",
        "command": command_line(config, str(folder.path)),
        "method": config.method,
        "task": config.task,
        "seed": config.seed,
        "env_steps": algorithm.done,
        "wall_seconds": learned["wall_seconds"],
        "steps_per_second": algorithm.done / learning,
        "unadvised": unadvised,
        "advice": _advice_counts(parts, table),
        "rewards": parts.term.report() if parts.term else None,
        "student_parameters": student.parameter_count(),
        "student_bytes": weight_bytes(folder.student),
        "acting": acting,
        "chooses": "when to ask" if isinstance(parts.judges, AskOrAct) else config.student.chooses,
        "final": final,
        **{
            name: _judged(config, parts, parts.policy(other), asked_before)
            for name, other in _other_ways(parts, acting).items()
        },
        "references": references,
        "llm": add_counts(llm_counts(parts.model), asked_before),
        "curve": learned["curve"],
        "time": {**algorithm.seconds, "evaluation": max(0.0, learned["wall_seconds"] - learning)},
    }
    write_text(folder.student / "README.md", student_card(summary, reads=isinstance(student, ActionValues)))
    if parts.model is not None:
        goal = parts.judges.situations([0])[0].goal
        for name, said in (("teacher", table if teacher else None), ("judge", ratings or None)):
            if said is not None:
                rows = {"schema": f"wean-{name}/1", "model": parts.model.name, "goal": goal, "rows": said}
                write_json(folder.path / f"{name}.json", rows)
    if registered(config.task):
        seeds = range(FINAL_SEED, FINAL_SEED + config.evaluation.recorded_episodes)
        shown = record(shipped, config.task, seeds, parts.success_return, parts.view)
        write_json(folder.path / "episodes.json", shown)
    write_json(folder.summary, summary)
    write_report(folder.path)
    return summary


def _other_ways(parts: Components, acting: Acting) -> dict[str, Acting]:
    """How else the student is judged; without circles only where it sees a map, which holds all that was seen."""
    ways: dict[str, Acting] = {"final_other": "sampled" if acting == "greedy" else "greedy"}
    remembers = isinstance(parts.student, GridStudent) and not isinstance(parts.judges, AskOrAct)
    if remembers and acting != "no_repeat":
        ways["final_no_repeat"] = "no_repeat"
    return ways


def _advice_counts(parts: Components, table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What became of the moments at which a teacher was wanted; nothing for a run whose student has no guide."""
    if parts.asking is None or isinstance(parts.judges, AskOrAct):
        return {}
    unparsed = sum(bool(row["answer"]) and not row["advised"] for row in table)
    return {**parts.asking.counts, "unparsed": unparsed, "notes": parts.asking.notes}


def add_counts(counts: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Adds what was asked before a resume; an unknown price stays unknown."""
    added = dict(counts)
    for name, value in before.items():
        added[name] = None if value is None or counts[name] is None else counts[name] + value
    return added


def _judged(config: RunConfig, parts: Components, policy: Policy, asked_before: Mapping[str, Any]) -> dict[str, Any]:
    """Plays the held-out episodes."""
    played = judge(parts, policy, config.evaluation.episodes, FINAL_SEED)
    return _told(config, parts, policy, played, asked_before)


def _told(
    config: RunConfig, parts: Components, policy: Policy, episodes: Episodes, asked_before: Mapping[str, Any]
) -> dict[str, Any]:
    """Sums up the held-out episodes that were played last."""
    asks = isinstance(policy, TeacherPolicy | PriorPolicy) or isinstance(parts.judges, AskOrAct | SubgoalTasks)
    counts = add_counts(llm_counts(parts.model), asked_before) if asks else llm_counts(None)
    result = summarize(episodes, config.task, policy.name, FINAL_SEED, counts)
    return result | asking(parts, len(episodes.returns), FINAL_SEED)


def _references(config: RunConfig, parts: Components, asked_before: Mapping[str, Any]) -> dict[str, Any]:
    """The run's references, on the student's episodes."""
    return {name: _judged(config, parts, policy, asked_before) for name, policy in parts.references().items()}


def _rules(config: RunConfig, parts: Components, student: Episodes, asked_before: Mapping[str, Any]) -> dict[str, Any]:
    """The rules that learned asking is compared with; `paired` is the shipped student minus each."""
    episodes = len(student.returns)
    asked = _query_stats(parts, episodes, FINAL_SEED)
    found = {}
    for rule in rules(asked, int(student.lengths.sum())):
        other = judge(parts, rule, episodes, FINAL_SEED)
        pairs = paired(student, asked, other, _query_stats(parts, episodes, FINAL_SEED))
        found[rule.name] = _told(config, parts, rule, other, asked_before) | {"paired": pairs}
    return found
