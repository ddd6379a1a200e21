"""Runs whose student chooses when to ask, or skills: what their files say, and how they are used."""

import json
from pathlib import Path

import pytest

from wean.errors import UsageError
from wean.experiment.build import seen_by_run
from wean.experiment.runner import Runner
from wean.experiment.settings import resolve

SMALL = (
    "total_timesteps=512",
    "num_envs=8",
    "num_steps=16",
    "student.hidden=16",
    "evaluation.curve_points=1",
    "evaluation.curve_episodes=4",
    "evaluation.episodes=6",
    "evaluation.recorded_episodes=1",
)


def _train(method: str, out: Path, *extra: str) -> dict[str, object]:
    return Runner(resolve(method, "KeyInBox", seed=1, overrides=[*SMALL, *extra]), out).run()


def _use(out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Runs the code of the student's card, as it stands there."""
    monkeypatch.chdir(out)
    names: dict[str, object] = {}
    exec((out / "student" / "README.md").read_text().split("```python\n")[1].split("```")[0], names)
    return names


def test_a_student_that_asks_says_what_it_asks_and_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    summary = _train("when2ask", out)
    assert summary["chooses"] == "when to ask"
    rules = ["always", "on-change", "skill-end", "plan-end", "random", "never"]
    assert list(summary["references"]) == rules  # type: ignore[call-overload]
    for result in (summary["final"], summary["final_other"], *summary["references"].values()):  # type: ignore[attr-defined]
        asking = result["asking"]  # type: ignore[index]
        assert set(asking) == {"questions", "forced", "repeated", "tokens"}
        assert asking["questions"]["mean"] >= 1
        assert result["llm"]["replayed"] > 0  # type: ignore[index]
        assert result["return"]["mean"] >= 0, "questions cost nothing in an evaluation"  # type: ignore[index]
    final, never = summary["final"], summary["references"]["never"]  # type: ignore[index]
    assert never["asking"]["questions"]["mean"] == 1  # type: ignore[index]
    for name in ("success", "length"):
        difference = final[name]["mean"] - never[name]["mean"]  # type: ignore[index]
        assert never["paired"][name]["mean"] == pytest.approx(difference)  # type: ignore[index]
    more = final["asking"]["questions"]["mean"] - 1  # type: ignore[index]
    assert never["paired"]["questions"]["mean"] == pytest.approx(more)  # type: ignore[index]
    always = summary["references"]["always"]  # type: ignore[index]
    assert always["asking"]["questions"] == always["length"]
    assert "asking" in summary["curve"][0]  # type: ignore[index]
    card = (out / "student" / "README.md").read_text()
    assert "**It needs its language model (or recorded answers) at work, too**" in card
    assert "without any language model" not in card
    assert "| policy | success | return | length | questions | tokens |" in card
    page = (out / "report.html").read_text()
    assert "needs it at work, too" in page
    assert "asks no language model" not in page
    step = json.loads((out / "episodes.json").read_text())["episodes"][0]["steps"][0]
    assert set(step["probabilities"]) == {"go on", "ask"}
    used = _use(out, monkeypatch)
    assert used["ended"]
    assert used["tasks"].query_stats[10_000].questions >= 1  # type: ignore[attr-defined]


def test_a_student_of_skills_is_used_through_its_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    summary = _train("option-ppo", out)
    assert summary["chooses"] == "skills"
    assert summary["references"] == {}
    assert "asking" not in summary["final"]  # type: ignore[operator]
    assert "without any language model" in (out / "student" / "README.md").read_text()
    step = json.loads((out / "episodes.json").read_text())["episodes"][0]["steps"][0]
    assert "explore" in step["probabilities"]
    assert _use(out, monkeypatch)["ended"]


def test_what_does_not_fit_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"set advice.mode=argmax"):
        _train("when2ask", tmp_path / "soft", "advice.mode=soft")
    with pytest.raises(UsageError, match=r"learns itself when to ask; set cost"):
        _train("when2ask", tmp_path / "rule", "advice.when=every")
    with pytest.raises(UsageError, match=r"leave student.chooses and rewards.\* alone"):
        _train("when2ask", tmp_path / "both", "student.chooses=skills")
    with pytest.raises(UsageError, match=r"is no run folder"):
        seen_by_run(tmp_path)
