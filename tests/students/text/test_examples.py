"""What is learnt of a demonstration, by hand; and that the agent at work is told it token by token alike."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from wean.agents.text_agent import TextAgent
from wean.data.augmentation.inject_mistakes import Mistakes
from wean.data.normalize import kept_steps
from wean.data.trajectories import PathStep, Trajectory
from wean.errors import UsageError
from wean.students.text.decoder import Generated
from wean.students.text.creation import Size, new_student, train_tokenizer
from wean.students.text.examples import (
    Example,
    batched,
    collate,
    draw_pass,
    encode_episode,
    prompt_texts,
    shuffled_batches,
)
from wean.students.text.prompt import EpisodeEncoder, PromptConfig, Window
from wean.students.text.student import TextStudent
from word_demos import NOTHING, Replayed, demonstration


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    trajectory, annotation = demonstration()
    return train_tokenizer(prompt_texts([trajectory], {trajectory.key: annotation}), 400)


def student(tokenizer: Any, **habits: Any) -> TextStudent:
    return new_student(tokenizer, Size(16, 1, 2), Habits(**habits), seed=0)


def shown(tokenizer: Any, window: Window) -> tuple[str, str]:
    """A window as text, and what of it is learnt, with bars between answers."""
    learnt = ""
    for token, target in zip(window.ids, window.targets, strict=True):
        learnt += ("|" if target == 1 and learnt else "") + (
            tokenizer.decode([token], skip_special_tokens=False) if target else ""
        )
    return tokenizer.decode(window.ids, skip_special_tokens=False), learnt


def test_an_episode_is_one_sequence_and_only_what_is_said_is_learnt(tokenizer: Any) -> None:
    trajectory, annotation = demonstration()
    (window,) = encode_episode(trajectory, annotation, student(tokenizer).episode(), 100).windows
    text, learnt = shown(tokenizer, window)
    assert text == (
        "<task> your task is to carry lamp to box 0 ."
        "<look> kitchen : \n lamp \n you also see : \n a door to hall<inv>"
        "<goal> walk hall to kitchen<end>"
        "<act> go to hall<end><obs> you move to hall .<look> hall : \n box \n you also see : \n a door to kitchen"
        "<act> go to kitchen<end><obs> you move to kitchen .<look> kitchen :"
        "<done><goal> take lamp<end><act> pick up lamp<end><obs> you move lamp to inventory .<up>"
        "<look> kitchen : \n - lamp"
        "<done><goal> put lamp to box 0<end><act> go to hall<end><obs> you move to hall .<look> hall :"
        "<act> move lamp to box 0<end>"
    )
    assert learnt == (
        " walk hall to kitchen<end>|<act> go to hall<end>|<act> go to kitchen<end>|<done>| take lamp<end>|"
        "<act> pick up lamp<end>|<done>| put lamp to box 0<end>|<act> go to hall<end>|<act> move lamp to box 0<end>"
    )


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("The 'Red box' (closed), at -10.5 degrees.", "' red box ' ( closed ) , at - 10 . 5 degrees ."),
        ("The apple and a pear\tof the theatre", "apple and pear of theatre"),
    ],
)
def test_everything_is_told_in_the_same_words(told: str, words: str) -> None:
    assert plain(told) == words
    assert plain(words) == words


def test_a_sub_goal_is_told_in_the_words_of_actions() -> None:
    assert phrase("pick_up(metal pot)") == "pick up metal pot"
    assert phrase("pour(blue paint, wood cup)") == "pour blue paint to wood cup"
    assert phrase("pour blue paint to wood cup") == "pour blue paint to wood cup"


def test_things_that_a_sub_goal_names_are_in_sight_or_hidden() -> None:
    sight, known = "workshop : battery red box blue wire | metal pot", {"adult", "lamp"}
    assert hidden(["battery", "blue wire", "red wire"], sight, known) == ["red wire"]
    assert hidden(["red box", "metal pot"], sight, known) == []
    assert hidden(["box of red", "adult lamp"], sight, known) == ["box of red"]  # a lamp may be called otherwise


def test_what_a_sub_goal_names_comes_behind_what_all_of_its_kind_begin_with() -> None:
    begin = beginnings(
        ["pick up pot", "pick up red pot", "fill pot to water", "fill pot to water", "tie a to b", "tie c"]
    )
    assert begin == {"pick": "pick up", "fill": "fill pot to water", "tie": "tie"}
    assert things_of("pick up pot", begin) == ["pot"]
    assert things_of("fill pot to water", begin) == []
    assert things_of("fill pot to oil", begin) == ["oil"]
    assert things_of("tie battery to red wire", begin) == ["battery", "red wire"]
    assert things_of("look at me", begin) == ["at me"]


def test_mistakes_are_told_and_not_learnt(tokenizer: Any) -> None:
    trajectory, annotation = demonstration()
    plain_text, all_learnt = shown(
        tokenizer, encode_episode(trajectory, annotation, student(tokenizer).episode(), 100).windows[0]
    )
    mistakes = Mistakes(goals={1}, actions={2}, dones={3})
    (window,) = encode_episode(trajectory, annotation, student(tokenizer).episode(), 100, mistakes).windows
    text, learnt = shown(tokenizer, window)
    assert text == plain_text
    gone = [part for part in all_learnt.split("|") if part not in learnt.split("|")]
    assert gone == [" walk hall to kitchen<end>", "<act> go to kitchen<end>"]
    assert (all_learnt.count("<done>"), learnt.count("<done>")) == (2, 1)


def test_an_unnamed_sub_goal_is_left_out_but_for_its_end(tokenizer: Any) -> None:
    trajectory, annotation = demonstration()
    whole, _ = shown(tokenizer, encode_episode(trajectory, annotation, student(tokenizer).episode(), 100).windows[0])
    mistakes = Mistakes(goals={4})  # a wrong sub-goal is always named: it alone tells why its actions are done
    episode = student(tokenizer).episode()
    (window,) = encode_episode(trajectory, annotation, episode, 100, mistakes, {0, 1, 3, 4}).windows
    text, learnt = shown(tokenizer, window)
    assert text == whole.replace("<goal> walk hall to kitchen<end>", "").replace("<goal> take lamp<end>", "")
    assert "<act> go to kitchen<end>|<done>|<act> pick up lamp<end>|<done>|<act> go to hall<end>" in learnt
    episode.ask_goal()
    episode._open()
    assert "<before>" not in shown(tokenizer, episode.window)[0]


def test_the_flat_baseline_learns_the_actions_alone(tokenizer: Any) -> None:
    trajectory, _ = demonstration()
    (window,) = encode_episode(trajectory, None, student(tokenizer, subgoals=False).episode(), 100).windows
    text, learnt = shown(tokenizer, window)
    assert "<goal>" not in text
    assert "<done>" not in text
    assert learnt.count("<act>") == 5


def test_fed_step_by_step_every_prompt_ends_in_its_answer(tokenizer: Any) -> None:
    trajectory, annotation = demonstration()
    windows = encode_episode(trajectory, annotation, student(tokenizer, feeding="step").episode(), 100).windows
    assert len(windows) == 5 + 3 + 2  # actions, sub-goals, and done twice
    texts_and_learnt = [shown(tokenizer, window) for window in windows]
    assert all(text.endswith(learnt) and "|" not in learnt for text, learnt in texts_and_learnt)
    text, learnt = texts_and_learnt[4]
    assert learnt == " take lamp<end>"
    assert text == (
        "<task> your task is to carry lamp to box 0 .<before> walk hall to kitchen"
        "<past> go to hall<obs> you move to hall .<past> go to kitchen<obs> you move to kitchen ."
        "<look> kitchen : \n lamp \n you also see : \n a door to hall<inv><goal> take lamp<end>"
    )


class Scripted:
    """Says what a demonstration says, in its order."""

    def __init__(self, said: list[str], done: list[bool]) -> None:
        self._said, self._done, self.tokens_read = iter(said), iter(done), 0

    def say(self, ids: list[int], may: object, fits: object = None) -> Generated:
        return Generated(next(self._said))

    def prefers(self, ids: list[int], first: int, second: int) -> bool:
        return next(self._done)


@pytest.mark.parametrize("feeding", ["sequence", "step"])
@pytest.mark.parametrize(("context", "back"), [(2048, 2), (300, 9)])
@pytest.mark.parametrize("subgoals", [True, False])
def test_training_and_acting_are_told_the_same_tokens(
    tokenizer: Any, feeding: str, context: int, back: int, subgoals: bool
) -> None:
    trajectory, annotation = demonstration(back=back)
    pupil = student(tokenizer, feeding=feeding, context=context, subgoals=subgoals, repeat_limit=99)
    example = encode_episode(trajectory, annotation if subgoals else None, pupil.episode(strict=True), 100)
    steps = kept_steps(trajectory, annotation if subgoals else None, 100)
    said = [text for number, goal in steps for text in (goal, trajectory.actions[number]) if text is not None]
    # The agent asks before every action but the first of a sub-goal whether it is done.
    done = [goal is not None for number, (_, goal) in enumerate(steps) if number]
    agent = TextAgent(pupil)
    agent._reader = Scripted(said, done)  # type: ignore[assignment]
    agent.play(Replayed(trajectory), 100)
    assert (len(example.windows) > 2) == (feeding == "step" or context == 300)
    told = iter(agent._episode.windows)
    for window in example.windows:  # each is what the agent was told, in this order
        assert any(one.ids[: len(window.ids)] == window.ids for one in told)


def test_what_no_longer_fits_opens_anew_with_the_last_ten_actions_and_the_sub_goals_done(tokenizer: Any) -> None:
    trajectory, annotation = demonstration(back=12)
    windows = encode_episode(trajectory, annotation, student(tokenizer, context=512).episode(strict=True), 100).windows
    assert len(windows) > 1
    assert all(len(window.ids) <= 512 for window in windows)
    text, _ = shown(tokenizer, windows[1])
    assert text.startswith("<task> your task is to carry lamp to box 0 .<before> walk hall to kitchen; walk hall")
    assert text.split("<goal>")[0].count("<past>") == 10
    learnt = sum(shown(tokenizer, window)[1].count("<act>") for window in windows)
    assert learnt == 12 * 2 + 3  # every action once


def test_a_prompt_longer_than_the_context_is_refused_and_the_remedy_named(tokenizer: Any) -> None:
    trajectory, annotation = demonstration()
    with pytest.raises(UsageError, match=r"carry 0: a prompt has \d+ tokens, the context 100; set context=256"):
        encode_episode(trajectory, annotation, EpisodeEncoder(student(tokenizer).encode, PromptConfig(context=100), strict=True), 100)


def test_an_agent_leaves_lines_out_where_a_demonstration_is_refused(tokenizer: Any) -> None:
    episode = EpisodeEncoder(student(tokenizer).encode, PromptConfig(context=128))
    episode.begin("Carry.", "hall:\n" + "\n".join(f"a thing called {number}" for number in range(90)), "")
    assert len(episode.window.ids) <= 128 - 64


def test_instrument_readings_are_not_told_again(tokenizer: Any) -> None:
    episode = student(tokenizer).episode()
    episode.begin("Heat.", "kitchen:\na thermometer reading 10 degrees\na pot", "")
    before = len(episode.window.ids)
    episode.add_action("wait1")
    episode.add_observation("You wait.", "kitchen:\na thermometer reading 12 degrees\na pot", "")
    told = tokenizer.decode(episode.window.ids[before:], skip_special_tokens=False)
    assert told == "<act> wait1<end><obs> you wait ."


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
    episode = student(tokenizer).episode()
    episode.begin(task, "kitchen:\na pot", "")
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
    episode = student(tokenizer).episode()
    episode.begin(task, "hall:\na plane 1", "")
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
    episode = student(tokenizer).episode()
    lamps = "a table: a red electric light, which is {}, a blue lamp, which is wet, a horn, which is loud"
    episode.begin(task, f"hall:\n{lamps.format('new')}", "")
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


def test_collated_targets_are_read_off_the_token_before() -> None:
    batch = collate([Window([5, 6, 7, 8], [0, 1, 2, 0]), Window([9, 4], [0, 1])], pad=0)
    assert batch.ids.tolist() == [[5, 6, 7, 8], [9, 4, 0, 0]]
    assert batch.rows.tolist() == [0, 0, 1]
    assert batch.columns.tolist() == [0, 1, 0]
    assert batch.labels.tolist() == [6, 7, 4]
    assert batch.starts.tolist() == [True, False, True]


def test_batches_hold_the_budget(tokenizer: Any) -> None:
    examples = [encode_episode(*demonstration(number), student(tokenizer).episode(), 100) for number in range(6)]
    batches = shuffled_batches(examples, 1000, np.random.default_rng(0))
    assert all(len(batch) * max(len(window.ids) for window in batch) <= 1000 for batch in batches)
    read = sorted(tuple(window.ids) for batch in batches for window in batch)
    assert read == sorted(tuple(window.ids) for example in examples for window in example.windows)
    assert batched([Window([1] * 50, [1] * 50)], 10) == [[Window([1] * 50, [1] * 50)]]


def test_long_tasks_are_read_less_often_by_the_square_root_of_their_tokens() -> None:
    short = [Example("short", (Window([1] * 100, [1] * 100),)) for _ in range(3)]
    long = [Example("long", (Window([1] * 500, [1] * 500), Window([1] * 400, [1] * 400))) for _ in range(9)]
    read = draw_pass([*short, *long], np.random.default_rng(0))
    assert sorted(number for number in read if number < 3) == [0, 0, 0, 1, 1, 1, 2, 2, 2]  # 12 * 3 / (3 + 1)
    of_long = [number for number in read if number >= 3]
    assert len(of_long) == len(set(of_long)) == 3


def test_the_last_variations_choose_the_checkpoint() -> None:
    learn, choose = split_dev([demonstration(number)[0] for number in range(5)], 0.2)
    assert [one.variation for one in learn] == [0, 1, 2, 3]
    assert [one.variation for one in choose] == [4]


def test_what_finds_its_end_reached_is_left_out_and_a_rise_that_came_with_it_is_told_later(tokenizer: Any) -> None:
    moments = [
        PathStep("go to hall", "You move to the hall.", "hall:\na box", NOTHING, 0),
        PathStep("open box", "The box is already open.", "hall:\na box", NOTHING, 30),
        PathStep("activate lamp", "The lamp appears broken, and can't be activated.", "hall:\na box", NOTHING, 30),
        PathStep("go to kitchen", "You move to the kitchen.", "hall:\na box", NOTHING, 30),
    ]
    walked = Trajectory("walk", 0, "Walk.", tuple(moments))
    (window,) = encode_episode(walked, None, student(tokenizer).episode(), 100).windows
    text, learnt = shown(tokenizer, window)
    assert learnt == "<act> go to hall<end>|<act> activate lamp<end>|<act> go to kitchen<end>"
    assert "already" not in text
    assert "can ' t be activated .<up>" in text
    assert text.count("<up>") == 1
    assert [number for number, _ in kept_steps(walked, None, 2)] == [0, 2]


def test_mixed_keys_work_in_half_precision(tokenizer: Any) -> None:
    made = student(tokenizer)
    with torch.autocast("cpu", torch.bfloat16):
        halves = made.model(torch.tensor([[1, 2, 3]])).logits.float()
    assert torch.allclose(halves, made.model(torch.tensor([[1, 2, 3]])).logits, atol=0.05)
