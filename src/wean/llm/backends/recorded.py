"""A model that gives recorded answers and is never asked live."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from wean.errors import UsageError, WeanError
from wean.llm.answers import Answer
from wean.llm.question import Question, canonical_json
from wean.llm.records import check_scores, parse_reply, parse_sample, read_jsonl


class RecordedAnswers:
    """The answers of a JSONL file, matched on the messages.

    Several rows with the same messages are samples 0, 1, ... in their order, unless they carry a `sample`
    number. Sampling parameters are not compared: a recorded model has one way to answer. Rows of kind "score"
    are matched on their candidates and normalisation too. Rows whose answer is null are questions and passed
    over.

    Args:
        path: The file.
        label: The model's name, without its folder.

    Raises:
        WeanError: The file cannot be read.
        UsageError: A row is not a question with an answer; the line is named.
    """

    def __init__(self, path: Path, label: str) -> None:
        self.label = f"recorded:{label}"
        self._answers: dict[tuple[str, int], Answer] = {}
        self.can_score = False
        for number, record in read_jsonl(path):
            if record.get("answer") is None and "messages" in record:
                continue
            try:
                self._add(record)
            except UsageError as error:
                raise UsageError(f"{path}:{number}: {error}") from None
        digest = hashlib.sha256(canonical_json(sorted(self._rows())).encode()).hexdigest()
        self.identity = f"{self.label}@{digest[:12]}"

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, question: Question, sample: int) -> Answer | None:
        """The recorded answer to a question, marked as replayed; None where there is none."""
        return self._answers.get((_match(question.kind, question.messages, question.parameters), sample))

    def _add(self, record: dict[str, Any]) -> None:
        kind = record.get("kind", "generate")
        if kind not in ("generate", "score"):
            raise UsageError(f'"kind" is "generate" or "score", not {kind!r}')
        messages, parameters = record.get("messages"), record.get("parameters", {})
        if not isinstance(messages, list) or not isinstance(parameters, dict):
            raise UsageError('"messages" must be a list of messages')
        question = Question.build(kind, self.label, messages, parameters)
        match = _match(kind, question.messages, parameters)
        free = next(number for number in range(len(self._answers) + 1) if (match, number) not in self._answers)
        sample = parse_sample(record, default=free)
        if (match, sample) in self._answers:
            raise UsageError(f"sample {sample} of this question is there twice; remove one")
        reply, _ = parse_reply(record)
        if kind == "score":
            check_scores(reply.text, parameters)
            self.can_score = True
        self._answers[match, sample] = Answer(
            text=reply.text,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            tokens_estimated=reply.tokens_estimated,
            seconds=reply.seconds,
            cost_usd=reply.cost_usd,
            replayed=True,
            finish_reason=reply.finish_reason,
        )

    def _rows(self) -> list[list[Any]]:
        return [[match, sample, answer.text] for (match, sample), answer in self._answers.items()]


def find_recorded(name: str) -> RecordedAnswers:
    """Opens recorded answers by name ("doorkey", shipped with the package) or by the path of a JSONL file.

    Raises:
        UsageError: There is neither a shipped recording nor a file of that name; the line lists the shipped
            ones.
        WeanError: The file cannot be read.
    """
    if not name:
        raise UsageError(f"recorded: needs a name ({', '.join(shipped_recordings())}) or the path of a JSONL file")
    if name in shipped_recordings():
        with resources.as_file(resources.files("wean.llm").joinpath("recorded", f"{name}.jsonl")) as path:
            return RecordedAnswers(path, name)
    path = Path(name).expanduser()
    if path.is_dir():
        raise WeanError(f"{path} is a folder; name the JSONL file in it")
    if not path.exists():
        raise UsageError(
            f"recorded:{name}: no such file, and the shipped recordings are "
            f"{', '.join(shipped_recordings())}; name one of them or a JSONL file"
        )
    return RecordedAnswers(path, path.stem)


def shipped_recordings() -> list[str]:
    """Names of the recordings that come with the package."""
    folder = resources.files("wean.llm").joinpath("recorded")
    return sorted(entry.name.removesuffix(".jsonl") for entry in folder.iterdir() if entry.name.endswith(".jsonl"))


def _match(kind: str, messages: Any, parameters: Mapping[str, Any]) -> str:
    compared = [kind, messages]
    if kind == "score":
        compared += [parameters.get("candidates"), parameters.get("normalisation")]
    return canonical_json(compared)
