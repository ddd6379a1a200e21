"""The fast paths against the definition: one full pass per candidate, softmax by hand."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import pytest
import torch
from transformers import BloomConfig, BloomForCausalLM, MistralConfig, MistralForCausalLM

from lm.tiny import CHAT, ask, tiny_llama, tiny_tokenizer
from wean.errors import UsageError, WeanError
from wean.lm import scoring
from wean.lm.model import LocalModel
from wean.lm.prompts import Question
from wean.lm.scoring import Scorer, takes_tree_masks

CANDIDATES = [
    "go", "go to the red key", "go to the blue door", "go north", "pick up the green box", "go to", "open the door",
    "wait",
]  # fmt: skip
KITCHEN = "You are in the kitchen. You see a red key, a blue door and a green box. What do you do?"


def by_definition(model: LocalModel, prompt: str, candidate: str, *, end: bool = True) -> tuple[float, int]:
    """Sum of log-softmax over the tokens behind the prompt, from one pass over the whole string."""
    start = len(model.tokenizer(prompt, add_special_tokens=False)["input_ids"])
    ids = model.tokenizer(prompt + candidate, add_special_tokens=False)["input_ids"]
    ids = ids + ([model.tokenizer.eos_token_id] if end else [])
    with torch.no_grad():
        logs = torch.log_softmax(model.model(input_ids=torch.tensor([ids])).logits[0].double(), dim=-1)
    return sum(float(logs[i - 1, ids[i]]) for i in range(start, len(ids))), len(ids) - start


def templated(text: str) -> str:
    return f"<|start|>user\n{text}<|end|>\n<|start|>assistant\n"


@pytest.mark.parametrize("strategy", ["tree", "rows"])
@pytest.mark.parametrize("end", [True, False])
def test_scores_are_those_of_full_passes(llama: LocalModel, strategy: scoring.Strategy, end: bool) -> None:
    model = LocalModel(llama.model, llama.tokenizer, "tiny")
    model.scorer.strategy = strategy
    found = model.score(ask(KITCHEN), CANDIDATES, end_of_turn=end)
    wanted = [by_definition(model, templated(KITCHEN), c, end=end)[0] for c in CANDIDATES]
    assert found == pytest.approx(wanted, abs=1e-4)
    assert max(found) - min(found) > 1, "the tiny model must tell candidates apart, or the test shows nothing"


def test_the_context_matters_to_the_tiny_model(llama: LocalModel) -> None:
    one, two = llama.score(ask(KITCHEN), ["wait"]), llama.score(ask("the hall"), ["wait"])
    assert abs(one[0] - two[0]) > 0.1


@pytest.mark.parametrize("budget", [1, 3, 7, 512])
def test_every_budget_gives_the_same_scores(llama: LocalModel, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    wanted = llama.score(ask(KITCHEN), CANDIDATES)
    monkeypatch.setattr(scoring, "BUDGET", budget)
    assert llama.score(ask(KITCHEN), CANDIDATES) == pytest.approx(wanted, abs=1e-4)


def test_shared_tokens_are_run_once(llama: LocalModel) -> None:
    question = llama.prompts.question(ask(KITCHEN), CANDIDATES, end_of_turn=True)
    llama.score(ask(KITCHEN), CANDIDATES)
    distinct = {tuple(answer[: i + 1]) for answer in question.answers for i in range(len(answer) - 1)}
    assert llama.scorer.nodes_run == len(question.prompt) + len(distinct)


def test_a_batch_gives_the_scores_of_single_calls_and_shares_beginnings(llama: LocalModel) -> None:
    requests = [ask(f"{KITCHEN} {KITCHEN} You are in the {room}.") for room in ("hall", "garden", "kitchen")]
    lists: list[Sequence[str]] = [CANDIDATES, CANDIDATES[:3], ["wait"]]
    single, alone = [], 0
    for request, candidates in zip(requests, lists, strict=True):
        single.append(llama.score(request, candidates))
        alone += llama.scorer.nodes_run
    together = llama.score_batch(requests, lists)
    for one, many in zip(single, together, strict=True):
        assert many == pytest.approx(one, abs=1e-4)
    shared = len(llama.prompts.prompt_ids(ask(f"{KITCHEN} {KITCHEN}"))) - 8
    assert llama.scorer.nodes_run <= alone - 2 * shared


def test_equal_requests_in_a_batch(llama: LocalModel) -> None:
    twice = llama.score_batch([ask(KITCHEN)] * 2, [["go", "wait"], ["wait", "go north"]])
    assert twice[0][1] == twice[1][0]
    assert twice[1][1] == pytest.approx(llama.score(ask(KITCHEN), ["go north"])[0], abs=1e-4)


def test_one_prompt_may_be_the_beginning_of_another(plain_llama: LocalModel) -> None:
    """Without a template the answer to a short prompt can be part of a longer prompt: the same nodes, twice meant."""
    short, long = ask("You see a"), ask("You see a red key and")
    lists = [[" red key", " red"], [" wait"]]
    together = plain_llama.score_batch([short, long], lists)
    assert together[0] == pytest.approx(plain_llama.score(short, lists[0]), abs=1e-4)
    assert together[1] == pytest.approx(plain_llama.score(long, lists[1]), abs=1e-4)


def test_normalisations_by_hand(llama: LocalModel) -> None:
    candidates = ["go", "go to the red key"]
    total = llama.score(ask(KITCHEN), candidates)
    sizes = [by_definition(llama, templated(KITCHEN), c)[1] for c in candidates]
    assert sizes[1] > sizes[0] >= 2, "the end of the turn is one of the scored tokens"
    assert llama.score(ask(KITCHEN), candidates, "token") == pytest.approx([total[0] / sizes[0], total[1] / sizes[1]])
    assert llama.score(ask(KITCHEN), candidates, "word") == pytest.approx([total[0] / 1, total[1] / 5])
    open_end = llama.score(ask(KITCHEN), candidates, "token", end_of_turn=False)
    bare = llama.score(ask(KITCHEN), candidates, end_of_turn=False)
    assert open_end == pytest.approx([bare[0] / (sizes[0] - 1), bare[1] / (sizes[1] - 1)])


def test_a_prefix_is_another_answer(llama: LocalModel) -> None:
    go, north = llama.score(ask(KITCHEN), ["go", "go north"])
    assert (go, north) == pytest.approx(
        (llama.score(ask(KITCHEN), ["go"])[0], llama.score(ask(KITCHEN), ["go north"])[0]), abs=1e-4
    )
    begins, goes_on = llama.score(ask(KITCHEN), ["go", "go north"], end_of_turn=False)
    assert begins > go, "beginning with a text is more probable than being that text"
    assert begins >= goes_on


def test_answers_of_one_token_are_probabilities(llama: LocalModel) -> None:
    """Over all first tokens the probabilities of beginning with them sum to one: nothing is lost in the trie."""
    prompt = llama.prompts.prompt_ids(ask(KITCHEN))
    question = Question(prompt, [[token] for token in range(len(llama.tokenizer))])
    with torch.inference_mode():
        (logs,) = llama.scorer.log_probabilities([question])
    assert math.fsum(math.exp(value) for value in logs) == pytest.approx(1, abs=1e-4)


def test_merges_across_the_boundary(plain_llama: LocalModel) -> None:
    """`What do you d` + `o?` is one string: tokenising the parts apart would score other tokens."""
    prompt, candidates = "What do you d", ["o?", "oor"]
    apart = plain_llama.tokenizer(prompt)["input_ids"]
    whole = [plain_llama.tokenizer(prompt + c)["input_ids"] for c in candidates]
    assert any(ids[: len(apart)] != apart for ids in whole), "the tiny tokenizer must merge here"
    start = min(next(i for i, (a, b) in enumerate(zip(apart, ids, strict=False)) if a != b) for ids in whole)
    question = plain_llama.prompts.question(ask(prompt), candidates, end_of_turn=True)
    assert question.prompt == apart[:start]
    assert [question.prompt + a for a in question.answers] == [[*ids, 2] for ids in whole]
    found = plain_llama.score(ask(prompt), candidates)
    for candidate, value in zip(candidates, found, strict=True):
        ids = plain_llama.tokenizer(prompt + candidate)["input_ids"] + [2]
        with torch.no_grad():
            logs = torch.log_softmax(plain_llama.model(input_ids=torch.tensor([ids])).logits[0], dim=-1)
        assert value == pytest.approx(sum(float(logs[i - 1, ids[i]]) for i in range(start, len(ids))), abs=1e-4)


def test_only_the_tail_is_tokenised_again_and_gives_the_same_tokens(llama: LocalModel) -> None:
    text = llama.prompts.text(ask(KITCHEN))
    question = llama.prompts.question(ask(KITCHEN), CANDIDATES, end_of_turn=False)
    for candidate, answer in zip(CANDIDATES, question.answers, strict=True):
        assert question.prompt + answer == llama.tokenizer(text + candidate, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(
    ("candidates", "words"),
    [([], "at least one"), (["go", ""], "candidate 1 is empty"), (["  "], "candidate 0 is empty")],
)
def test_bad_candidates(llama: LocalModel, candidates: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        llama.score(ask(KITCHEN), candidates)


def test_bad_calls(llama: LocalModel) -> None:
    with pytest.raises(UsageError, match="sum, token, word"):
        llama.score(ask(KITCHEN), ["go"], "letters")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="one list each"):
        llama.score_batch([ask(KITCHEN)], [])
    assert llama.score_batch([], []) == []


def test_overlong_prompt_names_the_remedy(llama: LocalModel) -> None:
    with pytest.raises(WeanError, match=r"reads at most 512.*shorten the situation") as caught:
        llama.score(ask("go to the red key " * 400), ["go"])
    assert "\n" not in str(caught.value)


def test_no_end_of_turn(tokenizer: object) -> None:
    bare = tiny_tokenizer(chat=False)
    bare.eos_token = None
    network = tiny_llama(len(bare))
    network.generation_config.eos_token_id = None
    model = LocalModel(network, bare, "tiny")
    with pytest.raises(WeanError, match="end_of_turn=False"):
        model.score(ask(KITCHEN), [" go"])
    assert len(model.score(ask(KITCHEN), [" go"], end_of_turn=False)) == 1


def test_the_template_knows_the_end_of_the_turn() -> None:
    """A chat model's tokenizer may call another token the end of text; the answer ends where the template ends it."""
    other = tiny_tokenizer()
    other.eos_token = "<|pad|>"
    other.add_special_tokens({"extra_special_tokens": ["<|end|>"]})
    other.chat_template = CHAT
    model = LocalModel(tiny_llama(len(other)), other, "tiny")
    assert model.prompts.end_id == other.convert_tokens_to_ids("<|end|>")


def test_encoder_decoder_scores_are_those_of_full_passes(t5: LocalModel) -> None:
    candidates = [*CANDIDATES, "go to the garden"]
    found = t5.score(ask(KITCHEN), candidates)
    assert t5.scorer.strategy == "rows"
    prompt = torch.tensor([t5.prompts.prompt_ids(ask(KITCHEN))])
    for candidate, value in zip(candidates, found, strict=True):
        answer = [*t5.tokenizer(candidate, add_special_tokens=False)["input_ids"], 2]
        with torch.no_grad():
            output = t5.model(input_ids=prompt, decoder_input_ids=torch.tensor([[0, *answer[:-1]]]))
        logs = torch.log_softmax(output.logits[0].double(), dim=-1)
        wanted = sum(float(logs[i, token]) for i, token in enumerate(answer))
        assert value == pytest.approx(wanted, rel=1e-5, abs=1e-4)
    batch = t5.score_batch([ask(KITCHEN), ask("the hall")], [candidates, candidates])
    assert batch[0] == pytest.approx(found, abs=1e-4)
    assert batch[1] != pytest.approx(found, abs=0.05)


def test_more_candidates_than_one_group_of_rows(t5: LocalModel, llama: LocalModel) -> None:
    many = [f"{verb} the {thing} {n}" for verb in ("go to", "open") for thing in ("key", "door") for n in range(20)]
    model = LocalModel(llama.model, llama.tokenizer, "tiny")
    model.scorer.strategy = "rows"
    assert model.score(ask(KITCHEN), many) == pytest.approx(llama.score(ask(KITCHEN), many), abs=1e-4)
    alone = [t5.score(ask(KITCHEN), [candidate])[0] for candidate in many[::13]]
    assert t5.score(ask(KITCHEN), many)[::13] == pytest.approx(alone, abs=1e-4)


def test_models_that_cannot_take_tree_masks_are_found_out(tokenizer: object, llama: LocalModel) -> None:
    size = len(llama.tokenizer)
    assert takes_tree_masks(llama.model)
    torch.manual_seed(0)
    # Bloom's positions are distances between places in the row; Mistral's window forgets early tokens.
    bloom = BloomForCausalLM(BloomConfig(vocab_size=size, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not takes_tree_masks(bloom.eval())
    window = MistralForCausalLM(
        MistralConfig(
            vocab_size=size,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            sliding_window=8,
            initializer_range=0.4,
        )
    ).eval()
    assert not takes_tree_masks(window)
    for network in (bloom, window):
        model = LocalModel(network, llama.tokenizer, "other")
        found = model.score(ask(KITCHEN), CANDIDATES)
        assert model.scorer.strategy == "rows"
        wanted = [by_definition(model, templated(KITCHEN), c)[0] for c in CANDIDATES]
        assert found == pytest.approx(wanted, abs=1e-3)


def test_half_precision_is_close(llama: LocalModel) -> None:
    half = LocalModel(tiny_llama(len(llama.tokenizer)).bfloat16(), llama.tokenizer, "tiny+bfloat16")
    found, wanted = half.score(ask(KITCHEN), CANDIDATES), llama.score(ask(KITCHEN), CANDIDATES)
    assert found == pytest.approx(wanted, rel=0.1)
    assert Scorer(half.model).strategy is None
