from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import run_folders as runs
from rich.console import Console

from wean.cli.compare import print_comparison
from wean.errors import UsageError, WeanError
from wean.evaluation.statistics import wilson
from wean.report.compare import Comparison, compare
from wean.report.curves import mean_track, write_curves


def run(folder: Path, seed: int, successes: int, config: dict[str, Any] | None = None, **changes: Any) -> Path:
    settings = {"seed": seed, "out": str(folder), **(config or {})}
    return runs.write_run(folder, config=settings, summary=runs.summary(seed, successes, **changes))


LATE = [{"env_steps": step, "success": 0.1, "length": 140.0} for step in (0, 1000, 3000)]


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [
        run(tmp_path / "ppo", 1, 30, method="ppo", curve=LATE),
        run(tmp_path / "a", 1, 490),
        run(tmp_path / "b", 2, 480, final=runs.evaluation(480, length=26.0)),
        run(tmp_path / "c", 3, 450, curve=LATE),
        run(tmp_path / "lava", 1, 400, task="LavaDoorKey", references={}),
    ]


def printed(comparison: Comparison, width: int) -> str:
    stream = io.StringIO()
    print_comparison(comparison, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def test_seeds_are_pooled_by_method_and_task(folders: list[Path]) -> None:
    found = compare(folders)
    assert found.tasks == ("SimpleDoorKey", "LavaDoorKey")
    assert [(group.task, group.name, len(group.runs)) for group in found.groups] == [
        ("SimpleDoorKey", "llm4teach", 3),
        ("SimpleDoorKey", "ppo", 1),
        ("LavaDoorKey", "llm4teach", 1),
    ]
    best = found.groups[0]
    assert best.episodes == 1500
    assert best.success == wilson(490 + 480 + 450, 1500)
    assert best.over_seeds.mean == pytest.approx((0.98 + 0.96 + 0.90) / 3)
    assert 0.90 <= best.over_seeds.low < best.over_seeds.mean < best.over_seeds.high <= 0.98
    assert best.length is not None
    assert best.length.mean == pytest.approx((20 + 26 + 20) / 3)


def test_steps_count_runs_that_never_got_there(folders: list[Path]) -> None:
    best, ppo, _ = compare(folders).groups
    assert best.speed.as_dict() == {"median": 2000, "reached": 2, "runs": 3}
    assert ppo.speed.as_dict() == {"median": None, "reached": 0, "runs": 1}
    assert compare(folders, threshold=0.95).groups[0].speed.median == 4000


def test_one_seed_keeps_its_own_interval(folders: list[Path]) -> None:
    ppo = compare(folders).groups[1]
    assert ppo.length is not None
    assert ppo.length.as_dict() == {"mean": 20.0, "low": 19.0, "high": 21.0}
    assert ppo.over_seeds.low == ppo.over_seeds.high == 0.06
    assert "0.060 to 0.060" not in printed(compare(folders), 120), "an interval without width says nothing"


def test_ablations_are_never_pooled(tmp_path: Path) -> None:
    base = {"gamma": 0.99, "schedule": {"type": "linear"}}
    other = {"gamma": 0.99, "schedule": {"type": "constant"}}
    found = compare(
        [
            run(tmp_path / "a", 1, 490, base),
            run(tmp_path / "b", 2, 480, base),
            run(tmp_path / "c", 1, 300, other),
        ]
    )
    assert [(group.name, len(group.runs)) for group in found.groups] == [
        ("llm4teach (type=linear)", 2),
        ("llm4teach (type=constant)", 1),
    ]
    assert found.notes == ()


def test_settings_are_named_in_full_where_their_last_words_agree(tmp_path: Path) -> None:
    one = {"student": {"size": 1}, "teacher": {"size": 1}}
    two = {"student": {"size": 2}, "teacher": {"size": 2}}
    found = compare([run(tmp_path / "a", 1, 490, one), run(tmp_path / "b", 1, 300, two)])
    assert [group.variant for group in found.groups] == [
        "student.size=1, teacher.size=1",
        "student.size=2, teacher.size=2",
    ]


def test_the_same_run_counts_once_and_the_same_seed_is_noted(tmp_path: Path) -> None:
    first, again = run(tmp_path / "a", 1, 490), run(tmp_path / "b", 1, 490)
    assert compare([first, tmp_path / "a" / ".." / "a"]).groups[0].episodes == 500
    found = compare([first, again])
    assert found.groups[0].episodes == 1000
    assert "a seed occurs twice" in found.notes[0]
    assert "a seed occurs twice" in printed(found, 80)


def test_references_stand_once_for_each_task(folders: list[Path]) -> None:
    found = compare(folders)
    assert [(one.task, one.name, one.success.mean) for one in found.references] == [
        ("SimpleDoorKey", "teacher", 0.6),
        ("SimpleDoorKey", "random-skills", 0.36),
    ]


def test_json_is_one_object_with_a_schema(folders: list[Path]) -> None:
    data = json.loads(json.dumps(compare(folders).to_json()))
    assert data["schema"] == "wean-compare/2"
    assert data["threshold"] == 0.9
    group = data["groups"][0]
    assert set(group["success"]) == set(group["success_over_seeds"]) == {"mean", "low", "high"}
    assert group["seeds"] == [1, 2, 3]
    assert group["runs"] == [str(folder) for folder in folders[1:4]]
    assert group["steps_to_threshold"] == {"median": 2000, "reached": 2, "runs": 3}
    assert data["references"][0]["policy"] == "teacher"


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_says_all(folders: list[Path], width: int) -> None:
    text = printed(compare(folders), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for words in ("SimpleDoorKey", "LavaDoorKey", "llm4teach", "3 seeds, 1,500 eps.", "0.947", "0.934 to 0.957"):
        assert words in text
    for words in ("2,000", "2 of 3", "never", "0 of 1", "random-skills", "first at 0.9"):
        assert words in text
    assert ("return" in text.splitlines()[2]) == (width == 120)


def test_marks_of_the_table_cannot_come_from_names(tmp_path: Path) -> None:
    odd = run(tmp_path / "a", 1, 490, method="[red]mine[/red]")
    assert "[red]mine[/red]" in printed(compare([odd]), 120)


def test_mean_curves_end_with_the_shortest_run() -> None:
    long = (np.array([0.0, 10.0, 20.0]), np.array([0.0, 0.5, 1.0]))
    short = (np.array([0.0, 5.0, 15.0]), np.array([0.5, 0.5, 0.5]))
    steps, band = mean_track([long, short])
    assert steps.tolist() == [0, 5, 10, 15]
    assert band[:, 0].tolist() == pytest.approx([0.25, 0.375, 0.5, 0.625])
    assert (band[:, 1] <= band[:, 0]).all()
    assert (band[:, 0] <= band[:, 2]).all()


def test_a_page_of_curves_is_self_contained(folders: list[Path], tmp_path: Path) -> None:
    path = write_curves(compare(folders), tmp_path / "new" / "curves.html")
    html = path.read_text(encoding="utf-8")
    assert html.count('<svg class="chart wide"') == 2
    assert 'class="thread"' in html
    assert "3 seeds, 1,500 episodes" in html
    assert "http" not in html.replace("http-equiv", "")
    assert "<script" not in html


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures_of_curves(folders: list[Path], tmp_path: Path, ending: str, magic: bytes) -> None:
    path = write_curves(compare(folders), tmp_path / f"curves.{ending}")
    assert path.read_bytes().startswith(magic)


def test_runs_without_curves_are_compared_all_the_same(tmp_path: Path) -> None:
    found = compare([run(tmp_path / "a", 1, 490, curve=[])])
    assert found.groups[0].speed.median is None
    html = write_curves(found, tmp_path / "curves.html").read_text(encoding="utf-8")
    assert "<svg" not in html
    assert write_curves(found, tmp_path / "curves.png").stat().st_size > 1000


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to compare"):
        compare([])
    with pytest.raises(UsageError, match="no run folder"):
        compare([tmp_path / "nowhere"])
    with pytest.raises(WeanError, match=r"no final evaluation.*--resume"):
        compare([run(tmp_path / "a", 1, 490, final=None)])
    with pytest.raises(WeanError, match="no final evaluation"):
        compare([run(tmp_path / "torn", 1, 490, final={"success": {"mean": 1, "low": 1, "high": 1}})])
    fine = run(tmp_path / "b", 1, 490)
    with pytest.raises(UsageError, match=r"\.html, \.png"):
        write_curves(compare([fine]), tmp_path / "curves.docx")
    (fine / "config.yaml").write_text("- a\n- b\n", encoding="utf-8")
    with pytest.raises(WeanError, match="no settings"):
        compare([fine])
    (fine / "config.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(WeanError, match="YAML"):
        compare([fine])


def test_what_is_no_finished_run_is_left_out_by_name(tmp_path: Path) -> None:
    fine, other = run(tmp_path / "b", 1, 490), tmp_path / "oracle"
    (other / "evaluations").mkdir(parents=True)
    later = runs.write_run(tmp_path / "later", summary={**runs.summary(), "schema": "wean-run/9"})
    unfinished = runs.write_run(tmp_path / "unfinished", config={"seed": 1})
    found = compare([other, fine, later, unfinished])
    assert [group.name for group in found.groups] == ["llm4teach"]
    for folder, words in ((other, "is not a run folder"), (later, "wean-run/9"), (unfinished, "is not finished")):
        (note,) = [note for note in found.notes if str(folder) in note]
        assert note.startswith("Left out: ")
        assert words in note
    with pytest.raises(UsageError, match="there is no run folder"):
        compare([fine, tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="none of these 2 folders holds a finished run"):
        compare([other, unfinished])


def test_budgets_are_shown_and_unequal_ones_told(tmp_path: Path) -> None:
    short = run(tmp_path / "a", 1, 40, method="ppo", env_steps=4096, final=runs.evaluation(40, episodes=50))
    long = run(tmp_path / "b", 1, 490, env_steps=200_704)
    found = compare([short, long])
    assert found.notes[:2] == (
        "SimpleDoorKey: the runs were trained for unequal numbers of environment steps: llm4teach 200,704, ppo 4,096.",
        "SimpleDoorKey: the runs were judged in unequal numbers of episodes: 50, 500.",
    )
    for width in (80, 120):
        text = printed(found, width)
        for words in ("200,704 env. steps", "4,096 env. steps", "1 seed, 50 eps.", "unequal"):
            assert words in " ".join(text.split())
    html = write_curves(found, tmp_path / "curves.html").read_text(encoding="utf-8")
    assert "200,704 environment steps" in html
    equal = compare([run(tmp_path / "c", 1, 490), run(tmp_path / "d", 1, 300, method="ppo")])
    assert not [note for note in equal.notes if "unequal" in note]


def test_where_success_is_not_known_returns_are_compared(tmp_path: Path) -> None:
    def of(method: str, mean: float) -> Path:
        final = runs.evaluation(0) | {"success": None, "return": {"mean": mean, "low": mean - 1, "high": mean + 1}}
        curve = [{"env_steps": step, "success": None, "return": mean - step} for step in (0, 1000)]
        changes = {"method": method, "final": final, "curve": curve, "references": {"random-skills": final}}
        return run(tmp_path / method, 1, 10, **changes)

    found = compare([of("ppo", -40.0), of("llm4teach", 30.0)])
    assert [(group.name, group.success, group.measure) for group in found.groups] == [
        ("llm4teach", None, "return"), ("ppo", None, "return"),
    ]  # fmt: skip
    text = printed(found, 80)
    assert "does not say what success is" in " ".join(text.split())
    assert "29.000 to 31.000" in text
    assert "first at 0.9" not in text.split("Intervals are")[0]
    html = write_curves(found, tmp_path / "curves.html").read_text(encoding="utf-8")
    assert html.count('<svg class="chart wide"') == 1
    assert write_curves(found, tmp_path / "curves.png").stat().st_size > 1000


def test_a_method_has_one_colour_on_all_tasks(tmp_path: Path) -> None:
    scores = {"EasyTask": {"alpha": 490, "beta": 100}, "HardTask": {"alpha": 100, "beta": 490}}
    found = [
        run(tmp_path / f"{task}-{method}", 1, successes, task=task, method=method)
        for task, methods in scores.items()
        for method, successes in methods.items()
    ]
    comparison = compare(found)
    assert [group.name for group in comparison.of("EasyTask")] != [group.name for group in comparison.of("HardTask")]
    page = write_curves(comparison, tmp_path / "curves.html").read_text(encoding="utf-8")
    colours = {
        (name, style)
        for style, name in re.findall(r'class="[^"]*(series-\d)[^"]*"[^>]*>(?:\s|<[^>]*>)*(alpha|beta)', page)
    }
    assert len(colours) == 2
    assert {name for name, _ in colours} == {"alpha", "beta"}


def test_units_are_never_mixed(tmp_path: Path) -> None:
    online = run(tmp_path / "dqn", 1, 400, method="dqn", task="FrozenLake", references={})
    offline = runs.write_run(tmp_path / "cql", config={"seed": 1}, summary=runs.offline_summary())
    found = compare([online, offline])
    data = {group["method"]: group for group in found.to_json()["groups"]}
    assert (data["dqn"]["unit"], data["dqn"]["env_steps"]) == ("env_steps", [4000])
    assert (data["cql"]["unit"], data["cql"]["gradient_steps"]) == ("gradient_steps", [4000])
    assert "env_steps" not in data["cql"]
    assert data["cql"]["steps_to_threshold"]["median"] == 2000
    text = printed(found, 80)
    assert "FrozenLake, progress in environment steps" in text
    assert "FrozenLake, progress in gradient steps" in text
    html = write_curves(found, tmp_path / "curves.html").read_text(encoding="utf-8")
    assert html.count('<svg class="chart wide"') == 2
    assert write_curves(found, tmp_path / "curves.png").stat().st_size > 1000


def test_fine_tuned_students_are_compared_by_their_answers(tmp_path: Path) -> None:
    folders = [
        runs.write_run(tmp_path / f"text-{seed}", config={"seed": seed}, summary=runs.text_summary(seed, exact))
        for seed, exact in ((1, 0.8), (2, 0.9))
    ]
    found = compare([*folders, run(tmp_path / "a", 1, 490)])
    group = next(group for group in found.groups if group.method == "subgoals")
    assert group.success is None
    assert group.exact is not None
    assert group.exact.mean == pytest.approx(0.85)
    row = next(row for row in found.to_json()["groups"] if row["method"] == "subgoals")
    assert (row["success"], row["gradient_steps"], row["tokens"]) == (None, [150, 150], [12000, 12000])
    text = printed(found, 80)
    for words in ("exact answers", "0.850", "0.800 to 0.900", "150", "gradient steps", "12,000", "0.980"):
        assert words in text
    html = write_curves(found, tmp_path / "curves.html").read_text(encoding="utf-8")
    assert html.count('<svg class="chart wide"') == 2
    assert "exact answers" in html
    assert write_curves(found, tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": None}, "method: Input should be a valid string, not None"),
        ({"unit": "days"}, "unit: Input should be 'env_steps'"),
        ({"env_steps": "many"}, "env_steps: Input should be a valid integer, not 'many'"),
        ({"env_steps": None}, "env_steps is missing"),
        ({"curve": [{"env_steps": 1, "success": {}}]}, "curve.0.success: Input should be a valid number"),
        ({"references": ["teacher"]}, "references: Input should be a valid dictionary"),
        ({"final": {"episodes": 2**63, "success": {"mean": 1.0, "low": 1.0, "high": 1.0}}}, "final.episodes: "),
        ({"wall_seconds": 10**400}, "wall_seconds: "),
        ({"time": {"learning": "long"}}, "time.learning: "),
    ],
)
def test_a_summary_of_other_types_is_one_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = runs.write_run(tmp_path / "run", summary=runs.summary(schema="wean-run/2", unit="env_steps") | change)
    with pytest.raises(WeanError) as raised:
        compare([folder])
    assert str(raised.value).startswith(f"{folder / 'summary.json'} is damaged ({said}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "9" * 5_000, '{"schema": ' + "9" * 5_000 + "}", "\x00"])
def test_a_summary_that_is_no_json_is_one_line(tmp_path: Path, text: str) -> None:
    folder = runs.write_run(tmp_path / "run", summary=runs.summary())
    (folder / "summary.json").write_text(text)
    with pytest.raises(WeanError, match=r"summary.json is damaged \(no JSON: .*; train the run again"):
        compare([folder])
