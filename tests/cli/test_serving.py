"""`wean serve` refuses in one line what it cannot serve."""

import socket
from pathlib import Path
from typing import Any

import pytest

from serving.conftest import exported

__all__ = ["exported"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere holds no student (config.json is missing); train one first"),
        (["FOLDER", "--limit", "batches=3"], "there is no limit 'batches'; there are body_bytes=1048576"),
        (["FOLDER", "--limit", "batch=0"], "the limit batch is"),
        (["FOLDER", "--acting", "wild"], "this student cannot act 'wild'; choose sampled or greedy or no_repeat"),
        (["FOLDER", "--token-file", "missing"], "missing cannot be read; write the token into it, in one line"),
        (["FOLDER", "--token-file", "empty"], "the token of empty is empty"),
        (["FOLDER", "--host", "192.0.2.1"], "cannot listen at 192.0.2.1:8000"),
        (["FOLDER", "--port", "70000"], "Invalid value for '--port'"),
    ],
)
def test_what_cannot_be_served(command_line: Any, exported: Any, arguments: list[str], said: str) -> None:
    Path("empty").write_text("\n")
    code, out, error = command_line("serve", *[str(exported("grid")) if one == "FOLDER" else one for one in arguments])
    assert code in (1, 2)
    assert out == ""
    assert said in error
    assert error.count("\n") == 1


def test_a_port_that_is_taken(command_line: Any, exported: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, error = command_line("serve", str(exported("grid")), "--port", str(port))
    assert code == 2
    assert (
        error == f"wean: cannot listen at 127.0.0.1:{port} (Address already in use); choose another --port or --host\n"
    )
