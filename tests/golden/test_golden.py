"""What no processor changes is as it was: the golden files of this folder, written by regenerate.py."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from golden.regenerate import NAMES, file_of, made


def differences(old: object, new: object, path: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key), new.get(key), f"{path}/{key}")
    elif old != new:
        yield f"{path}: {old!r:.300} is now {new!r:.300}"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_has_changed(name: str, tmp_path: Path) -> None:
    kept = json.loads(file_of(name).read_text(encoding="utf-8"))
    found = list(differences(kept, made(name, tmp_path)))
    assert not found, "\n".join([f"{len(found)} differences in {file_of(name).name}:", *found[:10]])
