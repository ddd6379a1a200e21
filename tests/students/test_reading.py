"""A text student at work says and weighs what an ordinary pass of its model does."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from wean.errors import UsageError
from wean.students.reading import Reader
from wean.students.steps import LeanSteps, ModelSteps, steps_of
from wean.students.text import Habits, Size, TextStudent, load_text_student, new_student, save_text_student
from wean.students.tokens import train_tokenizer

IDS = [20, 31, 45, 20, 7, 99, 13, 55]


@pytest.fixture
def student() -> TextStudent:
    made = new_student(train_tokenizer(["open door", "go north"], 320), Size(32, 2, 2), Habits(context=256), seed=3)
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
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.tensor([ids])).logits[0]
    return logits


@pytest.mark.parametrize("kind", ["mixed keys, lean", "lean", "its own"])
def test_passes_behind_the_cache_give_the_models_own_logits(student: TextStudent, llama: Any, kind: str) -> None:
    model = student.model if kind.startswith("mixed") else llama
    steps = ModelSteps(model) if kind == "its own" else LeanSteps(model, 256)
    with torch.inference_mode():
        steps.run(IDS[:3], 0)
        steps.run([1, 2, 3], 3)  # forgotten again
        steps.run(IDS[3:6], 3)
        steps.run(IDS[6:7], 6)
        found = steps.run(IDS[7:], 7)
    torch.testing.assert_close(found, plain(model, IDS)[-1], rtol=1e-4, atol=1e-5)


def test_a_student_of_its_own_takes_the_lean_passes_and_no_others(student: TextStudent) -> None:
    assert isinstance(steps_of(student.model, 256), LeanSteps)
    with pytest.raises(UsageError, match="acts on the CPU in float32"):
        steps_of(student.model.half(), 256)


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
    reader = Reader(student)
    assert answers[reader.choose(IDS, answers)] == answers[max(range(40), key=sums.__getitem__)]
    # The cache is as it was: reading on gives what an ordinary pass gives.
    torch.testing.assert_close(reader.read([*IDS, 40]), plain(student.model, [*IDS, 40])[-1], rtol=1e-4, atol=1e-5)


def test_it_reads_little_of_what_it_chooses_from(student: TextStudent) -> None:
    student.model.lm_head.weight.data *= 30  # as sure as a trained one
    reader = Reader(student)
    answers = [[40 + first, 40 + second, 40 + third, 12] for first, second, third in product(range(20), repeat=3)]
    reader.choose(IDS, answers)
    assert reader.tokens_read < 200  # of 8,420 that are read if all is weighed


def test_it_reads_again_only_what_is_new(student: TextStudent) -> None:
    reader = Reader(student)
    reader.read(IDS)
    reader.read([*IDS, 5])
    assert reader.tokens_read == len(IDS) + 1
    reader.read([*IDS[:4], 9])
    assert reader.tokens_read == len(IDS) + 2


def test_it_says_the_most_probable_tokens(student: TextStudent) -> None:
    ids, said = list(IDS), Reader(student).say(IDS)
    for _ in range(48):
        token = int(plain(student.model, ids)[-1].argmax())
        if token == student.mark["<end>"]:
            break
        ids.append(token)
    assert said == student.decode(ids[len(IDS) :])
