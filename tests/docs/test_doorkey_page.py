"""docs/tasks/doorkey.md says what the rooms do."""

import re
from pathlib import Path

from wean.tasks.grid.kinds import KINDS
from wean.tasks.registration import ROOMS, task_id

PAGE = (Path(__file__).parents[2] / "docs" / "tasks" / "doorkey.md").read_text(encoding="utf-8")
FLAT = " ".join(PAGE.replace("\n>", " ").split())


def test_the_code_on_the_page_runs() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    said: list[str] = []
    exec(code, {"print": said.append}, names)
    assert said == [re.findall(r"# (The robot .*)", code)[0]]
    assert str(getattr(names["picture"], "shape", None)) == re.findall(r"# (\(\d+, \d+, 3\))", code)[0]


def test_every_room_and_its_id_is_on_the_page() -> None:
    for name in ROOMS:
        assert f"| `{name}` | `{task_id(name)}` |" in PAGE


def test_the_goal_is_quoted_to_the_letter() -> None:
    first, skills, _ = KINDS["SimpleDoorKey"].goal.split("\n\n")
    assert first in FLAT
    for line in skills.splitlines()[1:]:
        skill = line.removeprefix("- ").partition(":")[0]
        assert f"| `{skill}` |" in PAGE
    coloured = "the key of the door's colour. There are two keys of different colours in the room."
    assert coloured in KINDS["ColoredDoorKey"].goal
    assert coloured in FLAT
