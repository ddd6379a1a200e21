from __future__ import annotations

import pytest
import torch

from lm.tiny import ask
from wean.errors import UsageError, WeanError
from wean.lm.generation import batches, pick
from wean.lm.model import LocalModel

KITCHEN, HALL = ask("You are in the kitchen."), ask("the hall, the garden, the lamp and more words to make it longer")


def texts(model: LocalModel, requests: list[list[dict[str, str]]], **options: object) -> list[list[str]]:
    answers = model.generate(requests, max_tokens=12, **options)  # type: ignore[arg-type]
    return [[answer.text for answer in row] for row in answers]


@pytest.mark.parametrize("kind", ["llama", "t5", "plain_llama"])
def test_greedy_is_the_library_s_greedy(kind: str, request: pytest.FixtureRequest) -> None:
    model: LocalModel = request.getfixturevalue(kind)
    for messages in (KITCHEN, HALL):
        ids = torch.tensor([model.prompts.prompt_ids(messages)])
        wanted = model.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0
        )[0]
        wanted = wanted[1:] if kind == "t5" else wanted[ids.shape[1] :]
        assert texts(model, [messages], temperature=0) == [[model.prompts.decode(wanted.tolist())]]


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_same_seed_same_answers_whatever_stands_beside(kind: str, request: pytest.FixtureRequest) -> None:
    model: LocalModel = request.getfixturevalue(kind)
    alone = texts(model, [KITCHEN], n=3, seed=7)
    assert texts(model, [KITCHEN], n=3, seed=7) == alone
    assert texts(model, [HALL, KITCHEN, HALL], n=3, seed=7)[1] == alone[0]
    assert texts(model, [KITCHEN], n=2, seed=7)[0] == alone[0][:2], "asking for more samples does not change the first"
    assert texts(model, [KITCHEN], n=3, seed=8) != alone
    assert len(set(alone[0])) > 1, "samples differ from one another"


def test_no_seed_draws_fresh_answers(llama: LocalModel) -> None:
    assert texts(llama, [KITCHEN], n=2) != texts(llama, [KITCHEN], n=2)


def test_torch_s_own_stream_is_neither_read_nor_moved(llama: LocalModel) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = texts(llama, [KITCHEN], seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert texts(llama, [KITCHEN], seed=3) == first


def test_counts(llama: LocalModel) -> None:
    (row,) = llama.generate([KITCHEN], 2, max_tokens=5, temperature=0)
    assert row[0] == row[1]
    assert row[0].prompt_tokens == len(llama.prompts.prompt_ids(KITCHEN))
    assert 1 <= row[0].completion_tokens <= 5
    assert llama.generate([], 2) == []


def test_an_answer_ends_with_the_turn(llama: LocalModel) -> None:
    """Make the end of the turn certain: one token is written, the text is empty."""
    head = llama.model.lm_head

    def certain(module: object, inputs: object, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[..., llama.tokenizer.eos_token_id] = 1e4
        return output

    hook = head.register_forward_hook(certain)
    try:
        (row,) = llama.generate([KITCHEN], seed=0, max_tokens=9)
    finally:
        hook.remove()
    assert row[0].text == ""
    assert row[0].completion_tokens == 1


def test_the_context_bounds_an_answer(llama: LocalModel) -> None:
    prompt = ask("go to the red key " * 90)
    size = len(llama.prompts.prompt_ids(prompt))
    assert 450 < size < 512
    (row,) = llama.generate([prompt], max_tokens=400, temperature=0)
    assert row[0].completion_tokens <= 512 - size
    with pytest.raises(WeanError, match=r"reads at most 512"):
        llama.generate([ask("go to the red key " * 200)])


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"max_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}]
)
def test_bad_parameters(llama: LocalModel, options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        llama.generate([KITCHEN], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("messages", [[], [{"role": "robot", "content": "x"}], [{"role": "user"}]])
def test_bad_messages(llama: LocalModel, messages: list[dict[str, str]]) -> None:
    with pytest.raises(UsageError, match="message"):
        llama.generate([messages])


def test_pick_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3]])).repeat(4, 1)
    draws = torch.tensor([0.0, 0.49, 0.51, 0.99], dtype=torch.float64)
    # By falling probability: token 1 up to 0.5, token 2 up to 0.8, token 0 up to 1.
    assert pick(logits, draws, 1.0, 1.0).tolist() == [1, 1, 2, 0]
    assert pick(logits, draws, 0.0, 1.0).tolist() == [1, 1, 1, 1]
    # Tokens 1 and 2 hold 0.8 >= 0.7: shares 0.625 and 0.375.
    assert pick(logits, draws, 1.0, 0.7).tolist() == [1, 1, 1, 2]
    assert pick(logits, draws, 1.0, 0.5).tolist() == [1, 1, 1, 1]
    # Temperature 0.5 squares: 0.04, 0.25, 0.09 of 0.38; token 1 up to 0.658, token 2 up to 0.895.
    assert pick(logits, torch.tensor([0.65, 0.66, 0.89, 0.90], dtype=torch.float64), 0.5, 1.0).tolist() == [1, 2, 2, 0]


def test_pick_follows_the_distribution() -> None:
    wanted = torch.tensor([0.1, 0.6, 0.3])
    draws = torch.rand(20000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = pick(wanted.log().expand(20000, 3), draws, 1.0, 1.0).bincount(minlength=3) / 20000
    assert torch.allclose(found, wanted, atol=0.02)


def test_batches_hold_every_prompt_once_and_stay_small() -> None:
    lengths = [10, 9000, 20, 9000, 15] + [30] * 200
    groups = list(batches(lengths, 4))
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        rows = len(group) * 4
        assert len(group) == 1 or (rows <= 64 and rows * max(lengths[i] for i in group) <= 16384)
