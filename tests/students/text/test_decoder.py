"""A text student at work says and weighs what an ordinary pass of its model does."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from wean.errors import UsageError
from wean.runtime.prompt import PromptConfig
from wean.students.text.creation import Size, new_student, train_tokenizer
from wean.students.text.decoder import CausalDecoder, SamplingDecoder, likely_next
from wean.students.text.incremental import CachedModel, LeanLlama, incremental
from wean.students.text.student import CopyHead, TextStudent, has_copy_head, load_text_student, save_text_student

IDS = [20, 31, 45, 20, 7, 99, 13, 55]


@pytest.fixture
def student() -> TextStudent:
    made = new_student(
        train_tokenizer(["open door", "go north"], 320), Size(32, 2, 2), PromptConfig(context=256), seed=3
    )
    for layer in made.model.model.layers:
        torch.nn.init.uniform_(layer.self_attn.k_proj.mix)
    made.model.eval()
    return made


@pytest.fixture
def llama() -> Any:
    """A model of the Llama kind that is no student from scratch: its keys are its own."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    return LlamaForCausalLM._from_config(config, attn_implementation="sdpa").eval()


def plain(model: Any, ids: list[int]) -> torch.Tensor:
    """What the model says behind each token: logits, or log-probabilities where it copies."""
    tokens, place = torch.tensor([ids]), torch.arange(len(ids))
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=tokens).logits[0]
        if has_copy_head(model):
            hidden = model.base_model(input_ids=tokens).last_hidden_state
            logits = model.copying(hidden, tokens, torch.zeros_like(place), place, logits)
    return logits


@pytest.mark.parametrize("kind", ["mixed keys, lean", "lean", "its own"])
def test_passes_behind_the_cache_give_the_models_own_logits(student: TextStudent, llama: Any, kind: str) -> None:
    model = student.model if kind.startswith("mixed") else llama
    steps = CachedModel(model) if kind == "its own" else LeanLlama(model, 256)
    with torch.inference_mode():
        steps.run(IDS[:3], 0)
        steps.run([1, 2, 3], 3)  # forgotten again
        steps.run(IDS[3:6], 3)
        steps.run(IDS[6:7], 6)
        found = steps.run(IDS[7:], 7)
        three = steps.run(IDS[4:], 4, 3)
    torch.testing.assert_close(found, plain(model, IDS)[-1:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(three, plain(model, IDS)[-3:], rtol=1e-4, atol=1e-5)


def test_a_student_of_its_own_takes_the_lean_passes_and_no_others(student: TextStudent) -> None:
    assert isinstance(incremental(student.model, 256), LeanLlama)
    with pytest.raises(UsageError, match="acts on the CPU in float32"):
        incremental(student.model.half(), 256)


def test_a_key_tells_of_the_token_before(student: TextStudent) -> None:
    keys = student.model.model.layers[0].self_attn.k_proj
    hidden = torch.randn(1, 3, 32)
    plain_keys = torch.nn.functional.linear(hidden, keys.weight)
    found = keys(hidden)
    torch.testing.assert_close(found[:, 0], (1 - keys.mix) * plain_keys[:, 0])
    torch.testing.assert_close(found[:, 2], (1 - keys.mix) * plain_keys[:, 2] + keys.mix * plain_keys[:, 1])


def test_mixed_keys_are_saved_with_it(student: TextStudent, tmp_path: Path) -> None:
    save_text_student(student, tmp_path / "student")
    again = load_text_student(tmp_path / "student")
    assert torch.equal(plain(again.model, IDS), plain(student.model, IDS))


@pytest.mark.parametrize("seed", range(5))
def test_it_chooses_the_answer_that_is_the_most_probable_as_a_whole(student: TextStudent, seed: int) -> None:
    torch.manual_seed(seed)
    lengths = torch.randint(1, 5, (40,)).tolist()
    answers = [[*torch.randint(40, 46, (length,)).tolist(), 12] for length in lengths]
    sums = []
    for answer in answers:
        logs = plain(student.model, IDS + answer).log_softmax(-1)
        sums.append(sum(float(logs[len(IDS) - 1 + i, token]) for i, token in enumerate(answer)))
    decoder = CausalDecoder(student)
    assert answers[decoder.rank(IDS, answers)] == answers[max(range(40), key=sums.__getitem__)]
    # The cache is as it was: reading on gives what an ordinary pass gives.
    torch.testing.assert_close(decoder.read([*IDS, 40]), plain(student.model, [*IDS, 40])[-1], rtol=1e-4, atol=1e-5)


def test_it_reads_little_of_what_it_chooses_from(student: TextStudent) -> None:
    student.model.lm_head.weight.data *= 30  # as sure as a trained one
    decoder = CausalDecoder(student)
    answers = [[40 + first, 40 + second, 40 + third, 12] for first, second, third in product(range(20), repeat=3)]
    decoder.rank(IDS, answers)
    assert decoder.tokens_read < 200  # of 8,420 that are read if all is weighed


def test_it_reads_again_only_what_is_new(student: TextStudent) -> None:
    decoder = CausalDecoder(student)
    decoder.read(IDS)
    decoder.read([*IDS, 5])
    assert decoder.tokens_read == len(IDS) + 1
    decoder.read([*IDS[:4], 9])
    assert decoder.tokens_read == len(IDS) + 2


def test_what_was_read_ahead_is_known_when_it_comes_and_forgotten_when_it_does_not(student: TextStudent) -> None:
    decoder = CausalDecoder(student)
    first = decoder.read(IDS, [5, 6])
    torch.testing.assert_close(first, plain(student.model, IDS)[-1], rtol=1e-4, atol=1e-5)
    second = decoder.read([*IDS, 5])
    assert decoder.tokens_read == len(IDS) + 2
    torch.testing.assert_close(second, plain(student.model, [*IDS, 5])[-1], rtol=1e-4, atol=1e-5)
    other = decoder.read([*IDS, 5, 7])
    assert decoder.tokens_read == len(IDS) + 3
    torch.testing.assert_close(other, plain(student.model, [*IDS, 5, 7])[-1], rtol=1e-4, atol=1e-5)


def test_what_was_generated_is_read_once(student: TextStudent) -> None:
    decoder, end = CausalDecoder(student), student.mark["<end>"]
    first = decoder.generate(IDS, end)
    assert decoder.generate(IDS, end) == first
    elsewhere = [*IDS, 30]
    assert decoder.generate(elsewhere, end) == CausalDecoder(student).generate(elsewhere, end)


@pytest.mark.parametrize(
    ("ids", "next_ones"),
    [
        ([5], []),
        ([1, 4, 7, 8, 4], [7, 8, 4]),  # behind 4 alone, up to what is there
        ([1, 2, 7, 5, 2, 8, 1, 2], [7, 5, 2, 8]),  # behind both 1 and 2 rather than behind the nearer 2
        ([3, 1, 2, 6, 4, 1, 2, 7, 3, 1, 2], [6, 4, 1, 2]),
        ([0, 0, 0], [0]),
    ],
)
def test_what_followed_the_last_time_may_come_next(ids: list[int], next_ones: list[int]) -> None:
    assert likely_next(ids) == next_ones


def test_it_says_the_most_probable_tokens(student: TextStudent) -> None:
    ids, end = list(IDS), student.mark["<end>"]
    said = CausalDecoder(student).generate(IDS, end)
    while len(ids) < len(IDS) + 48:
        token = int(plain(student.model, ids)[-1].argmax())
        if token == end:
            break
        ids.append(token)
    assert said == ids[len(IDS) :]


def test_drawn_answers_come_as_often_as_they_are_probable(student: TextStudent) -> None:
    """By hand: token by token among those with which an answer goes on; the end of the second is no choice."""
    answers = [[40, 41, 12], [40, 42, 12], [45, 12]]
    first = plain(student.model, IDS)[-1][[40, 45]].softmax(-1)
    second = plain(student.model, [*IDS, 40])[-1][[41, 42]].softmax(-1)
    wanted = [float(first[0] * second[0]), float(first[0] * second[1]), float(first[1])]
    decoder = SamplingDecoder(CausalDecoder(student), 1.0, np.random.default_rng(0))
    drawn = [decoder.rank(IDS, answers) for _ in range(600)]
    assert [drawn.count(number) / 600 for number in range(3)] == pytest.approx(wanted, abs=0.07)
    cold = SamplingDecoder(CausalDecoder(student), 1e-4, np.random.default_rng(0))
    best = 2 if first[1] > first[0] else int(second.argmax())
    assert {cold.rank(IDS, answers) for _ in range(20)} == {best}


def test_drawn_texts_differ_and_cold_ones_are_the_most_probable(student: TextStudent) -> None:
    end = student.mark["<end>"]
    warm = SamplingDecoder(CausalDecoder(student), 1.0, np.random.default_rng(0))
    assert len({tuple(warm.generate(IDS, end)) for _ in range(5)}) > 1
    cold = SamplingDecoder(CausalDecoder(student), 1e-4, np.random.default_rng(0))
    assert cold.generate(IDS, end) == CausalDecoder(student).generate(IDS, end)
    logits = plain(student.model, IDS)[-1]
    assert cold.prefers(IDS, 40, 41) == bool(logits[40] > logits[41])


def test_what_is_copied_is_where_the_attention_is() -> None:
    """By hand: keys of the one place that the query finds, and a share of one half."""
    head = CopyHead(2)
    for part, values in ((head.query, [[40.0, 0.0], [0.0, 40.0]]), (head.here, [[1.0, 0.0], [0.0, 1.0]])):
        part.weight.data = torch.tensor(values)
    head.before.weight.data.zero_()
    for silent in (head.share.weight, head.share.bias, head.follows.weight, head.follows.bias):
        silent.data.zero_()
    hidden = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
    logits = torch.zeros(2, 4)
    ids, rows, columns = torch.tensor([[3, 2, 1]]), torch.tensor([0, 0]), torch.tensor([1, 2])
    found = head(hidden, ids, rows, columns, logits).exp()
    # The second place finds itself alone; the third the first and itself alike, and nothing behind it is seen.
    torch.testing.assert_close(found, torch.tensor([[0.125, 0.125, 0.625, 0.125], [0.125, 0.375, 0.125, 0.375]]))
    head.before.weight.data = torch.tensor([[-2.0, 0.0], [0.0, -2.0]])  # not behind what is like it
    torch.testing.assert_close(head.keys(hidden)[0], torch.tensor([[1.0, 0.0], [-2.0, 1.0], [1.0, -2.0]]))


def test_a_name_that_was_never_learnt_is_gone_on_with() -> None:
    """By hand: what follows the token that was said last, and the two, is worth 30 and 30 more."""
    head = CopyHead(2)
    for silent in (head.query.weight, head.share.weight, head.share.bias, head.follows.weight):
        silent.data.zero_()
    head.follows.bias.data.fill_(30.0)
    ids = torch.tensor([[5, 6, 7, 4, 6, 8, 5, 6]])
    found = head(torch.zeros(1, 8, 2), ids, torch.tensor([0]), torch.tensor([7]), torch.full((1, 9), -1e9)).exp()
    assert found.argmax() == 7  # behind 5 and 6; behind 6 alone comes 8 as well
    first = head(torch.zeros(1, 8, 2), ids, torch.tensor([0]), torch.tensor([4]), torch.full((1, 9), -1e9)).exp()
    assert first.argmax() == 7  # behind 6, though not behind 4 and 6


def test_where_one_token_was_told_all_that_is_copied_is_copied_from_it() -> None:
    head = CopyHead(2)
    found = head(torch.zeros(1, 1, 2), torch.tensor([[3]]), torch.tensor([0]), torch.tensor([0]), torch.zeros(1, 4))
    share = torch.sigmoid(torch.tensor(-1.0))
    known = (1 - share) / 4
    torch.testing.assert_close(found.exp()[0], torch.stack([known, known, known, known + share]))


def test_mixed_keys_work_in_half_precision(student: TextStudent) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        halves = student.model(torch.tensor([[1, 2, 3]])).logits.float()
    assert torch.allclose(halves, student.model(torch.tensor([[1, 2, 3]])).logits, atol=0.05)


@pytest.mark.parametrize("count", [3, 60, 400])
def test_branches_give_the_most_probable_answer_and_what_it_leaves_read_is_right(llama: Any, count: int) -> None:
    tokenizer = train_tokenizer(["open door", "go north"], 320)
    student = TextStudent(llama, tokenizer, PromptConfig(context=256))
    end, generator = 319, torch.Generator().manual_seed(count)
    lengths = torch.randint(1, 6, (count,), generator=generator).tolist()
    answers = [[*torch.randint(1, 9, (length,), generator=generator).tolist(), end] for length in lengths]
    worth = []
    for answer in answers:
        logs = plain(llama, [*IDS, *answer]).log_softmax(-1)[len(IDS) - 1 : -1]
        worth.append(float(logs.gather(1, torch.tensor(answer)[:, None]).sum()))
    decoder = CausalDecoder(student)
    for _ in range(2):  # the second time a part of the prompt is read already
        best = decoder.rank(IDS, answers)
        assert worth[best] == pytest.approx(max(worth), abs=0.05)  # bfloat16 where the processor is fast in it
        behind = decoder.read([*IDS, *answers[best], 5])
        torch.testing.assert_close(behind, plain(llama, [*IDS, *answers[best], 5])[-1], rtol=0.05, atol=0.02)
    assert decoder.tokens_read < sum(map(len, answers)) + 60
