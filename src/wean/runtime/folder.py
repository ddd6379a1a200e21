"""An exported folder on disk: its config, its checksums, its networks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = "wean-export/1"
ACTING = ("sampled", "greedy", "no_repeat")


class PolicyError(ValueError):
    """What a policy was given is nothing that it can act on; one line that names a remedy."""


class ExportError(PolicyError):
    """A folder holds no exported student, or a damaged one; one line that names a remedy."""


class Folder:
    """A folder that `wean export` wrote, checked as far as it is read.

    Raises:
        ExportError: It holds no exported student, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        except OSError:
            raise ExportError(f"{path} holds no exported student (config.json cannot be read); export one") from None
        except ValueError:
            raise self.damaged("config.json is no JSON") from None
        if not isinstance(config, dict) or config.get("schema") != SCHEMA:
            found = config.get("schema") if isinstance(config, dict) else None
            raise ExportError(
                f"{path} holds no exported student of this version ({found}); export it with `wean export`"
            )
        self.config = config

    def damaged(self, what: str) -> ExportError:
        """The error of a damaged folder."""
        return ExportError(f"{self.path} is damaged ({what}); copy it anew, or export the student again")

    def field(self, name: str, *kinds: type, of: Mapping[str, Any] | None = None) -> Any:
        """A field of the config, of one of some types.

        Raises:
            ExportError: It is missing, or of another type.
        """
        value = (self.config if of is None else of).get(name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.damaged(f"config.json has no valid {name!r}")
        return value

    def read(self, name: str) -> bytes:
        """The content of a file whose checksum is right.

        Raises:
            ExportError: It is missing or damaged.
        """
        self._check(name)
        return (self.path / name).read_bytes()

    def tokenizer(self, name: str, why: str) -> Any:
        """The `tokenizers.Tokenizer` of a file; `why` says in an error what needs it.

        Raises:
            PolicyError: The package `tokenizers` is missing.
            ExportError: The file is missing or damaged.
        """
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError:
            raise PolicyError(f"{why} needs tokenizers: pip install tokenizers") from None
        content = self.read(name)
        try:
            return Tokenizer.from_str(content.decode())
        except Exception:  # tokenizers raises plain exceptions
            raise self.damaged(f"{name} is no tokenizer") from None

    def session(self, name: str, threads: int) -> Any:
        """The network of a file, ready to run on the processor.

        Raises:
            ExportError: It is missing or damaged.
        """
        import onnxruntime  # here, so that whoever only draws actions needs no onnxruntime

        options = onnxruntime.SessionOptions()
        # One observation is microseconds of work: threads would cost more than they save.
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._check(name)
        try:
            # By its name: a language model would be in memory twice.
            return onnxruntime.InferenceSession(self.path / name, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common type of their own
            raise self.damaged(f"{name} is no network for onnxruntime {onnxruntime.__version__}") from error

    def _check(self, name: str) -> None:
        """Checks a file's checksum."""
        try:
            with (self.path / name).open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            raise self.damaged(f"{name} cannot be read") from None
        if found != self.field("sha256", dict).get(name):
            raise self.damaged(f"the checksum of {name} is wrong")
