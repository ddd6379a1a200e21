"""The image of the runtime, as far as it can be checked where there is no Docker: what it copies, runs, and as whom."""

import fnmatch
import importlib.util
import io
import json
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "runtime" / "Dockerfile").read_text(encoding="utf-8")
STEPS = [(step["instruction"], step["value"]) for step in DockerfileParser(fileobj=io.BytesIO(TEXT.encode())).structure]
KNOWN = {"COMMENT", "FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"}


def values(instruction: str) -> list[str]:
    return [value for name, value in STEPS if name == instruction]


def test_it_is_made_of_known_steps_and_versions() -> None:
    assert {name for name, _ in STEPS} <= KNOWN
    assert all(":" in value and ":latest" not in value for value in values("FROM"))
    assert [name for name, _ in STEPS].count("ENTRYPOINT") == 1


def test_it_copies_what_is_there_and_is_sent_to_the_builder() -> None:
    ignored = (ROOT / "runtime" / "Dockerfile.dockerignore").read_text(encoding="utf-8").split("\n")
    sent = [line[1:] for line in ignored if line.startswith("!")]
    sources = [word for value in values("COPY") if "--from" not in value for word in value.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in sent), source


def test_it_installs_the_runtime_alone_and_does_not_run_as_root() -> None:
    (install,) = values("RUN")
    assert '"./runtime[serve]"' in install
    assert "torch" not in install
    (user,) = values("USER")
    assert user.split(":")[0] not in ("0", "root")
    last_stage = max(place for place, (name, _) in enumerate(STEPS) if name == "FROM")
    assert ("USER", user) in STEPS[last_stage:]


def test_it_runs_what_there_is() -> None:
    (entry,) = values("ENTRYPOINT")
    python, flag, module, *rest = json.loads(entry)
    assert (python, flag) == ("/wean/bin/python", "-m")
    assert importlib.util.find_spec(module.replace("wean_runtime", "wean.runtime") + ".__main__") is not None
    assert rest == ["/student", "--host", "0.0.0.0"]
    (health,) = values("HEALTHCHECK")
    assert "127.0.0.1:8000/health" in health
    assert values("EXPOSE") == ["8000"]
