"""The models that come as packages. Skipped where they are neither in the cache nor to be had."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from lm.tiny import ask
from wean.errors import WeanError
from wean.lm import LocalModel, SentenceEncoder, load_encoder, load_model, packages
from wean.lm.scoring import plain_log_probabilities

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def fetched(name: str) -> None:
    try:
        packages.get(name)
    except WeanError as error:
        # The weights are a download of their own, and no part of this repository.
        pytest.skip(f"{name} is not in the cache and cannot be fetched: {error}")


@pytest.fixture(scope="module")
def smollm() -> LocalModel:
    fetched("smollm2-135m")
    return load_model("smollm2-135m", device="cpu")


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    fetched("minilm")
    return load_encoder("minilm", device="cpu")


def test_it_knows_paris(smollm: LocalModel) -> None:
    (row,) = smollm.generate([ask("What is the capital of France?")], temperature=0, max_tokens=20)
    assert "Paris" in row[0].text
    paris, rome = smollm.score(
        ask("What is the capital of France?"), ["The capital of France is Paris.", "The capital of France is Rome."]
    )
    assert paris > rome + 1


def test_its_identity_is_that_of_the_published_weights(smollm: LocalModel) -> None:
    assert smollm.identity == "smollm2-135m@sha256:b179c9523d0e6a0f"


def test_digits_are_split_as_it_was_trained(smollm: LocalModel) -> None:
    tokens = smollm.tokenizer.convert_ids_to_tokens(smollm.tokenizer("a  2024")["input_ids"])
    assert tokens == ["a", "ĠĠ", "2", "0", "2", "4"]


def test_scores_are_those_of_full_passes(smollm: LocalModel) -> None:
    candidates = ["go", "go to the red key", "go north", "pick up the red key", "open the blue door"]
    request = ask("You are in a room. You see a red key and a blue door that is locked. What do you do?")
    found = smollm.score(request, candidates)
    assert smollm.scorer.strategy == "tree"
    question = smollm.prompts.question(request, candidates, end_of_turn=True)
    assert found == pytest.approx(plain_log_probabilities(smollm.model, question), abs=1e-4)


def test_the_gguf_file_itself_gives_the_same_model(smollm: LocalModel, own_cache: object) -> None:
    """Read it again from the file: the answers are the same."""
    folder = smollm.model.config.name_or_path
    script = (
        "import json, sys; from pathlib import Path; from wean.lm import load_model\n"
        "file = next(Path(sys.argv[1]).glob('*.gguf'))\n"
        "model = load_model(file, device='cpu')\n"
        "value = model.score([{'role': 'user', 'content': 'Hi'}], ['Hello'])[0]\n"
        "print(json.dumps([model.identity, value]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, check=True)
    identity, value = json.loads(done.stdout)
    assert identity == "gguf@sha256:b179c9523d0e6a0f"
    assert value == pytest.approx(smollm.score(ask("Hi"), ["Hello"])[0], abs=1e-4)
    assert done.stderr == ""


def test_similar_sentences_are_near(minilm: SentenceEncoder) -> None:
    texts = ["pick up the red key", "take the key that is red", "the weather is fine in Spain"]
    vectors = minilm.encode(texts)
    assert vectors.shape == (3, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    alike, unlike = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert alike > 0.7
    assert unlike < 0.3
