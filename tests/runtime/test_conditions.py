"""What of a task's conditions is told behind an observation."""

import re
from typing import Any

import pytest

from wean.runtime.prompt import EpisodeEncoder, PromptConfig
from wean.students.text.creation import train_tokenizer
from wean.students.text.examples import prompt_texts
from word_demos import demonstration


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    trajectory, annotation = demonstration()
    return train_tokenizer(prompt_texts([trajectory], {trajectory.key: annotation}), 400)


def begun(tokenizer: Any, task: str, look: str) -> EpisodeEncoder:
    episode = EpisodeEncoder(lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids), PromptConfig())
    episode.begin(task, look, "")
    return episode


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (
            "Measure the pot. If it is above 15.0 degrees, take the red box. If it is below 15.0 degrees, take a lamp.",
            [
                "<so> if it is below 15 . 0 degrees , take lamp .",
                "",
                "<so> if it is above 15 . 0 degrees , take red box",
                "",
            ],
        ),
        ("Heat the pot above 15.0 degrees.", ["", "", "<so> heat pot above 15 . 0 degrees .", ""]),
        ("Heat the pot.", ["", "", "", ""]),
    ],
)
def test_the_sentence_of_the_task_is_told_again_that_holds_for_a_number(
    tokenizer: Any, task: str, told: list[str]
) -> None:
    episode = begun(tokenizer, task, "kitchen:\na pot")
    before = len(episode.window.ids)
    for degrees in (-3.5, 10, 20, 15):
        episode.add_action("measure pot 1")
        episode.add_observation(f"It has {degrees} degrees!", "kitchen:\na pot", "")
    text = tokenizer.decode(episode.window.ids[before:], skip_special_tokens=False)
    assert [part.split(" !")[1].split("<act>")[0] for part in text.split("<obs>")[1:]] == told


@pytest.mark.parametrize(
    ("task", "said"),
    [("Which one is steeper?", ""), ("Which one is the steepest?", " steepest"), ("Which has least rest?", " least")],
)
def test_where_the_task_names_no_number_things_are_told_the_greater_first(tokenizer: Any, task: str, said: str) -> None:
    episode = begun(tokenizer, task, "hall:\na plane 1")
    before = len(episode.window.ids)
    looked = [("b", "9 %"), ("b", "14 %"), ("c", "14 %"), ("c", "20 %"), ("b", "19 %"), ("b", "5 of 6 parts")]
    for plane, share in looked:
        episode.add_action(f"look at plane {plane}")
        episode.add_observation(f"a block, {share} down.", "hall:\na plane 1", "")
    told = tokenizer.decode(episode.window.ids[before:], skip_special_tokens=False)
    marks = [part.split("<act>")[0].removeprefix(" .") for part in told.split(" down")[1:]]
    told = f"<more>{said} plane c<less>{said} plane b"
    assert marks == ["", "", "", told, told, ""]


@pytest.mark.parametrize(
    ("task", "states", "told"),
    [
        ("If it lights, take the box (red). If it does not, take a cup.", ["off", "off"], ["off", ""]),
        ("If it lights, take the box (red). If it does not, take a cup.", ["off", "on"], ["off", "on"]),
        ("If it lights, take the box (red). If it does not, take a cup.", ["turned on"], ["loud"]),
        ("Take the box (red) if it lights.", ["on"], [""]),
        ("If it has 3 lamps, take the box (red).", ["on"], [""]),
    ],
)
@pytest.mark.parametrize("named", ["red electric light", "light"])
def test_what_the_task_says_of_if_is_told_again_behind_the_state_of_what_was_used(
    tokenizer: Any, task: str, states: list[str], told: list[str], named: str
) -> None:
    lamps = "a table: a red electric light, which is {}, a blue lamp, which is wet, a horn, which is loud"
    episode = begun(tokenizer, task, f"hall:\n{lamps.format('new')}")
    for action in ("wait1", "use horn", f"connect wire to {named}", "use wire"):
        episode.add_action(action)
        episode.add_observation("Good.", f"hall:\n{lamps.format('new')}", "")
    before = len(episode.window.ids)
    for state in states:
        episode.add_action("wait")
        episode.add_observation("You wait for 10 hours.", f"hall:\n{lamps.format(state)}", "")
    text = tokenizer.decode(episode.window.ids[before:], skip_special_tokens=False)
    both = "<so> {0} if it lights , take box ( red ) {0} if it does not , take cup ."
    assert re.findall("<so>[^<]*", text) == [both.format(state) for state in told if state]
