"""ALFWorld as a task: contract, splits, ends, situations, what is refused; its expert."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from wean.errors import UsageError, WeanError
from wean.evaluation import oracle
from wean.tasks.alfworld.archive import SPLITS, Archive, archive, entries_of, find_kind
from wean.tasks.alfworld.engine import Play
from wean.tasks.alfworld.planner import plan
from wean.tasks.alfworld.task import ALFWorld, episodes
from wean.tasks.contract import check_task, text_task
from wean.tasks.registration import episodes_of, fold_of_split, make_task, short_name

UNSEEN = {"examine": 18, "pick": 24, "clean": 31, "cool": 21, "heat": 23, "pick-two": 17}


def walked(task: ALFWorld, seed: int, steps: int) -> list[Any]:
    draw, log = random.Random(seed), [task.reset(seed=seed)]
    for _ in range(steps):
        choices = task.situation().choices
        command = draw.choice(choices)
        log.append((task.situation().text, choices, command, task.step(command)))
        if log[-1][3][2]:
            break
    return log


@pytest.mark.parametrize("name", ["ALFWorld", "ALFWorldExamine"])
def test_it_keeps_the_contract(name: str) -> None:
    check_task(make_task(name))
    text_task(make_task(name))


def test_the_splits_are_alfworlds() -> None:
    assert [len(entries_of(split)) for split in SPLITS] == [3553, 140, 134]
    assert [entry.number for entry in archive().entries] == list(range(3827))
    assert {kind: len(entries_of("valid_unseen", (kind,))) for kind in UNSEEN} == UNSEEN  # type: ignore[arg-type]
    assert fold_of_split("alfworld", "valid_seen") == "dev"
    assert fold_of_split("alfworld", "test") == "test"
    cases = episodes_of("alfworld", "test", 1000)
    assert {kind: sum(case.task == kind for case in cases) for kind in UNSEEN} == UNSEEN
    assert len({case.seed for case in cases}) == 134
    assert [case.task for case in episodes("dev", 2, ["6", "look_at_obj_in_light"])] == ["pick-two"] * 2 + [
        "examine"
    ] * 2


def test_seeds_name_games_of_their_split() -> None:
    task = ALFWorld()
    seen = {}
    for seed in (0, 3552, 3553, 5_000, 5_139, 5_140, 10_000, 10_133, 10_134):
        task.reset(seed=seed)
        seen[seed] = archive().find(task.game.name).number
    assert list(seen.values()) == [0, 3552, 0, 3553, 3692, 3553, 3693, 3826, 3693]
    only = ALFWorld("heat")
    for seed in (0, 5_000, 10_000):
        only.reset(seed=seed)
        assert only.game.goal.kind == "heat"
    only.reset()
    assert archive().find(only.game.name).split == "valid_unseen"


def test_games_are_named_in_any_way(tmp_path: Path) -> None:
    name = archive().entries[7].name
    for given in (7, "7", name, name.partition("/")[2]):
        task = ALFWorld(game=given)
        task.reset(seed=3)
        assert task.game.name == name
        assert task.reset(options={"game": 8})[1] == {"is_success": False, "moves": 0}
        assert task.game.name == archive().entries[8].name


def test_the_same_seed_is_the_same_episode() -> None:
    assert walked(ALFWorld(), 11, 40) == walked(ALFWorld(), 11, 40)


def test_moves_end_an_episode_and_what_is_not_admissible_costs_one() -> None:
    task = ALFWorld(max_moves=3)
    task.reset(seed=0)
    before = task.situation()
    for turn, text in enumerate(("dance", "", "GO TO nowhere 1"), 1):
        answer, reward, terminated, truncated, info = task.step(text)
        assert (answer, reward, terminated, truncated) == ("Nothing happens.", 0.0, False, turn == 3)
        assert info == {"is_success": False, "moves": turn}
        assert (task.situation().text, task.situation().choices) == (before.text, before.choices)
    with pytest.raises(UsageError, match="reset the task"):
        task.step("look")
    task.reset(seed=0, options={"max_moves": 1})
    assert task.step("look")[3]
    assert task.reset(seed=0) is not None
    assert task.max_moves == 3


def test_a_situation_tells_what_was_seen_and_nothing_else() -> None:
    task, other = ALFWorld(), ALFWorld(memory=False)
    for one in (task, other):
        one.reset(seed=10_000)
    assert "Elsewhere" not in task.situation().text
    text = task.situation().text
    assert text.splitlines() == [task.description, "You are in the middle of the room.", "You carry nothing."]
    for command in ("go to countertop 3", "take egg 1 from countertop 3", "go to microwave 1"):
        for one in (task, other):
            one.step(command)
    assert "Here: microwave 1 (closed)." in task.situation().text
    assert "You carry egg 1." in task.situation().text
    assert "Elsewhere: countertop 3: butterknife 3" in task.situation().text
    assert "egg 1" not in task.situation().text.partition("Elsewhere")[2]
    assert "Elsewhere" not in other.situation().text
    task.step("heat egg 1 with microwave 1")
    assert task.inventory() == "You carry egg 1 (hot)."
    task.step("open microwave 1")
    assert "Here: microwave 1: " in task.look()


def test_the_expert_wins_from_wherever_random_commands_lead() -> None:
    draw, stuck = random.Random(0), 0
    for entry in archive().entries[::97]:
        play = Play(archive().open(entry))
        for _ in range(draw.choice((0, 5, 30))):
            if not play.won:
                play.answer(draw.choice(sorted(play.commands)))
        commands = plan(play)
        if commands is None:  # what is held fits nowhere
            stuck += 1
            held = play.game.thing[play.held]
            assert not any(play.game.fits_in(held, one) for one in play.game.receptacles)
            continue
        for command in commands:
            assert command in play.commands
            play.answer(command)
        assert play.won
    assert stuck < 4


def test_the_expert_needs_no_more_than_a_search() -> None:
    """Breadth first over all commands of a small room: no shorter way to win."""
    games = [archive().open(entry) for entry in entries_of("valid_seen", ("pick",))]
    game = min(games, key=lambda one: len(one.receptacles))
    shortest = len(plan(Play(game)) or ())
    assert shortest >= 4
    ring, known = [[]], set()  # type: ignore[var-annotated]
    for _ in range(shortest - 1):
        reached = []
        for path in ring:
            for command in _after(game, path).commands:
                play = _after(game, [*path, command])
                assert not play.won
                inside = tuple(frozenset(things) for things in play.inside.values())
                state = (play.location, play.held, frozenset(play.opened), inside)
                if state not in known:
                    known.add(state)
                    reached.append([*path, command])
        ring = reached


def _after(game: Any, path: list[str]) -> Play:
    play = Play(game)
    for command in path:
        play.answer(command)
    return play


def test_a_walkthrough_can_be_written_as_a_demonstration() -> None:
    teller = oracle.WalkthroughOracle("ALFWorld")
    told = teller.play("heat", 10_000)
    teller.close()
    assert (told["task"], told["score"], told["moves"]) == ("heat", 100, 6)
    assert told["description"].startswith("Your task is to: heat some egg")
    json.dumps(told)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ALFWorld("pik"), "no type of tasks 'pik'; did you mean 'pick'?"),
        (lambda: ALFWorld("9"), "no type of tasks '9'; .*there are 1 pick, 2 examine"),
        (lambda: ALFWorld(max_moves=0), "max_moves must be at least 1, or None for no limit, not 0"),
        (lambda: ALFWorld(game=4000), "ALFWorld has no game 4000; its numbers are 0 to 3826"),
        (lambda: ALFWorld(game="trial_T2019"), "no game 'trial_T2019'; 3827 are called like it"),
        (lambda: ALFWorld(game=""), "no game ''"),
        (lambda: ALFWorld(game=1.5), "a name, a number or a file, not 1.5"),
        (lambda: ALFWorld(game="nowhere.tw-pddl"), "nowhere.tw-pddl cannot be read"),
        (lambda: ALFWorld("pick", game=1), "a game has a type of its own"),
        (lambda: ALFWorld(render_mode="human"), "ALFWorld renders 'ansi', not 'human'"),
        (lambda: ALFWorld().reset(options={"level": 1}), "no reset option 'level'; there are game, max_moves"),
        (lambda: fold_of_split("ALFWorld", "exam"), "no split 'exam'; there are train, dev, test, and of ALFWorld"),
        (lambda: Archive(Path("nowhere.parquet")), "the archive of ALFWorld's games is missing"),
        (lambda: Archive(Path(__file__)), "the archive of ALFWorld's games is damaged"),
    ],
)
def test_what_is_wrong_is_one_line(make: Any, says: str) -> None:
    with pytest.raises(WeanError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


def test_types_have_names_and_numbers() -> None:
    assert [find_kind(name) for name in ("1", "look_at_obj_in_light", "pick-two")] == ["pick", "examine", "pick-two"]
    assert [short_name(name) for name in ("alfworld", "alfworldpicktwo")] == ["ALFWorld", "ALFWorldPickTwo"]


def test_the_licence_lies_beside_the_games() -> None:
    from wean.tasks.alfworld.archive import ARCHIVE, LICENCE

    assert "Mohit Shridhar" in LICENCE.read_text(encoding="utf-8")
    assert ARCHIVE.stat().st_size < 4e6
