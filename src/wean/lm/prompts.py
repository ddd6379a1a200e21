"""From messages to tokens: the chat template, the end of a turn, candidates behind their prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wean.errors import UsageError, WeanError

Messages = Sequence[Mapping[str, Any]]

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Question:
    """A prompt and the tokens of each candidate answer behind it.

    Attributes:
        prompt: Tokens before the answers. For a decoder-only model they end before the first token in which a
            candidate takes part: where a candidate merges with the end of the prompt into one token, that
            token belongs to the answer.
        answers: Tokens of each candidate, the end of the turn included where it is scored.
    """

    prompt: list[int]
    answers: list[list[int]]


class PromptWriter:
    """Turns messages into tokens for one model, whose answers end with one of `stop_ids`."""

    def __init__(self, tokenizer: Any, *, encoder_decoder: bool, stop_ids: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.encoder_decoder = encoder_decoder
        self.stop_ids = tuple(dict.fromkeys(stop_ids))
        self.chat = bool(getattr(tokenizer, "chat_template", None))

    def text(self, messages: Messages) -> str:
        """Messages as the model reads them, up to where its answer begins.

        With a chat template: the template with the assistant's turn opened (thinking, where a template knows it,
        switched off). Without one: the contents, one per line.
        """
        if not messages:
            raise UsageError("a request needs at least one message")
        for message in messages:
            if not isinstance(message.get("content"), str) or message.get("role") not in _ROLES:
                raise UsageError("a message is {'role': 'system'|'user'|'assistant', 'content': text}")
        if not self.chat:
            return "\n".join(message["content"] for message in messages)
        try:
            return self._render(messages)
        except Exception:
            # Some templates refuse a system message: their documentation wants it before the user's words.
            merged = _without_system(messages)
            if merged is messages:
                raise
            return self._render(merged)

    def prompt_ids(self, messages: Messages) -> list[int]:
        """Tokens of a prompt, with the special tokens that the model expects around it."""
        return self._ids(self.text(messages))

    def question(self, messages: Messages, candidates: Sequence[str], *, end_of_turn: bool) -> Question:
        """Tokenises candidates as answers to messages; with `end_of_turn` the token that ends an answer is scored too.

        Decoder-only models read prompt and answer as one string, so the full strings are tokenised: byte-pair merges
        across the boundary come out as the model would see them. All candidates of a question start at the same token,
        the last one at which every full string still agrees with the prompt; otherwise a candidate that merges with
        the prompt's end would pay for characters that the others get for nothing.

        Raises:
            UsageError: No candidate, or an empty one.
            WeanError: `end_of_turn` is asked of a model that has no such token.
        """
        if not candidates:
            raise UsageError("score needs at least one candidate")
        for position, candidate in enumerate(candidates):
            if not isinstance(candidate, str) or not candidate.strip():
                raise UsageError(f"candidate {position} is empty: every candidate needs a text")
        end = [self.end_id] if end_of_turn else []
        text = self.text(messages)
        prompt = self._ids(text)
        if self.encoder_decoder:
            answers = self.tokenizer(text_target=list(candidates), add_special_tokens=False)["input_ids"]
            return Question(prompt, [[*answer, *end] for answer in answers])
        full = self._full_ids(text, prompt, candidates)
        start = min(_agreement(prompt, ids) for ids in full)
        start = max(1, start)  # an answer needs a token before it
        return Question(prompt[:start], [[*ids[start:], *end] for ids in full])

    @cached_property
    def end_id(self) -> int:
        """The token with which the model ends its turn.

        Raises:
            WeanError: The model has none.
        """
        if self.chat and not self.encoder_decoder:
            # The template knows what closes a turn, which is not always the tokenizer's end-of-text token.
            probe = "weanprobe"
            messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": probe}]
            closed = str(self.tokenizer.apply_chat_template(messages, tokenize=False))
            after = closed[closed.rfind(probe) + len(probe) :] if probe in closed else ""
            ids = self.tokenizer(after, add_special_tokens=False)["input_ids"] if after else []
            if ids and ids[0] in {*self.stop_ids, *self.tokenizer.all_special_ids}:
                return int(ids[0])
        if self.tokenizer.eos_token_id is not None:
            return int(self.tokenizer.eos_token_id)
        if self.stop_ids:
            return self.stop_ids[0]
        raise WeanError("this model has no end-of-turn token: score with end_of_turn=False")

    def decode(self, ids: Sequence[int]) -> str:
        """Text of an answer, without special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _render(self, messages: Messages) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, tokenize=False, enable_thinking=False
            )
        )

    def _ids(self, text: str) -> list[int]:
        # A chat template writes its own special tokens; a plain prompt gets those of the tokenizer. An
        # encoder's prompt ends with its own end token; a decoder's prompt must not, since the answer follows.
        ids: list[int] = self.tokenizer(text, add_special_tokens=not self.chat)["input_ids"]
        if not self.encoder_decoder and not self.chat and ids and ids[-1] in self.stop_ids and len(ids) > 1:
            ids = ids[:-1]
        if not ids:
            raise UsageError("the prompt is empty: a request needs some text")
        return ids

    def _full_ids(self, text: str, prompt: list[int], candidates: Sequence[str]) -> list[list[int]]:
        """Tokens of prompt plus candidate, for each candidate."""
        head, tail = self._split(text)
        if head:
            # What stands before a special token cannot merge with what follows it, so only the tail is tokenised
            # again for each candidate. The check finds tokenizers that treat the start of a text differently.
            head_ids: list[int] = self.tokenizer(head, add_special_tokens=False)["input_ids"]
            tails = self.tokenizer([tail, *(tail + c for c in candidates)], add_special_tokens=False)["input_ids"]
            whole = self._ids(text + candidates[0])
            if head_ids + tails[0] == prompt and head_ids + tails[1] == whole:
                return [head_ids + ids for ids in tails[1:]]
        return [self._ids(text + candidate) for candidate in candidates]

    def _split(self, text: str) -> tuple[str, str]:
        """Cuts a templated prompt behind its last special token; the head is empty where there is none."""
        if not self.chat:
            return "", text
        cut = 0
        for token in self.tokenizer.all_special_tokens:
            at = text.rfind(token)
            if at >= 0:
                cut = max(cut, at + len(token))
        return text[:cut], text[cut:]


def _agreement(left: list[int], right: list[int]) -> int:
    """Number of leading tokens that two sequences share."""
    size = min(len(left), len(right))
    if left[:size] == right[:size]:
        return size
    return next(i for i in range(size) if left[i] != right[i])


def _without_system(messages: Messages) -> Messages:
    """Moves system messages to the front of the first user message."""
    system = [m["content"] for m in messages if m["role"] == "system"]
    rest = [dict(m) for m in messages if m["role"] != "system"]
    if not system or not rest:
        return messages
    first = next((m for m in rest if m["role"] == "user"), None)
    if first is None:
        return messages
    first["content"] = "\n\n".join([*system, first["content"]])
    return rest
