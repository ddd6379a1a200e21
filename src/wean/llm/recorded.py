"""A model that gives recorded answers and is never asked live."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from wean.errors import UsageError, WeanError
from wean.files import read_lines
from wean.llm.answers import Answer, Key, Question, Sample, canonical_json, key_of
from wean.llm.ledger import Ledger
from wean.llm.records import parse_answer, parse_question, parse_sample, question_record


class RecordedAnswers:
    """The answers of a JSONL file, found by the messages of a question.

    Several rows with the same messages are samples 0, 1, ... in their order, unless they carry a `sample` number.
    Sampling parameters are not compared: a recorded model has one way to answer. Rows of kind "score" are found by
    their candidates and normalisation too. Rows whose answer is null are skipped.

    Args:
        path: The file.
        label: The model's name in questions, without its folder.
        name: The name by which the user opened it; default "recorded:" and the label.
        ledger: Where answers that the file lacks are looked up, and questions without one noted; or None.
        strict: A question without an answer is an error instead of an answer without text.

    Attributes:
        unanswered: Records of the questions that had no answer, in the order met.

    Raises:
        WeanError: The file cannot be read.
        UsageError: A row is not a question with an answer; the line is named.
    """

    def __init__(
        self, path: Path, label: str, name: str = "", ledger: Ledger | None = None, strict: bool = False
    ) -> None:
        # A file that grows stays the same model for the answers that a ledger keeps beside it.
        self.ledger_name = f"recorded:{label}"
        self.name = name or self.ledger_name
        self.can_score = False
        self.extra: dict[str, Any] = {}
        self.unanswered: dict[Key, dict[str, Any]] = {}
        self._ledger = ledger
        self._strict = strict
        self._answers: dict[tuple[str, int], Answer] = {}
        for number, record in read_lines(path, complete=True).rows:
            if record.get("answer") is None and "messages" in record:
                continue
            try:
                self._add(record)
            except UsageError as error:
                raise UsageError(f"{path}:{number}: {error}") from None
        rows = sorted([match, sample, answer.text] for (match, sample), answer in self._answers.items())
        digest = hashlib.sha256(canonical_json(rows).encode()).hexdigest()
        self.identity = f"{self.ledger_name}@{digest[:12]}"

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, samples: Sequence[Sample]) -> dict[Key, Answer]:
        """The recorded answer to each sample; one without text where there is none.

        Raises:
            WeanError: There is none and the model is strict.
        """
        found: dict[Key, Answer] = {}
        missing: dict[Key, Sample] = {}
        for sample in samples:
            answer = self._answers.get((_match(sample[0]), sample[1]))
            if answer is None:
                missing[key_of(sample)] = sample
            else:
                found[key_of(sample)] = answer
        if missing and self._ledger is not None:
            found |= self._ledger.find(missing.values())
            missing = {key: sample for key, sample in missing.items() if key not in found}
        if not missing:
            return found
        for key, sample in missing.items():
            self.unanswered.setdefault(key, question_record(sample, "not recorded"))
            found[key] = Answer(text=None, replayed=True)
        if self._ledger is not None:
            self._ledger.note_unanswered(list(missing.values()), "not recorded")
        if self._strict:
            raise WeanError(
                f"{self.name} has no answer to {len(missing)} question(s) (strict): save them with "
                "save_unanswered(), fill in the answers and add the lines to a recorded file, or name "
                "a live model"
            )
        return found

    def close(self) -> None:
        """Does nothing: the file was read whole."""

    def _add(self, record: dict[str, Any]) -> None:
        question = parse_question(record, self.ledger_name)
        match = _match(question)
        free = next(number for number in range(len(self._answers) + 1) if (match, number) not in self._answers)
        sample = parse_sample(record, default=free)
        if (match, sample) in self._answers:
            raise UsageError(f"sample {sample} of this question is there twice; remove one")
        self._answers[match, sample] = parse_answer(record, question)[0]
        self.can_score |= question.kind == "score"


def find_recorded(name: str, ledger: Ledger | None = None, strict: bool = False) -> RecordedAnswers:
    """Opens recorded answers by name ("doorkey", shipped with the package) or by the path of a JSONL file.

    Raises:
        UsageError: There is neither a shipped recording nor a file of that name; the line lists the shipped ones.
        WeanError: The file cannot be read.
    """
    shipped = shipped_recordings()
    if not name:
        raise UsageError(f"recorded: needs a name ({', '.join(shipped)}) or the path of a JSONL file")
    full_name = f"recorded:{name}"
    if name in shipped:
        with resources.as_file(resources.files("wean.llm").joinpath("recorded", f"{name}.jsonl")) as path:
            return RecordedAnswers(path, name, full_name, ledger, strict)
    path = Path(name).expanduser()
    if path.is_dir():
        raise WeanError(f"{path} is a folder; name the JSONL file in it")
    if not path.exists():
        raise UsageError(
            f"{full_name}: no such file, and the shipped recordings are {', '.join(shipped)}; "
            "name one of them or a JSONL file"
        )
    return RecordedAnswers(path, path.stem, full_name, ledger, strict)


def shipped_recordings() -> list[str]:
    """Names of the recordings that come with the package."""
    folder = resources.files("wean.llm").joinpath("recorded")
    return sorted(entry.name.removesuffix(".jsonl") for entry in folder.iterdir() if entry.name.endswith(".jsonl"))


def _match(question: Question) -> str:
    """What a question and a recorded row must have in common."""
    compared: list[Any] = [question.kind, question.messages]
    if question.kind == "score":
        compared += [question.parameters.get("candidates"), question.parameters.get("normalisation")]
    return canonical_json(compared)
