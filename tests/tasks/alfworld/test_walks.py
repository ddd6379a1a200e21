"""Walks whose answers, admissible commands and ends equal the original's; and all walkthroughs win.

`walks.jsonl` was written by `benchmarks/alfworld_conformance.py --write-walks`, after TextWorld's own environment had
told the same.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from wean.tasks.alfworld.archive import archive
from wean.tasks.alfworld.engine import Play

WALKS = [json.loads(line) for line in Path(__file__).with_name("walks.jsonl").read_text().splitlines()]


def digest(play: Play) -> str:
    return hashlib.sha256("\n".join(sorted(play.commands)).encode()).hexdigest()[:12]


@pytest.mark.parametrize("walk", WALKS, ids=[walk["game"] for walk in WALKS])
def test_a_walk_is_told_as_the_original_tells_it(walk: dict[str, Any]) -> None:
    play = Play(archive().open(archive().find(walk["game"])))
    assert [play.introduction(), digest(play)] == walk["first"]
    for command, answer, admissible, score in walk["steps"]:
        assert play.answer(command) == answer
        assert (digest(play), int(play.won)) == (admissible, score)


def test_the_walks_are_of_all_types_and_splits() -> None:
    entries = [archive().find(walk["game"]) for walk in WALKS]
    assert len({entry.kind for entry in entries}) == 6
    assert len({entry.split for entry in entries}) == 3
    assert any(answer == "Nothing happens." for walk in WALKS for _, answer, *_ in walk["steps"])


@pytest.mark.slow
def test_every_walkthrough_wins() -> None:
    for entry in archive().entries:
        play = Play(archive().open(entry))
        for command in play.game.walkthrough:
            assert command in play.commands, entry.name
            play.answer(command)
        assert play.won, entry.name
