"""`wean train subgoals` and `wean eval` of text students: what is memorised is acted out; resume; bad input."""

import json
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from scripted_words import actions_in, goals_in, played, played_by
from wean.agents.reading import reader_of
from wean.agents.subgoal_source import drawing
from wean.errors import UsageError, WeanError
from wean.evaluation.evaluate import Plan, Player, episode_of, episode_row, evaluate_plan
from wean.evaluation.playing import Episode
from wean.evaluation.scores import Episodes, Scores, interval_text, stratified
from wean.experiment.runner import Progress, Runner
from wean.experiment.settings import resolve
from wean.report.pages import write_timeline
from wean.runtime.normalize import render_subgoal
from wean.students.text.examples import sft_rows
from wean.students.text.student import load_ensemble, load_text_student
from wean.tasks.splits import Case
from word_demos import Replayed, demonstration, write

TINY = ["model=scratch", "hidden=48", "layers=2", "heads=2", "vocabulary=400", "context=512", "token_budget=2048"]


def train(folder: Path, out: str, *more: str, method: str = "subgoals", **how: Any) -> Path:
    demos, subgoals = folder / "demos.jsonl", folder / "subgoals.jsonl"
    overrides = [*TINY, f"data={demos}", f"annotations={subgoals}", *more]
    Runner(resolve(method, overrides=overrides), folder / out, **how).run()
    return folder / out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write(folder, count=2)
    return train(folder, "run", "num_epochs=80", "learning_rate=0.005", "dev_share=0", "measurements=1")


def test_what_is_memorised_is_acted_out(trained: Path) -> None:
    student = load_text_student(trained / "student")
    for number in range(2):
        trajectory, annotation = demonstration(number)
        task = Replayed(trajectory)
        stats = played_by(student, task, 100)
        assert task.done == [action for action in trajectory.actions if action != "look around"]
        goals = [render_subgoal(str(chunk.subgoal)) for chunk in annotation.chunks]
        assert goals_in(stats["trace"]) == goals[1:]
        assert stats["trace"][-1]["score"] == 100


def test_where_its_action_is_not_admissible_the_most_probable_one_is_taken(trained: Path) -> None:
    student = load_text_student(trained / "student")
    task = Replayed(demonstration(1)[0], choices=("jump", "go to hallway", "eat the lamp"))
    played_by(student, task, 1)
    assert task.done == ["go to hallway"]  # the nearest to "go to hall" that there is


def test_a_student_is_told_sub_goals_by_somebody_else(trained: Path) -> None:
    student = load_text_student(trained / "student")
    task = Replayed(demonstration(1)[0])
    assert goals_in(played_by(student, task, 100, lambda number, own: "put(lamp, box 1)")["trace"])[0] == (
        "put lamp to box 1"
    )


def test_after_a_drawn_first_sub_goal_the_student_plans(trained: Path) -> None:
    student = load_text_student(trained / "student")
    trajectory, annotation = demonstration(1)
    planner = drawing(["put(lamp, box 1)"], "random-first", 0)
    goals = goals_in(played_by(student, Replayed(trajectory), 100, planner)["trace"])
    assert goals[0] == "put lamp to box 1"
    assert set(goals[1:]) & {render_subgoal(str(chunk.subgoal)) for chunk in annotation.chunks}


def test_a_student_together_with_itself_does_what_it_does_alone(trained: Path) -> None:
    done = []
    for count in (1, 2):
        student, *others = load_ensemble([trained / "student"] * count)
        stats = played(reader_of(student, others), Replayed(demonstration(1)[0]), 100)
        done.append(actions_in(stats["trace"]))
    assert done[0] == done[1] != []


def with_books(folder: Path) -> None:
    """Demonstrations of two things, so that there are names to exchange."""
    for file in write(folder):
        lines = file.read_text().splitlines()
        file.write_text("".join(f"{line.replace('lamp', 'book') if n % 2 else line}\n" for n, line in enumerate(lines)))


@pytest.mark.parametrize("swapped", [0.0, 0.5])
def test_stopped_between_two_measurements_it_resumes_to_the_same_numbers(tmp_path: Path, swapped: float) -> None:
    with_books(tmp_path)
    settings = ("num_epochs=4", "token_budget=200", "measurements=4", f"swap_entities={swapped}")
    whole = train(tmp_path, "whole", *settings)

    def interrupt(now: Progress) -> None:
        if 2 < 4 * now.done / now.total < 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(
        WeanError, match=r"stopped after \d+ gradient steps; the same command with --resume goes on from there"
    ):
        train(tmp_path, "cut", *settings, progress=interrupt)
    cut = train(tmp_path, "cut", *settings, resume=True)
    losses = [
        [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (whole, cut)
    ]
    assert losses[0] == losses[1]
    best = [json.loads((run / "summary.json").read_text())["best"] for run in (whole, cut)]
    assert best[0]["loss"] == best[1]["loss"]
    assert (whole / "student/model.safetensors").read_bytes() == (cut / "student/model.safetensors").read_bytes()


def test_other_names_are_read_in_training_only(tmp_path: Path) -> None:
    with_books(tmp_path)
    told: list[list[float]] = []
    for swapped in (0, 1):
        run = train(tmp_path, f"swapped-{swapped}", "num_epochs=3", f"swap_entities={swapped}", "learning_rate=1e-9")
        told.append([json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()])
        summary = json.loads((run / "summary.json").read_text())
        told.append([round(point["loss"], 4) for point in summary["curve"]])
    assert told[0] != told[2]
    assert told[1] == told[3]  # nothing was learnt, and the dev demonstrations are as they are


def test_fed_step_by_step_and_flat_it_trains_too(tmp_path: Path) -> None:
    write(tmp_path)
    step = json.loads((train(tmp_path, "step", "num_epochs=1", method="subgoals-step") / "summary.json").read_text())
    whole = json.loads((train(tmp_path, "whole", "num_epochs=1") / "summary.json").read_text())
    assert step["tokens"] > 2 * whole["tokens"]
    flat = load_text_student(train(tmp_path, "flat", "num_epochs=1", method="subgoals-flat") / "student")
    assert not flat.prompt.subgoals
    assert not goals_in(played_by(flat, Replayed(demonstration()[0]), 3)["trace"])


def test_annotations_missing_for_some_demonstrations_are_one_clear_line(tmp_path: Path) -> None:
    write(tmp_path, count=4, annotated=3)
    with pytest.raises(UsageError, match=r"1 of 4 demonstrations of .* have no sub-goals \(carry 1\); write them with"):
        train(tmp_path, "refused", "num_epochs=1")
    skipped = json.loads((train(tmp_path, "skipped", "num_epochs=1", "missing=skip") / "summary.json").read_text())
    assert skipped["demonstrations"] + skipped["dev_demonstrations"] == 3


def test_demonstrations_longer_than_the_context_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with (tmp_path / "demos.jsonl").open("r+") as stream:
        rows = [json.loads(line) for line in stream]
        rows[2]["path"][0]["look"] = "a hall\n" + "\n".join(f"thing number {n}" for n in range(300))
        stream.seek(0)
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    with pytest.raises(UsageError, match=r"carry 2: a prompt has [\d,]+ tokens, the context 512; set context=\d+"):
        train(tmp_path, "long", "num_epochs=1")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer.json; copy the whole student folder"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer.json is damaged"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "is damaged; train it again or copy it anew"),
        (
            lambda folder: (folder / "config.json").write_text(
                re.sub("wean-prompt/6", "wean-prompt/0", (folder / "config.json").read_text())
            ),
            "was trained with prompts wean-prompt/0, this wean writes wean-prompt/6; train it again",
        ),
        (lambda folder: (folder / "config.json").unlink(), "holds no student"),
        (
            lambda folder: (folder / "config.json").write_text(
                (folder / "config.json").read_text().replace('"prompt":', '"told":')
            ),
            "was written by wean 0.1; train it again, or use that version",
        ),
    ],
)
def test_a_spoilt_student_folder_is_one_clear_line(trained: Path, tmp_path: Path, spoil, says: str) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(trained / "student", tmp_path / "student")
    spoil(tmp_path / "student")
    with pytest.raises(WeanError, match=says):
        load_text_student(tmp_path / "student")


def test_examples_are_written_for_other_trainers() -> None:
    trajectory, annotation = demonstration()
    rows = list(sft_rows([trajectory], {trajectory.key: annotation}, "chat"))
    kinds = ("goal", "action", "action", "done", "goal", "action", "done", "goal", "action", "action")
    assert tuple(row["kind"] for row in rows) == kinds
    assert [message["role"] for message in rows[0]["messages"]] == ["user", "assistant"]
    assert rows[1]["messages"][1]["content"] == "<act>go to hall<end>"
    assert rows[1]["messages"][0]["content"].startswith("<task>your task is to carry lamp to box 0 .<look>kitchen :")


def episode(task: str, variation: int, score: float) -> Episode:
    stats = {"score": score, "actions": 10, "seconds": 0.1, "tokens": 50, "trace": []}
    return Episode(Case(task, variation, variation), moves=10, length=10, seconds_per_action=0.01, stats=stats)


def summarize(episodes: list[Episode]) -> dict[str, Any]:
    return Scores("ScienceWorld", "somebody", Episodes.of(episodes, None)).as_dict()


def test_an_evaluation_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    def nobody(members: int) -> Player:
        raise AssertionError("nothing is to be played")

    file = tmp_path / "episodes.jsonl"
    rows = [episode_row(episode("boil", 21, 40.0)), episode_row(episode("boil", 22, 7.0))]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"schema": "we')
    plan = Plan("ScienceWorld", [Case("boil", 22, 22), Case("boil", 21, 21)], nobody, about={"policy": "run"})
    played = evaluate_plan(plan, out=file).episodes.played
    assert [one.stats["score"] for one in played] == [7.0, 40.0]  # nothing was played again
    assert len(file.read_text().splitlines()) == 2
    assert [episode_row(episode_of(row)) for row in rows] == rows
    file.write_text('{"schema": "other/1"}\n')
    with pytest.raises(UsageError, match="holds no episodes of this wean"):
        evaluate_plan(plan, out=file)


def test_scores_are_means_over_tasks_and_spoilt_tasks_count_nothing(tmp_path: Path) -> None:
    played = [episode("boil", 1, 100.0), episode("boil", 2, -100.0), episode("find-plant", 1, 20.0)]
    found = summarize(played)
    assert found["score"]["mean"] == pytest.approx((50 + 20) / 2)
    assert found["groups"]["long"]["mean"] == 50
    assert found["groups"]["short"]["mean"] == 20
    assert found["ms_per_action"] == pytest.approx(10)
    assert found["solved"] == pytest.approx(1 / 3)
    many = [episode("boil", number, 7.0 * number) for number in range(9)]
    assert summarize(many) == summarize(many[::-1])
    assert stratified([[10.0], [30.0]]).as_dict() == {"mean": 20.0, "low": 20.0, "high": 20.0}
    page = write_timeline(tmp_path / "page.html", found, [episode_row(one) for one in played])
    assert "find-plant" in page.read_text()
    assert "no question to a language model" in page.read_text()


def test_one_episode_of_each_task_leaves_no_interval(tmp_path: Path) -> None:
    one = summarize([episode("boil", 1, 40.0), episode("find-plant", 1, 20.0)])
    assert interval_text(one["score"]) == ""
    assert interval_text({"mean": 5.0, "low": 1.25, "high": 7.0}) == "1.2 to 7.0"
    page = write_timeline(tmp_path / "page.html", one, [])
    assert "score 30.0 of 100." in page.read_text()
