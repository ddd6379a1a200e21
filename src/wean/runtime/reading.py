"""Students that read: they plan sub-goals, if they learnt to, and choose among the actions that are admissible."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from .decoding import Decoder, NetworkDecoder
from .folder import ExportError, Folder, PolicyError
from .normalize import normalize
from .prompt import ACT, ANSWER, DONE, END, PROMPT_VERSION, EpisodeEncoder, PromptConfig
from .reading_network import ReadingNetwork


class Sight(NamedTuple):
    """What a student that reads is shown before an action.

    Attributes:
        goal: The task in words.
        text: What can be seen now.
        choices: The admissible actions.
        observation: What the task answered to the last action; nothing counts before the first.
        carried: What is carried.
        score: Points so far.
        asked: Whether the task asks which of several things was meant, and the choices are the answers.
        idle: Those of the choices that only let time pass.
    """

    goal: str
    text: str
    choices: tuple[str, ...]
    observation: str = ""
    carried: str = ""
    score: float = 0.0
    asked: bool = False
    idle: tuple[str, ...] = ()


GOAL_LIMIT = 30
"""Actions after which a sub-goal is over in any case."""
_LONGEST_CHOICE, _LONGEST_TEXT = 2 * ANSWER, 1_000  # tokens, for which a cache has room after a context; characters
_SAME = 2  # equal results after which an action is not taken again
_State = tuple[str, str, float]  # what can be seen, what is carried, and the score
Planner = Callable[[int, Callable[[], str]], str | None]
"""Gives the sub-goal with a number (from 0), given a function that returns the student's; None takes the student's."""


class Reader:
    """A student that reads, in one episode at a time.

    It plans and executes as in its demonstrations: it generates a sub-goal greedily, takes the action that is the most
    probable of the admissible ones, and goes on to the next sub-goal when the end of this one is at least as probable
    as another action, or after `GOAL_LIMIT` actions. With `no_repeat` an action that had the same result twice in the
    same state (what can be seen and is carried, and the score; after it also the task's answer) is not taken there
    again, unless it only lets time pass or nothing else is left. Where a task lists no actions, the action is the text
    that the student generates.

    Attributes:
        goal: The current sub-goal; empty where there is none.
        goals: All sub-goals of the episode.
        decoder: What decodes its answers.

    Args:
        decoder: Decodes with its language model.
        tokenizer: A `tokenizers.Tokenizer` in which every mark is one token.
        prompt: How its prompts are built.
        no_repeat: Whether an action that had the same result twice in a state is not taken there again.
    """

    def __init__(self, decoder: Decoder, tokenizer: Any, prompt: PromptConfig, no_repeat: bool = True) -> None:
        self.decoder = decoder
        self._tokenizer, self._prompt, self._no_repeat = tokenizer, prompt, no_repeat
        self._act, self._done, self._end = (int(tokenizer.token_to_id(mark)) for mark in (ACT, DONE, END))
        self.reset()

    def reset(self, planner: Planner | None = None) -> None:
        """Begins an episode; a planner names sub-goals in place of the student, which still decides when they end."""
        self._planner = planner
        self._episode: EpisodeEncoder | None = None
        self.goals: list[str] = []
        self._state: _State = ("", "", 0.0)  # in which the last action was taken
        self._action = ""
        self._results: dict[tuple[_State, str], tuple[Any, int]] = {}  # the last result, and how often it came in a row
        self._num_actions = 0  # since the sub-goal began

    def another(self) -> Reader:
        """The same student for an episode beside this one."""
        return Reader(self.decoder.another(), self._tokenizer, self._prompt, self._no_repeat)

    @property
    def goal(self) -> str:
        """See the class."""
        return "" if self._episode is None else self._episode.goal

    def check(self, sight: Sight) -> None:
        """Checks that nothing is too long which cannot be left out of a prompt.

        Raises:
            PolicyError: Something is.
        """
        given = sum(len(self._encode(normalize(text))) for text in (sight.goal, sight.carried))
        if given > self._prompt.context:
            raise PolicyError(
                f"the task and what is carried have {given:,} tokens, and this student reads at most "
                f"{self._prompt.context:,} at once; shorten them"
            )
        for choice in sight.choices:  # thousands, nearly all of them short
            short = len(choice.encode()) <= _LONGEST_CHOICE // 2
            if not short and (len(choice) > _LONGEST_TEXT or len(self._encode(normalize(choice))) > _LONGEST_CHOICE):
                raise PolicyError(
                    f"a choice has more than {_LONGEST_CHOICE} tokens or {_LONGEST_TEXT:,} characters; shorten it"
                )

    def act(self, sight: Sight) -> str:
        """The next action: one of the choices, if there are any."""
        episode = self._follow(sight)
        episode.make_room()
        del episode.windows[:-1]  # of use for training alone
        if self._prompt.subgoals and self._num_actions and not sight.asked and self._is_goal_over(episode):
            episode.add_done(target=False)
            self._name_goal(episode)
            episode.make_room()
        self._state = (sight.text, sight.carried, sight.score)
        prompt = [*episode.window.ids, self._act]
        left = [choice for choice in sight.choices if not self._is_repeat(choice, sight.idle)] or sight.choices
        if left:
            self._action = left[self.decoder.rank(prompt, [episode.answer(choice) for choice in left])]
        else:
            self._action = self._text(prompt)
        episode.add_action(self._action, target=False)
        self._num_actions += 1
        return self._action

    def _follow(self, sight: Sight) -> EpisodeEncoder:
        """Begins the episode, or notes what came of the last action."""
        if self._episode is not None:
            rose = sight.score > self._state[-1]
            self._episode.add_observation(sight.observation, sight.text, sight.carried, rose)
            result = (sight.observation, sight.text, sight.carried, sight.score)
            last, times = self._results.get((self._state, self._action), (None, 0))
            self._results[self._state, self._action] = (result, times + 1 if result == last else 1)
            return self._episode
        self._episode = EpisodeEncoder(self._encode, self._prompt)
        self._episode.begin(sight.goal, sight.text, sight.carried)
        if self._prompt.subgoals:
            self._name_goal(self._episode)
        return self._episode

    def _name_goal(self, episode: EpisodeEncoder) -> None:
        episode.ask_goal()
        own = partial(self._text, episode.window.ids)
        named = self._planner(len(self.goals), own) if self._planner else None
        episode.add_goal(own() if named is None else named, target=False)
        self.goals.append(episode.goal)
        self._num_actions = 0

    def _text(self, prompt: list[int]) -> str:
        """The text that the student generates after a prompt."""
        answer = self.decoder.generate(prompt, self._end)
        return str(self._tokenizer.decode(answer, skip_special_tokens=True)).strip()

    def _is_goal_over(self, episode: EpisodeEncoder) -> bool:
        return self._num_actions >= GOAL_LIMIT or self.decoder.prefers(episode.window.ids, self._done, self._act)

    def _is_repeat(self, action: str, idle: Sequence[str]) -> bool:
        """Whether an action had the same result in this state as often as it may."""
        if not self._no_repeat or action in idle:
            return False
        return self._results.get((self._state, action), (None, 0))[1] >= _SAME

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def open_reader(folder: Folder, network: ReadingNetwork, no_repeat: bool) -> Reader:
    """The student of an exported folder, with its language model.

    Raises:
        PolicyError: The package `tokenizers` is missing.
        ExportError: The folder is damaged.
    """
    about = folder.field("prompt", dict)
    if folder.field("prompt_version", str) != PROMPT_VERSION:
        raise ExportError(
            f"{folder.path} reads other prompts than this version writes ({PROMPT_VERSION}); export it again"
        )
    tokenizer = folder.tokenizer("tokenizer.json", "this student reads, and that")
    mismatch = folder.damaged("model.onnx, tokenizer.json and config.json do not belong together")
    try:
        prompt = PromptConfig(**about)
        if network.vocabulary < tokenizer.get_vocab_size() or folder.field("context", int, of=about) > network.longest:
            raise mismatch
        return Reader(NetworkDecoder(network), tokenizer, prompt, no_repeat)
    except TypeError:
        raise mismatch from None


def open_network(folder: Folder, threads: int) -> ReadingNetwork:
    """The language model of an exported folder.

    Raises:
        ExportError: The folder is damaged.
    """
    session, longest = folder.session("model.onnx", threads), folder.field("longest", int)
    try:
        return ReadingNetwork(session, longest)
    except (KeyError, IndexError, TypeError, ValueError):
        raise folder.damaged("model.onnx is no language model") from None


def sight_of(given: Any) -> Sight:
    """What comes from outside, as a student that reads is shown it.

    Args:
        given: A mapping, or an object with attributes, that has at least `goal`, `text` and `choices` of `Sight`.

    Raises:
        PolicyError: Something is missing, or of another type.
    """
    if not isinstance(given, Mapping):
        try:
            given = {"goal": given.goal, "text": given.text, "choices": given.choices}
        except AttributeError:
            raise PolicyError(
                f"this student reads situations, not {type(given).__name__}; give goal, text and choices"
            ) from None
    lacking = [name for name in Sight._fields[:3] if name not in given]
    if lacking:
        raise PolicyError(
            f"this student reads situations, and this one has no {lacking[0]}; give goal, text and choices"
        )
    texts = {name: given.get(name, "") for name in ("goal", "text", "observation", "carried")}
    for name, text in texts.items():
        if not isinstance(text, str) or not _is_writable(text):
            raise PolicyError(f"the situation's {name} is no text; give a string")
    choices, idle, score, asked = (given.get(name, other) for name, other in _OPTIONAL)
    if not isinstance(choices, list | tuple) or not choices or not all(map(_is_choice, choices)):
        raise PolicyError("a situation has at least one choice, all of them strings that say something; give those")
    if not isinstance(idle, list | tuple) or not all(map(_is_choice, idle)):
        raise PolicyError("the situation's idle choices are no list of strings; leave them out")
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise PolicyError("the situation's score is no number; give the points so far, or leave it out")
    if not isinstance(asked, bool):
        raise PolicyError("the situation's asked is no truth value; leave it out")
    return Sight(choices=tuple(choices), score=float(score), asked=asked, idle=tuple(idle), **texts)


_OPTIONAL: tuple[tuple[str, Any], ...] = (("choices", ()), ("idle", ()), ("score", 0.0), ("asked", False))


def _is_choice(choice: Any) -> bool:
    return isinstance(choice, str) and bool(normalize(choice)) and _is_writable(choice)


def _is_writable(text: str) -> bool:
    """Whether a text has a form in bytes: a half of a surrogate pair has none."""
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)
