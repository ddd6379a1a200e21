"""Exported students for the tests of the server: small, untrained, exported once."""

from collections.abc import Callable
from pathlib import Path

import pytest

import wean
from exported_students import saved

Exported = Callable[[str], Path]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The folder of an exported student of a kind."""
    known: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in known:
            folder = tmp_path_factory.mktemp("exported")
            make = saved(name, folder / "own").make
            known[name] = wean.export(
                folder / "own", folder / "out", make=None if name == "grid" else make, observations=50
            ).folder
        return known[name]

    return of
