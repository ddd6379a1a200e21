"""Students that read: they plan sub-goals, if they learnt to, and choose among the actions that are admissible."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from .decoding import AnswerDecoder, Network
from .folder import ExportError, Folder, PolicyError
from .normalize import normalize
from .prompt import ACT, DONE, END, PROMPT_VERSION, EpisodeEncoder, PromptConfig
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
        meanings: What each choice stands for while the task asks which of several things was meant.
    """

    goal: str
    text: str
    choices: tuple[str, ...]
    observation: str = ""
    carried: str = ""
    score: float = 0.0
    meanings: Mapping[str, str] = {}


class Reader:
    """A student that reads, in one episode at a time.

    It plans and executes as in its demonstrations: it generates a sub-goal greedily, takes the action that is the most
    probable of the admissible ones, and goes on to the next sub-goal when the end of this one is at least as probable
    as another action. With `no_repeat` it takes no action twice in a state that it did not change (what can be seen and
    is carried, and the score), until all have been taken.

    Attributes:
        goal: The current sub-goal; empty where there is none.
        goals: All sub-goals of the episode.
        decoder: What decodes its answers.

    Args:
        network: Its language model.
        tokenizer: A `tokenizers.Tokenizer` in which every mark is one token.
        prompt: How its prompts are built.
        no_repeat: Whether it takes no action twice in a state.
    """

    def __init__(self, network: Network, tokenizer: Any, prompt: PromptConfig, no_repeat: bool) -> None:
        self.decoder = AnswerDecoder(network)
        self._network, self._tokenizer, self._prompt, self._no_repeat = network, tokenizer, prompt, no_repeat
        self._act, self._done, self._end = (int(tokenizer.token_to_id(mark)) for mark in (ACT, DONE, END))
        self.reset()

    def reset(self) -> None:
        """Begins an episode."""
        self._episode: EpisodeEncoder | None = None
        self.goals: list[str] = []
        self._taken: dict[tuple[str, str, float], set[str]] = {}
        self._score = 0.0
        self._num_actions = 0  # since the sub-goal began

    def another(self) -> Reader:
        """The same student for an episode beside this one."""
        return Reader(self._network.another(), self._tokenizer, self._prompt, self._no_repeat)

    @property
    def goal(self) -> str:
        """See the class."""
        return "" if self._episode is None else self._episode.goal

    def act(self, sight: Sight) -> int:
        """The place of the action among the choices."""
        episode = self._follow(sight)
        episode.make_room()
        asked = bool(sight.meanings)
        if self._prompt.subgoals and self._num_actions and not asked and self._is_goal_over(episode):
            episode.add_done(target=False)
            self._name_goal(episode)
            episode.make_room()
        taken = self._taken.setdefault((sight.text, sight.carried, sight.score), set())
        left = [place for place, choice in enumerate(sight.choices) if asked or choice not in taken]
        if not left:
            taken.clear()
            left = list(range(len(sight.choices)))
        meant = [sight.meanings.get(sight.choices[place], sight.choices[place]) for place in left]
        prompt = [*episode.window.ids, self._act]
        place = left[self.decoder.rank(prompt, [episode.answer(text) for text in meant])]
        if self._no_repeat and not asked:
            taken.add(sight.choices[place])
        episode.add_action(sight.choices[place], target=False)
        self._num_actions += 1
        self._score = sight.score
        return place

    def _follow(self, sight: Sight) -> EpisodeEncoder:
        """Begins the episode, or notes what came of the last action."""
        if self._episode is not None:
            self._episode.add_observation(sight.observation, sight.text, sight.carried, sight.score > self._score)
            return self._episode
        self._episode = EpisodeEncoder(self._encode, self._prompt)
        self._episode.begin(sight.goal, sight.text, sight.carried)
        if self._prompt.subgoals:
            self._name_goal(self._episode)
        return self._episode

    def _name_goal(self, episode: EpisodeEncoder) -> None:
        episode.ask_goal()
        answer = self.decoder.generate(episode.window.ids, self._end)
        episode.add_goal(str(self._tokenizer.decode(answer, skip_special_tokens=True)).strip(), target=False)
        self.goals.append(episode.goal)
        self._num_actions = 0

    def _is_goal_over(self, episode: EpisodeEncoder) -> bool:
        return self.decoder.prefers(episode.window.ids, self._done, self._act)

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def open_reader(folder: Folder, no_repeat: bool, threads: int) -> Reader:
    """The student of an exported folder.

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
    network = open_network(folder, threads)
    mismatch = folder.damaged("model.onnx, tokenizer.json and config.json do not belong together")
    try:
        prompt = PromptConfig(**about)
        if network.vocabulary < tokenizer.get_vocab_size() or folder.field("context", int, of=about) > network.longest:
            raise mismatch
        return Reader(network, tokenizer, prompt, no_repeat)
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
    choices, score, meanings = given["choices"], given.get("score", 0.0), given.get("meanings", {})
    if not isinstance(choices, list | tuple) or not choices or not all(map(_is_choice, choices)):
        raise PolicyError("a situation has at least one choice, all of them strings that say something; give those")
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise PolicyError("the situation's score is no number; give the points so far, or leave it out")
    if not isinstance(meanings, Mapping) or not all(map(_is_choice, [*meanings, *meanings.values()])):
        raise PolicyError("the situation's meanings are no mapping of choices to strings; leave them out")
    return Sight(choices=tuple(choices), score=float(score), meanings=dict(meanings), **texts)


def _is_choice(choice: Any) -> bool:
    return isinstance(choice, str) and bool(normalize(choice)) and _is_writable(choice)


def _is_writable(text: str) -> bool:
    """Whether a text has a form in bytes: a half of a surrogate pair has none."""
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)
