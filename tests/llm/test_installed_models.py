"""Models that an installed package adds by a prefix of the name (entry points `wean.models`)."""

from __future__ import annotations

import sys

import pytest

from wean.errors import UsageError
from wean.extras import entry_points
from wean.llm import open_model

BACKEND = """
from wean.llm.answers import Answer
from wean.llm.answers import FREE

class Echo:
    concurrency, batch_size, can_score, price, closed = 1, 4, False, FREE, 0

    def __init__(self, name, loud=False):
        self.name, self.identity, self.extra = f"mylab:{name}", f"mylab-{name}", {"loud": True} if loud else {}

    def ask(self, samples):
        texts = [question.messages[-1]["content"] for question, _ in samples]
        return [Answer(text.upper() if self.extra else text, cost_usd=0.0) for text in texts]

    def close(self):
        Echo.closed += 1
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a distribution: a folder on sys.path with a module and its metadata."""

    def install(distribution, module, code, entries):
        folder = tmp_path / distribution
        metadata = folder / f"{distribution}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (folder / f"{module}.py").write_text(code)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[wean.models]\n{entries}\n")
        monkeypatch.syspath_prepend(folder)
        entry_points.cache_clear()
        return module

    yield install
    entry_points.cache_clear()
    for name in ("mylab_models", "broken_models", "mylab_copy"):
        sys.modules.pop(name, None)


def test_an_installed_package_adds_a_kind_of_model(install, ledger, ask):
    install("mylab", "mylab_models", BACKEND, "mylab = mylab_models:Echo")
    with open_model("mylab:small", ledger=ledger) as model:
        assert (model.name, model.identity, model.can_score) == ("mylab:small", "mylab-small", False)
        [[answer], [again]] = model.generate([ask("hello"), ask("bye")])
        assert (answer.text, answer.replayed, again.text) == ("hello", False, "bye")
        assert model.generate([ask("hello")])[0][0].replayed
    assert sys.modules["mylab_models"].Echo.closed == 1
    # Options go to the package's function; what it puts into `extra` is part of the question.
    with open_model("mylab:small", ledger=ledger, loud=True) as model:
        assert model.generate([ask("hello")])[0][0].text == "HELLO"


def test_weans_own_prefixes_come_first(install):
    install("mylab", "mylab_models", BACKEND, "recorded = mylab_models:Echo\nhf = mylab_models:Echo")
    assert open_model("recorded:doorkey").name == "recorded:doorkey"
    with pytest.raises(UsageError, match="hf: needs a directory"):
        open_model("hf:")


def test_a_package_that_cannot_be_imported_is_named(install):
    install("brokenlab", "broken_models", "import no_such_module_at_all", "broken = broken_models:open")
    with pytest.raises(UsageError, match=r"brokenlab.*no_such_module_at_all") as caught:
        open_model("broken:x")
    assert "\n" not in str(caught.value)


def test_two_packages_that_claim_one_prefix_are_named(install):
    install("mylab", "mylab_models", BACKEND, "mylab = mylab_models:Echo")
    install("copylab", "mylab_copy", BACKEND, "mylab = mylab_copy:Echo")
    with pytest.raises(UsageError, match=r"(?s)mylab.*copylab|copylab.*mylab"):
        open_model("mylab:x")


def test_an_unknown_prefix_lists_the_forms():
    with pytest.raises(UsageError, match="names no model; the forms are openai:NAME"):
        open_model("nolab:x")
