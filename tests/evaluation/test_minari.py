"""Demonstrations to Minari and back are the same; Parquet files and SFT rows are read by the libraries they are for."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wean.cli import app
from wean.data.demonstrations import read_demonstrations
from wean.data.trajectories import read_trajectories
from wean.errors import UsageError


def wean(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    file = tmp_path / "lake.parquet"
    wean("demos", "FrozenLake4x4", "--episodes", "6", "--policy", "random", "--out", str(file))
    return file


@pytest.mark.filterwarnings("ignore")
def test_there_and_back(lake: Path, tmp_path: Path) -> None:
    told = json.loads(wean("data", "export", str(lake), "--to", "minari:lake/random-v0", "--json"))
    assert told["episodes"] == 6
    import minari

    data = minari.load_dataset("lake/random-v0")
    assert data.total_steps == told["steps"]
    back = tmp_path / "back.parquet"
    wean("data", "import", "minari:lake/random-v0", "--task", "FrozenLake4x4", "--out", str(back))
    before, after = read_demonstrations(lake), read_demonstrations(back)
    for field in dataclasses.fields(before):
        np.testing.assert_array_equal(
            np.asarray(getattr(before, field.name), object), np.asarray(getattr(after, field.name), object), field.name
        )
    with pytest.raises(UsageError, match="no name of a new Minari data set"):
        wean("data", "export", str(lake), "--to", "minari:lake/random-v0")


def test_a_data_set_that_is_not_there(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Minari data set none/none-v0 on this machine"):
        wean("data", "import", "minari:none/none-v0", "--task", "FrozenLake4x4", "--out", str(tmp_path / "a.parquet"))


def test_message_logs_on_the_command_line(tmp_path: Path) -> None:
    call = {"function": {"name": "go", "arguments": '{"place": "hall"}'}}
    talk = [{"role": "user", "content": "Go to the hall."}, {"role": "assistant", "tool_calls": [call]}]
    (tmp_path / "walks.jsonl").write_text(json.dumps({"messages": talk}) + '\n{"a": 1}\n')
    out = tmp_path / "walks.parquet"
    said = wean("data", "import", str(tmp_path / "walks.jsonl"), "--words", "go=go to {place}", "--out", str(out))
    assert "1 episodes, 1 steps" in said
    (walk,) = read_trajectories(out).found
    assert (walk.task, walk.actions) == ("walks", ("go to hall",))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_datasets_reads_the_parquet_files(lake: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    rows = load_dataset("parquet", data_files=str(lake), split="train", cache_dir=str(tmp_path / "cache"))
    demos = read_demonstrations(lake)
    assert rows["text"] == demos.text
    assert [tuple(choices) for choices in rows["choices"]] == demos.choices
    assert rows["action"] == demos.action


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", [(), ("--chat",)])
def test_sft_rows_train_with_trl_as_they_are(tmp_path: Path, form: tuple[str, ...]) -> None:
    from datasets import load_dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    import word_demos

    demos, subgoals = word_demos.write(tmp_path)
    rows = tmp_path / "rows.jsonl"
    wean("export-sft", str(demos), "--annotations", str(subgoals), "--out", str(rows), *form)
    data = load_dataset("json", data_files=str(rows), split="train", cache_dir=str(tmp_path / "cache"))
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", "go", "to", "hall", "lamp"])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} <eos> {% endfor %}"
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(vocabulary), pad_token_id=0, eos_token_id=1, **size))
    config = SFTConfig(
        output_dir=str(tmp_path / "out"), max_steps=2, per_device_train_batch_size=2, report_to=[], use_cpu=True,
        bf16=False, gradient_checkpointing=False, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    before = model.model.embed_tokens.weight.detach().clone()
    result = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer).train()
    assert result.global_step == 2
    assert np.isfinite(result.training_loss)
    assert not before.equal(model.model.embed_tokens.weight)
