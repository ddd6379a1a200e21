from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import run_folders as runs

from wean.errors import UsageError, WeanError
from wean.evaluation.statistics import Interval
from wean.report.report import write_report
from wean.report.sections import MOST_ROWS

VOID = {"meta", "link", "img", "input", "br"}
ADDRESSES = {"src", "href", "srcset", "action", "data", "poster", "xlink:href", "formaction"}


class Page(HTMLParser):
    """Reads a page strictly: every element closed in order, every attribute kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(text)
        elif self.open and self.open[-1] not in ("style", "title"):
            self.words.append(text)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def ids(self) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get("id"))]

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]


def render(folder: Path, **files: Any) -> tuple[str, Page]:
    path = write_report(runs.write_run(folder, **files))
    assert path == folder / "report.html"
    html = path.read_text(encoding="utf-8")
    return html, Page(html)


@pytest.fixture
def full(tmp_path: Path) -> tuple[str, Page]:
    return render(
        tmp_path / "run",
        summary=runs.summary(),
        teacher=runs.teacher(),
        episodes=runs.episodes(),
        config={"method": "llm4teach", "student": {"hidden": 64}},
    )


def test_everything_is_on_the_page(full: tuple[str, Page]) -> None:
    _, page = full
    sections = ["learning", "teacher", "episodes", "cost", "time", "configuration", "about"]
    assert [one for one in page.ids() if one in sections] == sections
    assert [link for link in page.attributes("href") if link.startswith("#")] == [f"#{name}" for name in sections[:-1]]
    assert "success is 0.980 in 500 held-out episodes (95 % interval 0.964 to 0.989)" in page.text
    assert "better than its teacher" in page.text
    assert "It first reached 0.9 after 2,000 environment steps." in page.text
    assert "41,224" in page.text
    assert "166 kB" in page.text
    assert "1 min 23 s" in page.text
    assert "hidden: 64" in page.text
    assert "wean train llm4teach --task SimpleDoorKey --seed 1 --out" in page.text
    assert "--episodes 500 --seed 10000" in page.text


def test_the_page_asks_no_network(full: tuple[str, Page]) -> None:
    html, page = full
    for tag, attributes in page.elements:
        for name in ADDRESSES & attributes.keys():
            assert re.match(r"(#|data:)", attributes[name] or ""), (tag, name, attributes[name])
    assert "http" not in html.replace("http-equiv", "")
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon", html)
    policy = next(one["content"] for _, one in page.elements if one.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy


def test_charts_are_drawings_with_words(full: tuple[str, Page]) -> None:
    _, page = full
    charts = [attributes for tag, attributes in page.elements if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) == 6, "three charts, each for wide and for narrow screens"
    assert {chart["class"] for chart in charts} == {"chart wide", "chart narrow"}
    assert charts[0]["aria-label"] == (
        "Success over environment steps: student 0.98 at the end, teacher 0.6, random skills 0.36"
    )
    styles = Counter(page.attributes("class"))
    assert styles["level"] == 8, "teacher and random skills in two charts, each drawn twice"
    for value in page.attributes("d"):
        assert "nan" not in value
        assert "inf" not in value
    buttons = [attributes for tag, attributes in page.elements if tag == "button" and "data-player" in attributes]
    assert len(buttons) == 5
    assert all(button.get("aria-label") for button in buttons)


def test_the_teachers_table_is_by_frequency_and_certainty(full: tuple[str, Page]) -> None:
    html, page = full
    table = html[html.index('id="teacher"') : html.index('id="episodes"')]
    assert table.index("It sees a key.") < table.index("It sees a wall.")
    assert table.index("go to key") < table.index("explore")
    assert "no advice" in table
    assert "I cannot help with that." in table
    assert "1,234" in page.text
    assert "--share: 0.9500" in table
    assert "The teacher knew what to do in 1 of the 2 different situations" in page.text
    assert "steps of training there was no plan" not in page.text


def test_steps_without_advice_are_told(tmp_path: Path) -> None:
    _, page = render(tmp_path / "run", summary=runs.summary(unadvised=1250), teacher=runs.teacher())
    assert "In 1,250 steps of training there was no plan" in page.text


def test_episodes_can_be_stepped_through(full: tuple[str, Page]) -> None:
    _, page = full
    data = json.loads(page.scripts[0])
    assert [one["title"] for one in data] == ["Seed 10000: success, 3 steps", "Seed 10001: failure, 2 steps"]
    assert data[0]["steps"][2]["text"] == "Moment 2"
    assert data[0]["steps"][2]["frame"] == runs.picture(80)
    used = set(re.findall(r'find\("(\w+)"\)', page.scripts[1]))
    assert used == set(page.attributes("data-player"))
    assert len(page.attributes("data-episode")) == 2


def test_unknown_costs_are_called_unknown(tmp_path: Path) -> None:
    llm = {"asked": 3, "replayed": 5, "distinct": 4, "unanswered": None, "tokens": None, "cost_usd": None}
    _, page = render(tmp_path / "a", summary=runs.summary(llm=llm))
    cost = page.text.split("What the teacher cost")[1].split("Where the time went")[0]
    assert cost.count("unknown") == 3
    assert "$" not in cost
    _, page = render(tmp_path / "b", summary=runs.summary(llm={**llm, "tokens": 1200, "cost_usd": 0.0042}))
    assert "$0.0042" in page.text
    assert "1,200" in page.text
    _, page = render(tmp_path / "c", summary=runs.summary(llm={"asked": 0, "replayed": 0}))
    assert "No language model was asked" in page.text


@pytest.mark.parametrize(
    ("successes", "words"),
    [(490, "better than its teacher"), (310, "no clear difference"), (200, "behind its teacher")],
)
def test_the_verdict_follows_the_intervals(tmp_path: Path, successes: int, words: str) -> None:
    _, page = render(tmp_path / "run", summary=runs.summary(successes=successes))
    assert words in page.text


def test_a_bare_summary_is_enough(tmp_path: Path) -> None:
    bare = {"schema": "wean-run/1", "method": "ppo", "task": "LavaDoorKey", "seed": 3, "env_steps": 10}
    html, page = render(tmp_path / "run", summary=bare)
    assert page.ids() == ["result", "about"]
    assert "has not been evaluated" in page.text
    assert "LavaDoorKey" in page.text
    assert "<script" not in html


def test_parts_that_are_missing_are_left_out(tmp_path: Path) -> None:
    never = [{"env_steps": step, "success": 0.1, "teacher_weight": 0.0} for step in (0, 500)]
    data = runs.summary(references={"teacher": None}, curve=never, final_other=None, time={})
    _, page = render(tmp_path / "run", summary=data)
    assert "It never reached 0.9." in page.text
    assert "Teacher’s weight" not in page.text.split("The curve as a table")[0]
    assert "teacher itself" not in page.text
    assert "time" not in page.ids()
    assert sum(tag == "tr" for tag, _ in page.elements) == 2 + 1 + 2, "result, curve with two points"


def unsaid(result: dict[str, Any], mean: float = 120.0) -> dict[str, Any]:
    """A result on a task that does not say what success is."""
    return result | {"success": None, "return": Interval(mean, mean - 5, mean + 5).as_dict()}


def test_where_the_task_does_not_say_what_success_is_the_return_is_the_headline(tmp_path: Path) -> None:
    curve = [{"env_steps": step, "success": None, "return": step / 10 - 20, "length": 30.0} for step in (0, 500, 1400)]
    data = runs.summary(
        final=unsaid(runs.evaluation(0)),
        final_other=unsaid(runs.evaluation(0), 100.0),
        references={"teacher": unsaid(runs.evaluation(0), 90.0)},
        curve=curve,
    )
    episodes = runs.episodes()
    episodes["episodes"][0]["success"] = None
    html, page = render(tmp_path / "run", summary=data, episodes=episodes)
    assert "The student’s return is 120.000 in 500 held-out episodes (95 % interval 115.000 to 125.000)" in page.text
    assert "this task does not say what success is" in page.text
    assert "The teacher itself reaches 90.000: the student is better than its teacher" in page.text
    assert "Return of the sampled student in held-out episodes while it was trained" in page.text
    assert "Seed 10000: return 1.0, 3 steps" in page.text
    assert html.count('<svg class="chart wide"') == 2
    for words in ("Success", "succeeds", "reached 0.9", "success,"):
        assert words not in page.text


def test_a_reference_that_always_succeeds_is_a_warning(tmp_path: Path) -> None:
    references = {"teacher": runs.evaluation(499), "random-skills": runs.evaluation(500)}
    _, page = render(tmp_path / "a", summary=runs.summary(references=references))
    assert "Random skills succeed in every episode: success tells nothing about the student here." in page.text
    assert "The teacher succeeds in every episode" not in page.text
    _, page = render(tmp_path / "b", summary=runs.summary(references={"teacher": runs.evaluation(500)}))
    assert "The teacher succeeds in every episode: the student can be as good, but not better." in page.text


def test_the_time_of_an_action_and_the_throughput_have_their_own_names(tmp_path: Path) -> None:
    final = runs.evaluation(490, ms=0.071) | {"actions_per_second": 250_000.0}
    _, page = render(tmp_path / "run", summary=runs.summary(final=final))
    assert "0.071 ms 250,000 a second side by side" in page.text


def test_points_with_episodes_get_a_band(tmp_path: Path) -> None:
    curve = [{"env_steps": step, "success": 0.5, "episodes": 100} for step in (0, 500)]
    data = runs.summary(references={}, curve=curve)
    _, page = render(tmp_path / "run", summary=data)
    bands = [one for tag, one in page.elements if tag == "path" and one.get("class") == "band"]
    assert len(bands) == 2


HOSTILE = '</script><script>alert("x")</script><img src="https://evil.example/a.png" onerror="alert(1)">{{ 777 * 777 }}'


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    teacher = runs.teacher()
    teacher["goal"] = HOSTILE
    teacher["rows"][0].update(text=HOSTILE, answer=HOSTILE)
    teacher["rows"][1]["plans"][0]["skills"] = [HOSTILE]
    episodes = runs.episodes()
    episodes["episodes"][0]["seed"] = HOSTILE
    step = episodes["episodes"][0]["steps"][0]
    step.update(text=HOSTILE, action=HOSTILE, probabilities={HOSTILE: 1.0}, frame="https://evil.example/frame.png")
    data = runs.summary(task=HOSTILE, method=HOSTILE, acting=HOSTILE)
    data["llm"]["model"] = HOSTILE
    data["references"][HOSTILE] = runs.evaluation(1)
    _, page = render(tmp_path / "run", summary=data, teacher=teacher, episodes=episodes, config={"note": HOSTILE})
    assert Counter(tag for tag, _ in page.elements)["script"] == 2
    assert [tag for tag, _ in page.elements if tag == "img"] == ["img"], "only the player's own frame"
    assert not page.attributes("onerror")
    assert str(777 * 777) not in page.text, "a template would have worked it out"
    shown = json.loads(page.scripts[0])[0]["steps"][0]
    assert shown["text"] == HOSTILE
    assert shown["frame"] is None


def test_long_tables_are_cut(tmp_path: Path) -> None:
    row = runs.teacher()["rows"][1]
    rows = [{**row, "text": f"Situation {index}", "met": index} for index in range(MOST_ROWS + 7)]
    _, page = render(tmp_path / "run", summary=runs.summary(), teacher={**runs.teacher(), "rows": rows})
    assert "7 rarer situations are in teacher.json." in page.text
    assert "Situation 7" in page.text
    assert "Situation 6 " not in page.text


def test_a_report_can_be_written_again(tmp_path: Path) -> None:
    folder = runs.write_run(tmp_path / "run", summary=runs.summary())
    first = write_report(folder).read_text(encoding="utf-8")
    assert write_report(folder).read_text(encoding="utf-8") == first


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no run folder .*wean train"):
        write_report(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="not a run folder"):
        write_report(tmp_path / "empty")
    unfinished = runs.write_run(tmp_path / "unfinished", config={"seed": 1})
    with pytest.raises(WeanError, match=r"not finished.*--resume"):
        write_report(unfinished)


@pytest.mark.parametrize("text", ["{torn", "[1, 2]", '{"schema": "wean-run/9"}', '{"seed": 1}', "\xff"])
def test_foreign_and_torn_files_are_told_in_one_line(tmp_path: Path, text: str) -> None:
    folder = runs.write_run(tmp_path / "run", summary=runs.summary())
    for name in ("teacher.json", "summary.json"):
        (folder / name).write_bytes(text.encode("latin-1"))
        with pytest.raises(WeanError) as caught:
            write_report(folder)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_progress_has_its_own_unit(tmp_path: Path) -> None:
    _, page = render(tmp_path / "run", summary=runs.offline_summary())
    assert "4,000 gradient steps" in page.text
    assert "6,123 gradient steps per second" in page.text
    assert "first reached 0.9 after 2,000 gradient steps" in page.text
    assert "environment steps" not in page.text


def test_a_fine_tuned_student_has_a_page(tmp_path: Path) -> None:
    _, page = render(tmp_path / "run", summary=runs.text_summary())
    assert "gives 0.800 of the answers in 20 demonstrations that were kept apart exactly" in page.text
    for words in ("150 gradient steps", "12k read; 400 per second", "3,800,000", "Share of the answers", "wean eval"):
        assert words in page.text
    assert "environment steps" not in page.text
    assert [one for one in page.ids() if one in ("learning", "teacher", "episodes", "cost")] == ["learning"]
