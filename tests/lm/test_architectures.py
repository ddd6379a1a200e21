"""Local models of every kind score and write what ordinary passes without a cache give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from lm.architectures import ARCHITECTURES, build
from lm.tiny import ask, tiny_tokenizer
from wean.errors import WeanError
from wean.lm.model import LocalModel

CANDIDATES = ("go", "go to the red key", "go to the blue door", "go north", "wait")
REQUESTS = (ask("You are in the kitchen. You see a red key, a blue door and a green box."), ask("go"))
# One of each kind; the others take the same paths.
_QUICK = (
    "Mistral, sliding window",
    "Gemma3, sliding window",
    "LFM2",
    "Falcon-H1",
    "Mamba",
    "RecurrentGemma",
    "T5",
    "BART",
)
_NAMES = [pytest.param(name, marks=[] if name in _QUICK else [pytest.mark.slow]) for name in ARCHITECTURES]


def loaded(name: str) -> LocalModel:
    tokenizer = tiny_tokenizer()
    model = build(name, len(tokenizer))
    if model is None:
        pytest.skip(f"this transformers has no {name}")
    return LocalModel(model, tokenizer, name)


def plain_logits(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
    """Logits (len(answer) + 1, vocabulary) behind the prompt and each token of the answer, in double precision."""
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            written = torch.tensor([[model.config.decoder_start_token_id, *answer]])
            output = model(input_ids=torch.tensor([prompt]), decoder_input_ids=written, use_cache=False)
            return output.logits[0].double()
        output = model(input_ids=torch.tensor([[*prompt, *answer]]), use_cache=False)
        return output.logits[0, len(prompt) - 1 :].double()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", _NAMES)
def test_scores_are_those_of_one_row_for_each_candidate(name: str) -> None:
    model = loaded(name)
    found = model.score_batch(REQUESTS, [CANDIDATES] * 2)
    for request, scores in zip(REQUESTS, found, strict=True):
        question = model.prompts.question(request, CANDIDATES, end_of_turn=True)
        wanted = []
        for answer in question.answers:
            logs = plain_logits(model.model, question.prompt, answer).log_softmax(-1)
            wanted.append(math.fsum(float(logs[i, token]) for i, token in enumerate(answer)))
        assert scores == pytest.approx(wanted, abs=1e-4)
        assert max(wanted) - min(wanted) > 1, "the tiny model must tell candidates apart, or the test shows nothing"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", _NAMES)
def test_answers_are_those_of_ordinary_passes_also_beside_others(name: str) -> None:
    model = loaded(name)
    greedy = model.generate(REQUESTS, 1, temperature=0, max_tokens=8)
    for request, (text,) in zip(REQUESTS, greedy, strict=True):
        prompt, written = model.prompts.prompt_ids(request), list[int]()
        while len(written) < 8 and model.tokenizer.eos_token_id not in written:
            written.append(int(plain_logits(model.model, prompt, written)[-1].argmax()))
        assert text.text == model.prompts.decode(written)
    together = model.generate(REQUESTS, 3, seed=1, max_tokens=8)
    assert together == [model.generate([request], 3, seed=1, max_tokens=8)[0] for request in REQUESTS]
    assert len({answer.text for answer in together[0]}) > 1


def test_a_model_that_fails_is_refused_in_one_line(llama: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("no kernel\nfor this layer")

    model = LocalModel(loaded("LFM2").model, llama.tokenizer, "broken")
    monkeypatch.setattr(model.model, "forward", broken)
    message = r"Lfm2ForCausalLM cannot be run \(RuntimeError: no kernel for this layer\); take another model"
    with pytest.raises(WeanError, match=message):
        model.score(REQUESTS[0], CANDIDATES)
    with pytest.raises(WeanError, match=message):
        model.generate(REQUESTS)
