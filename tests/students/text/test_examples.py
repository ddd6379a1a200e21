"""What is learnt of a demonstration, by hand; and that the agent at work is told it token by token alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from scripted_words import played
from wean.data.augmentation.mistakes import Mistakes
from wean.data.normalize import kept_steps
from wean.data.trajectories import PathStep, Trajectory
from wean.errors import UsageError
from wean.runtime.normalize import render_subgoal
from wean.runtime.prompt import EpisodeEncoder, PromptConfig, Window
from wean.runtime.reading import Reader
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
from wean.students.text.student import TextStudent
from word_demos import NOTHING, Replayed, demonstration


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    trajectory, annotation = demonstration()
    return train_tokenizer(prompt_texts([trajectory], {trajectory.key: annotation}), 400)


def student(tokenizer: Any, **prompt: Any) -> TextStudent:
    return new_student(tokenizer, Size(16, 1, 2), PromptConfig(**prompt), seed=0)


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
    """Says what a demonstration says, in its order.

    Attributes:
        told: Everything it was given, each time with its answer.
    """

    def __init__(self, pupil: TextStudent, said: list[str], done: list[bool]) -> None:
        self._said, self._done, self.tokens_read = iter(said), iter(done), 0
        self._mark, self._answer = pupil.mark, pupil.episode().answer
        self.told: list[list[int]] = []

    def generate(self, prompt: Sequence[int], end: int) -> list[int]:
        answer = self._answer(render_subgoal(next(self._said)))
        self.told.append([*prompt, *answer])
        return answer[:-1]

    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        answer = self._answer(next(self._said))
        self.told.append([*prompt, *answer])
        return [list(one) for one in answers].index(answer)

    def another(self) -> "Scripted":
        return self

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        self.told.append([*prompt, self._mark["<done>"]])
        return next(self._done)


@pytest.mark.parametrize("feeding", ["sequence", "step"])
@pytest.mark.parametrize(("context", "back"), [(2048, 2), (300, 9)])
@pytest.mark.parametrize("subgoals", [True, False])
def test_training_and_acting_are_told_the_same_tokens(
    tokenizer: Any, feeding: str, context: int, back: int, subgoals: bool
) -> None:
    trajectory, annotation = demonstration(back=back)
    pupil = student(tokenizer, feeding=feeding, context=context, subgoals=subgoals)
    example = encode_episode(trajectory, annotation if subgoals else None, pupil.episode(strict=True), 100)
    steps = kept_steps(trajectory, annotation if subgoals else None, 100)
    said = [text for number, goal in steps for text in (goal, trajectory.actions[number]) if text is not None]
    # The agent asks before every action but the first of a sub-goal whether it is done.
    done = [goal is not None for number, (_, goal) in enumerate(steps) if number]
    decoder = Scripted(pupil, said, done)
    played(Reader(decoder, tokenizer, pupil.prompt, no_repeat=False), Replayed(trajectory), 100)
    assert (len(example.windows) > 2) == (feeding == "step" or context == 300)
    told = iter(decoder.told)
    for window in example.windows:  # each is what the agent was told, in this order
        assert any(one == window.ids for one in told)


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
        encode_episode(
            trajectory,
            annotation,
            EpisodeEncoder(student(tokenizer).encode, PromptConfig(context=100), strict=True),
            100,
        )


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
