"""The pipeline: who is asked about, budgets, resume, and answers that do not hold."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from households import errands, right
from wean.annotation.annotator import Annotator, Outcome, Request, answer_text
from wean.annotation.pipeline import Pipeline, Plan
from wean.data.annotations import Annotation, AnnotationWriter, read_annotations
from wean.data.trajectories import Key, Trajectory
from wean.errors import WeanError
from wean.llm import scripted_model
from wean.llm.answers import Message


class Knows:
    """Gives the right answer, notes about whom it was asked, and fails when it was asked too much."""

    name = "knows"

    def __init__(self, refuses: Sequence[Key] = (), fails_after: int = 1000) -> None:
        self.asked: list[Key] = []
        self._refuses = refuses
        self._fails_after = fails_after

    def annotate(self, requests: Sequence[Request], most: int | None = None) -> list[Outcome]:
        if len(self.asked) >= self._fails_after:
            raise WeanError("the model is gone")
        self.asked += [trajectory.key for trajectory, _ in requests]
        return [
            Outcome(None, 2, {"sum": 1}, ("no", "no"))
            if trajectory.key in self._refuses
            else Outcome(right(trajectory), 1, {}, ("yes",))
            for trajectory, _ in requests
        ]


def correct(annotations: dict[Key, Annotation], trajectories: Sequence[Trajectory]) -> bool:
    return all(annotations[one.key].chunks == right(one).chunks for one in trajectories)


def test_a_few_of_each_task_are_asked_about_and_the_rest_is_propagated() -> None:
    trajectories = errands(20) + errands(2, "bring")
    knows = Knows()
    result = Pipeline(knows, Plan(per_task=4, confidence=0.5)).run(trajectories, {})
    origins = [annotation.origin for annotation in result.annotations.values()]
    assert (origins.count("asked"), origins.count("propagated")) == (6, 16)
    assert list(result.annotations) == [one.key for one in trajectories]
    assert correct(result.annotations, trajectories)
    assert (result.stats.questions, result.stats.at_once, result.missing, result.problems) == (6, 6, [], [])


def test_what_is_unclear_is_asked_about_as_far_as_the_budget_goes() -> None:
    trajectories = errands(12)
    everything = Pipeline(Knows(), Plan(per_task=1, confidence=1.0)).run(trajectories, {})
    assert {annotation.origin for annotation in everything.annotations.values()} == {"asked"}
    some = Pipeline(Knows(), Plan(per_task=1, confidence=1.0, budget=5)).run(trajectories, {})
    assert some.stats.questions == 5
    assert [annotation.origin for annotation in some.annotations.values()].count("propagated") == 7


def test_a_stopped_run_keeps_its_answers_and_goes_on_to_the_same_end(tmp_path: Path) -> None:
    trajectories = errands(14) + errands(14, "bring") + errands(14, "carry")
    plan = Plan(per_task=4, confidence=0.0)
    whole = Pipeline(Knows(), plan, AnnotationWriter(tmp_path / "whole.jsonl")).run(trajectories, {})
    file = tmp_path / "stopped.jsonl"
    with pytest.raises(WeanError, match="the model is gone"):
        Pipeline(Knows(fails_after=6), plan, AnnotationWriter(file)).run(trajectories, {})
    there = {annotation.key: annotation for annotation in read_annotations(file).found}
    assert len(there) >= 6
    knows = Knows()
    result = Pipeline(knows, plan, AnnotationWriter(file)).run(trajectories, there)
    assert len(knows.asked) == 12 - len(there)
    assert not set(knows.asked) & set(there)
    assert result.annotations == whole.annotations
    assert file.read_text() == (tmp_path / "whole.jsonl").read_text()


def test_a_refused_one_is_told_and_another_one_is_asked_about() -> None:
    trajectories = errands(8)
    first = Knows()
    Pipeline(first, Plan(per_task=1, confidence=0.0)).run(trajectories, {})
    knows = Knows(refuses=first.asked)
    result = Pipeline(knows, Plan(per_task=1, confidence=0.0)).run(trajectories, {})
    assert len(knows.asked) == 2
    assert (result.stats.refused, result.stats.second, result.stats.questions) == (1, 1, 3)
    task, variation = first.asked[0]
    assert result.problems == [
        f"{task} {variation}: no answer that holds after 2 questions: sum (1); left to propagation"
    ]
    assert result.annotations[task, variation].origin == "propagated"


def test_a_model_that_never_answers_well_writes_nothing(tmp_path: Path) -> None:
    trajectories = errands(6)
    annotator = Annotator(scripted_model(lambda messages: "1-1: go(away"))
    writer = AnnotationWriter(tmp_path / "out.jsonl")
    result = Pipeline(annotator, Plan(per_task=2), writer).run(trajectories, {})
    assert (result.annotations, len(result.missing)) == ({}, 6)
    assert not (tmp_path / "out.jsonl").exists()
    assert result.stats.refused == result.stats.demonstrations > 0


def test_corrections_stay_and_teach() -> None:
    trajectories = errands(8)
    corrected = {}
    for one in trajectories[:2]:
        told = right(one)
        pick_up = told.chunks[1]
        renamed = pick_up._replace(subgoal=pick_up.subgoal._replace(verb="fetch"))
        corrected[one.key] = replace(told, chunks=(told.chunks[0], renamed, *told.chunks[2:]), origin="corrected")
    result = Pipeline(Knows(), Plan(per_task=2, confidence=0.0)).run(trajectories, corrected)
    assert {key: result.annotations[key] for key in corrected} == corrected
    assert result.stats.questions == 0
    assert [annotation.chunks[1].subgoal.verb for annotation in result.annotations.values()] == ["fetch"] * 8


def test_the_first_answer_of_a_task_is_the_example_of_the_others() -> None:
    heard: list[list[Message]] = []
    by_action = {"\n".join(one.actions): one for one in errands(6)}

    def answer(messages: list[Message]) -> str:
        heard.append(messages)
        lines = messages[-1]["content"].split("actions:\n")[1].splitlines()
        return answer_text(right(by_action["\n".join(line.split(". ")[1] for line in lines)]).chunks)

    Pipeline(Annotator(scripted_model(answer)), Plan(per_task=3, confidence=0.0)).run(errands(6), {})
    assert [len(messages) for messages in heard] == [2, 4, 4]
