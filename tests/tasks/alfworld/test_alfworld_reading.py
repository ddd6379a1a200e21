"""ALFWorld's own game files: both wordings, what is refused, and that what is read can be written and read again."""

import gzip
import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wean.errors import UsageError
from wean.tasks.alfworld.archive import archive
from wean.tasks.alfworld.engine import Play
from wean.tasks.alfworld.game import from_json, to_json
from wean.tasks.alfworld.pddl import names_of, parse_game, read_game

FILE = gzip.decompress(Path(__file__).with_name("game.tw-pddl.gz").read_bytes()).decode()
DATA: dict[str, Any] = json.loads(FILE)
HELP = DATA["grammar"].index("action help {")


def changed(**parts: Any) -> str:
    return json.dumps({**DATA, **parts})


def old_words() -> str:
    """The file as ALFWorld wrote it before 0.4."""
    grammar = DATA["grammar"][:HELP].replace("You arrive at {r.name}.", "You arrive at {lend.name}.")
    grammar = grammar.replace("move {o} to {r}", "put {o} in/on {r}")
    grammar = grammar.replace("You move the {o.name} to the {r.name}.", "You put the {o.name} in/on the {r.name}.")
    return changed(grammar=grammar, walkthrough=[])


def test_a_file_is_the_game_of_the_archive(tmp_path: Path) -> None:
    name = "pick_clean_then_place_in_recep-Cloth-None-Toilet-406/trial_T20190908_102552_835735"
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "game.tw-pddl").write_text(FILE)
    assert read_game(folder / "game.tw-pddl") == archive().open(archive().find(name))


def test_the_older_words_are_read() -> None:
    play = Play(parse_game(old_words(), "old"))
    assert "help" not in play.commands
    walkthrough = DATA["walkthrough"]
    for command in walkthrough:
        told = command.replace("move ", "put ").replace(" to ", " in/on ") if command.startswith("move") else command
        assert told in play.commands
        answer = play.answer(told)
        if told.startswith("go"):
            assert answer.startswith(f"You arrive at loc {play.location}. ")
    assert play.won
    assert answer.startswith("You put the ")
    assert " in/on the " in answer


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no game of ALFWorld: not JSON"),
        ("hello", "is no game of ALFWorld: not JSON"),
        (FILE[: len(FILE) // 2], "is cut or damaged"),
        ("[]", "lacks pddl_domain, grammar, pddl_problem"),
        ("{}", "lacks pddl_domain, grammar, pddl_problem"),
        (changed(grammar=3), "lacks pddl_domain, grammar, pddl_problem"),
        (changed(pddl_problem=DATA["pddl_problem"][:3000]), "is cut: its PDDL problem lacks"),
        (changed(pddl_problem=DATA["pddl_problem"][:-300]), "has a goal of none of the six forms"),
        (changed(pddl_problem=DATA["pddl_problem"].replace("(isClean", "(isDirty")), "a goal of none of the six"),
        (changed(pddl_problem=DATA["pddl_problem"].replace("(:goal", "(flies mug) (:goal")), "states \\(flies mug\\)"),
        (changed(pddl_domain=DATA["pddl_domain"].replace("openable", "closable")), "has another PDDL domain"),
        (changed(grammar=DATA["grammar"].replace("You close", "You shut")), "has another grammar"),
        (changed(grammar=DATA["grammar"].replace("move {o} to {r}", "put {o} in/on {r}")), "mixes the old"),
        (changed(grammar=DATA["grammar"][:HELP]), "has the .* words but no help command"),
        (changed(grammar=DATA["grammar"].replace("Your task is to:", "UNKNOWN GOAL")), "another grammar|has no task"),
        (changed(walkthrough="go"), "a walkthrough that is no list of commands"),
    ],
)
def test_what_is_no_game_is_one_line(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        parse_game(text, "a/b", "some.tw-pddl")
    assert str(error.value).startswith("some.tw-pddl ")
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_game(tmp_path / "none.tw-pddl")
    (tmp_path / "picture.tw-pddl").write_bytes(b"\x89PNG\xff")
    with pytest.raises(UsageError, match="is no text"):
        read_game(tmp_path / "picture.tw-pddl")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(FILE) - 1))
def test_a_file_cut_anywhere_is_one_line(length: int) -> None:
    with pytest.raises(UsageError) as error:
        parse_game(FILE[:length], "a/b")
    assert "\n" not in str(error.value)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(DATA["pddl_problem"]) - 1), st.sampled_from("() ?-x\n"))
def test_a_problem_with_another_letter_is_a_game_or_one_line(place: int, letter: str) -> None:
    problem = DATA["pddl_problem"]
    told = ""
    try:
        play = Play(parse_game(changed(pddl_problem=problem[:place] + letter + problem[place + 1 :]), "a/b"))
    except UsageError as error:
        told = str(error)
    else:
        assert play.answer("look").startswith("You are in the middle of a room.")
    assert "\n" not in told


@settings(max_examples=50, deadline=None)
@given(st.sets(st.text(string.ascii_lowercase, min_size=1, max_size=4).map(lambda kind: f"{kind}_bar_x")))
def test_names_are_distinct_and_numbered_from_one(ids: set[str]) -> None:
    more = {f"{one}{end}" for one in ids for end in "abc"}
    names = names_of(more)
    assert len(set(names.values())) == len(more)
    assert all(int(name.split()[1]) in (1, 2, 3) for name in names.values())
    assert names_of({"bed_bar_1", "bed_bar_2", "loc_bar_1", "agent1"}) == {
        "agent1": "agent1 ",
        "bed_bar_1": "bed 2",
        "bed_bar_2": "bed 1",
        "loc_bar_1": "loc 1",
    }


@pytest.mark.parametrize("number", [0, 1000, 3553, 3826])
def test_a_game_survives_being_written(number: int) -> None:
    game = archive().open(archive().entries[number])
    assert from_json(game.name, to_json(game)) == game
