"""Adapters on a pretrained student: what is trained, and that merging changes nothing that it says."""

from pathlib import Path

import pytest
import torch

from lm.tiny import tiny_llama, tiny_tokenizer
from wean.errors import UsageError
from wean.experiment.runner import Runner
from wean.experiment.settings import resolve
from wean.runtime.prompt import PromptConfig
from wean.students.text.creation import Trained, merged, pretrained_student
from wean.students.text.student import TextStudent, load_text_student
from word_demos import write

IDS = torch.tensor([[20, 31, 45, 20, 7, 99, 13, 55]])


@pytest.fixture
def model(tmp_path: Path) -> str:
    folder = tmp_path / "llama"
    tokenizer = tiny_tokenizer(chat=False)
    tiny_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return f"hf:{folder}"


def _logits(student: TextStudent) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = student.model(input_ids=IDS).logits
    return logits


def test_adapters_and_embeddings_alone_are_trained(model: str) -> None:
    before = _logits(pretrained_student(model, PromptConfig(context=512), seed=1))
    student = pretrained_student(model, PromptConfig(context=512), seed=1, trained=Trained(lora_rank=4))
    torch.testing.assert_close(_logits(student), before)  # B is zero at first
    trained = {name for name, one in student.model.named_parameters() if one.requires_grad}
    assert {name.split(".")[-4] for name in trained if "lora_" in name} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert {name for name in trained if "lora_" not in name} == {"model.embed_tokens.weight"}


def test_merging_changes_nothing_that_it_says(model: str) -> None:
    student = pretrained_student(model, PromptConfig(context=512), seed=1, trained=Trained(lora_rank=4))
    for name, one in student.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(one, std=0.05)
    alone = merged(student)
    assert not any("lora" in name for name, _ in alone.model.named_parameters())
    torch.testing.assert_close(_logits(alone), _logits(student), rtol=1e-4, atol=1e-4)
    assert merged(alone) is alone


def test_a_student_with_adapters_trains_resumes_and_is_saved_whole(model: str, tmp_path: Path) -> None:
    write(tmp_path, count=2)
    overrides = [f"data={tmp_path / 'demos.jsonl'}", f"annotations={tmp_path / 'subgoals.jsonl'}", f"model={model}"]
    overrides += ["context=512", "lora_rank=4", "num_epochs=3", "dev_share=0", "measurements=3", "token_budget=600"]
    config = resolve("subgoals", overrides=overrides)
    summary = Runner(config, tmp_path / "run").run()
    assert summary["curve"][-1]["gradient_steps"] == summary["gradient_steps"]
    student = load_text_student(tmp_path / "run" / "student")
    assert torch.isfinite(_logits(student)).all()
    whole = Runner(resolve("subgoals", overrides=[*overrides, "lora_rank=0"]), tmp_path / "whole").run()
    assert summary["student_parameters"] == whole["student_parameters"] == student.parameter_count()


def test_a_model_from_scratch_has_no_adapters(tmp_path: Path) -> None:
    write(tmp_path, count=2)
    overrides = [f"data={tmp_path / 'demos.jsonl'}", f"annotations={tmp_path / 'subgoals.jsonl'}", "lora_rank=4"]
    with pytest.raises(UsageError, match="adapters and frozen layers are for a pretrained model"):
        Runner(resolve("subgoals", overrides=[*overrides, "model=scratch"]), tmp_path / "run").run()
