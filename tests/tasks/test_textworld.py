"""Text adventures: games made once and kept, Gymnasium's contract, words, commands, experts, what cannot be made."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from wean.errors import UsageError, WeanError
from wean.evaluation import oracle
from wean.tasks.registration import make_task
from wean.tasks.textworld import TextWorld
from wean.tasks.textworld_games import CHALLENGES, GAMES, Family, family, game_file, is_for_game
from wean.tasks.vector import SerialTasks
from wean.tasks.workers import WorkerTasks

pytest.importorskip("jericho", reason="text adventures need an extra: pip install '.[textworld]'")

PAGE = (Path(__file__).parents[2] / "docs" / "tasks" / "textworld.md").read_text(encoding="utf-8")
NAMES = ("TextWorldCooking", "TextWorldTreasure", "TextWorldCoin")
TINY_COIN = {
    "challenge": "coin_collector",
    "settings": {"level": 102},
    "horizon": 6,
}  # two rooms, two that lead nowhere
TINY_KITCHEN = {"challenge": "cooking", "settings": {"recipe": 1, "take": 1, "go": 1, "cook": 1, "cut": 1}}


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of its own for the games of this module."""
    folder = tmp_path_factory.mktemp("cache")
    patch = pytest.MonkeyPatch()
    patch.setenv("WEAN_CACHE", str(folder))
    yield folder
    patch.undo()


def play(task: TextWorld, seed: int, choose: Any) -> list[Any]:
    """Plays an episode; returns all that was given."""
    observation, info = task.reset(seed=seed)
    log: list[Any] = [observation, info]
    ended = False
    while not ended:
        action = choose(task)
        log.append((task.situation().choices, action))
        observation, reward, terminated, truncated, info = task.step(action)
        log.append((observation, reward, terminated, truncated, info))
        ended = terminated or truncated
    return log


def best(task: TextWorld) -> str:
    return task.best_actions()[0]


# --- what needs no game ----------------------------------------------------------------------------------------------


def test_seeds_play_the_games_of_their_split() -> None:
    adventures = Family("coin_collector", ())
    assert [adventures.game_of_seed(seed) for seed in (0, 19, 20, 4_999)] == [0, 19, 0, 19]
    assert [adventures.game_of_seed(seed) for seed in (5_000, 5_009, 5_010, 9_999)] == [20, 29, 20, 29]
    assert [adventures.game_of_seed(seed) for seed in (10_000, 10_009, 10_010)] == [30, 39, 30]
    numbers = [set(range(first, first + count)) for first, count in GAMES.values()]
    assert sum(map(len, numbers)) == len(set.union(*numbers)) == 40


def test_families_of_other_settings_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEAN_CACHE", str(tmp_path))
    folders = {family("coin_collector", {"level": level}).folder for level in (1, 2)}
    folders.add(family("treasure_hunter", {"level": 1}).folder)
    assert len(folders) == 3
    assert all(folder.parts[: len(tmp_path.parts)] == tmp_path.parts for folder in folders)
    assert family("cooking", {"go": 1, "cut": 1}) == family("cooking", {"cut": 1, "go": 1})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"challenge": "chess"}, "no challenge 'chess'; there are cooking, treasure_hunter, coin_collector"),
        (
            {"challenge": "cooking", "settings": {"recipes": 1}},
            "cooking has no setting 'recipes'; did you mean 'recipe'",
        ),
        (
            {"challenge": "coin_collector", "settings": {"xyz": 1}},
            "coin_collector has no setting 'xyz'; there are level",
        ),
        ({"horizon": 0}, "horizon must be at least 1 command, not 0"),
        ({"render_mode": "human"}, "a text adventure renders 'ansi', not 'human'"),
    ],
)
def test_wrong_settings_are_one_line(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        TextWorld(**settings)


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jericho", None)
    with pytest.raises(UsageError, match=r"jericho is not installed: pip install '.\[textworld\]'"):
        make_task("TextWorldCoin")


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("go north", True),
        ("take red apple from table", True),
        ("dance", True),
        ("", False),
        ("  ", False),
        ("Quit", False),
        ("restart", False),
        ("save", False),
        ("tw-print state", False),
        ("look. take coin", False),
        ("go north then look", False),
        ("take coin\nlook", False),
        ("élan", False),
        ("x" * 101, False),
    ],
)
def test_only_one_command_for_the_game_reaches_it(text: str, fine: bool) -> None:
    assert is_for_game(text) is fine


# --- games -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_gymnasiums_checker_accepts_a_text_adventure(games: Path) -> None:
    check_env(TextWorld(**TINY_COIN, render_mode="ansi"), skip_render_check=True)


@pytest.mark.slow
def test_a_game_is_made_once_and_whole(games: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adventures = family("coin_collector", {"level": 102})
    made = game_file(adventures, 0)
    assert games in made.parents
    before = made.stat().st_mtime_ns
    monkeypatch.setattr("wean.tasks.textworld_games._make", lambda *_: pytest.fail("made again"))
    assert game_file(adventures, 0) == made
    assert made.stat().st_mtime_ns == before
    assert not list(made.parent.glob(".making-*"))


@pytest.mark.slow
def test_the_same_seed_is_the_same_game_in_any_process(games: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from wean.tasks.textworld import TextWorld\n"
        f"task = TextWorld(**{TINY_KITCHEN!r}); print(task.reset(seed=0)[0])\n"
        "while not task._turn.won: choices = task.situation().choices; act = task.best_actions(); print(choices, act); "
        "print(task.step(act[0]))"
    )
    said = []
    for number in (1, 2):  # the second one makes its games anew, and orders sets of texts otherwise
        environment = {**os.environ, "WEAN_CACHE": str(tmp_path / str(number)), "PYTHONHASHSEED": str(number)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        said.append(done.stdout)
    assert said[0] == said[1]
    assert said[0].count("\n") > 10


@pytest.mark.slow
def test_commands_score_and_victory_end_an_episode(games: Path) -> None:
    task = TextWorld(**TINY_KITCHEN)
    log = play(task, 0, best)
    steps = log[3::2]
    rewards = [step[1] for step in steps]
    assert sum(rewards) == pytest.approx(1)
    assert len(set(rewards)) == 2, "some commands earn a point, others nothing"
    assert [step[2] for step in steps] == [False] * (len(steps) - 1) + [True]
    assert [step[4]["is_success"] for step in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[-1][3] is False
    with pytest.raises(UsageError, match="the game is over; reset the task"):
        task.step("look")


@pytest.mark.slow
def test_an_expert_reads_the_recipe_and_the_text_remembers_it(games: Path) -> None:
    task = TextWorld(**TINY_KITCHEN)
    observation, _ = task.reset(seed=0)
    assert "The recipe:" not in observation
    assert task.best_actions() == ["examine cookbook"]
    observation = task.step("examine cookbook")[0]
    (recipe,) = re.findall(r"^The recipe: Ingredients: (.*) Directions: (.*) prepare meal$", observation, re.MULTILINE)
    ingredient, directions = recipe
    assert ingredient in directions
    assert task.best_actions() != ["examine cookbook"]
    assert "The recipe:" in task.step("open fridge")[0]
    assert "The recipe:" not in task.reset(seed=0)[0]


@pytest.mark.slow
def test_a_spoiled_ingredient_loses(games: Path) -> None:
    task = TextWorld(**TINY_KITCHEN)
    task.reset(seed=0)
    while not task.best_actions()[0].startswith("cook"):
        task.step(task.best_actions()[0])
    cook = task.best_actions()[0]
    task.step(cook)
    _, reward, terminated, truncated, info = task.step(cook)  # twice: it burns
    assert (terminated, truncated, info["is_success"]) == (True, False, False)
    assert reward <= 0
    assert task.best_actions() == []


@pytest.mark.slow
def test_what_is_no_command_changes_nothing_but_the_time(games: Path) -> None:
    task = TextWorld(**TINY_COIN)
    observation, _ = task.reset(seed=0)
    choices = task.situation().choices
    for number, text in enumerate(("quit", "fly", "restart", "", "tw-extra-infos moves", "take coin then look"), 1):
        told, reward, terminated, truncated, _ = task.step(text)
        assert (told, reward, terminated, task.situation().choices) == (observation, 0, False, choices)
        assert truncated is (number == task.horizon)


@pytest.mark.slow
def test_text_tells_room_hand_and_way(games: Path) -> None:
    task = TextWorld(**TINY_COIN)
    first, _ = task.reset(seed=0)
    assert re.match(r"Task: .*coin.*\nYou are in the room [\w -]+\. .*\nYou are carrying nothing\.$", first)
    way = next(choice for choice in task.situation().choices if choice.startswith("go "))
    second = task.step(way)[0]
    assert second.endswith(f"You came here by going {way.removeprefix('go ')}.")
    situation = task.situation()
    assert situation.text == situation.key == second
    assert "coin" in situation.goal
    assert task.first_action([f" {situation.choices[0].upper()}"]) == situation.choices[0]
    assert task.first_action(["fly"]) is None
    assert task.first_action([]) is None
    assert not any(choice in ("look", "inventory") or choice.startswith("examine") for choice in situation.choices)


@pytest.mark.slow
def test_choices_of_a_moment_can_be_read_later(games: Path) -> None:
    one, other = TextWorld(**TINY_KITCHEN), TextWorld(**TINY_KITCHEN)
    one.reset(seed=0)
    other.reset(seed=0)
    late, early = [], []
    for _ in range(6):
        late.append(one.situation())
        early.append(other.situation().choices)
        action = best(other)
        one.step(action)
        other.step(action)
    assert [moment.choices for moment in late] == early
    assert len(set(early)) > 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of TextWorld's own environment
def test_admissible_commands_are_those_of_textworld_itself(games: Path) -> None:
    import textworld

    task, random = TextWorld(**TINY_KITCHEN), np.random.default_rng(0)
    task.reset(seed=0)
    original = textworld.start(
        str(task.game), textworld.EnvInfos(admissible_commands=True, inventory=True, score=True, won=True, lost=True)
    )
    state = original.reset()
    for _ in range(25):
        assert list(task._progress.commands(task._progress.turn)) == state.admissible_commands
        assert set(task.situation().choices) <= set(state.admissible_commands)
        assert (task._turn.score, task._turn.won, task._turn.lost) == (state.score, state.won, state.lost)
        assert " ".join(state.inventory.split()) in task.situation().text
        if state.won or state.lost:
            break
        command = str(random.choice(state.admissible_commands))
        state, _, _ = original.step(command)
        task.step(command)
    original.close()


@pytest.mark.slow
def test_many_adventures_side_by_side_and_in_processes(games: Path) -> None:
    makers = [partial(make_task, "TextWorldCoin", **TINY_COIN)] * 3
    workers = WorkerTasks(makers, workers=2)
    logs = []
    try:
        for tasks in (SerialTasks(makers), workers):
            log: list[Any] = [tasks.reset([0, 1, 2], [0, 1, 0])]
            assert log[0].dtype.kind == "U"
            for _ in range(4):
                moments = tasks.situations([2, 0])
                best = tasks.best_actions([2, 0])
                assert all(action in moment.choices for moment, (action,) in zip(moments, best, strict=True))
                log.append([(moment.text, moment.choices) for moment in moments])
                *columns, infos = tasks.step([2, 0], [best[0][0], moments[1].choices[0]])
                log += [*(column.tolist() for column in columns), [dict(info) for info in infos]]
                if columns[2][0]:
                    break
            logs.append([part.tolist() if isinstance(part, np.ndarray) else part for part in log])
            log.append(tasks.histories())
    finally:
        workers.close()
    assert logs[0] == logs[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"challenge": "coin_collector", "settings": {"level": 500}},
            r"coin_collector \(level 500\) cannot .*\[1-300\]",
        ),
        ({"challenge": "cooking", "settings": {"go": 5}}, r"cooking \(go 5\) cannot .*choose other settings$"),
        ({"challenge": "treasure_hunter"}, r"treasure_hunter \(\) cannot be generated \(KeyError: 'level'\)"),
    ],
)
def test_a_game_that_cannot_be_generated_is_one_line(games: Path, settings: dict[str, Any], says: str) -> None:
    task = TextWorld(**settings)
    with pytest.raises(WeanError, match=says) as error:
        task.reset(seed=0)
    assert "\n" not in str(error.value)
    assert not list(games.rglob(".making-*"))


def test_a_cache_that_cannot_be_written_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WEAN_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeanError, match="set WEAN_CACHE to a writable folder"):
        make_task("TextWorldCoin").reset(seed=0)


# --- the page --------------------------------------------------------------------------------------------------------


def test_every_adventure_and_goal_is_on_the_page() -> None:
    flat = " ".join(PAGE.replace("\n>", " ").split())
    for name in NAMES:
        task = make_task(name)
        assert f"| `{name}` | `wean/{name}-v0` |" in PAGE
        assert task.goal in flat
        assert task.games.challenge in CHALLENGES


@pytest.mark.slow
def test_the_code_on_the_page_runs(games: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    said: list[Any] = []
    exec(code, {"print": said.append})
    assert [str(line) for line in said] == re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)


def test_a_walkthrough_is_told_as_a_student_is_told_its_episode(games: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "make_task", lambda name: TextWorld(**TINY_KITCHEN))
    teller = oracle.WalkthroughOracle("kitchen")
    told = teller.play("kitchen", 0)
    teller.close()
    task = TextWorld(**TINY_KITCHEN)
    task.reset(seed=0)
    assert (told["score"], told["moves"], told["description"]) == (100, len(told["path"]), task.description)
    for step in told["path"]:
        assert (step["look"], step["inventory"]) == (task.look(), task.inventory())
        info = task.step(step["action"])[4]
        assert (step["observation"], step["score"]) == (info["feedback"], task.score)
    task.close()


def test_a_task_without_words_has_no_walkthrough() -> None:
    with pytest.raises(UsageError, match="SimpleDoorKey tells no walkthrough in words; leave --trajectories out"):
        oracle.WalkthroughOracle("SimpleDoorKey")
