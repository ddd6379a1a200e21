from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from lm.tiny import ask, tiny_llama, tiny_t5, tiny_tokenizer
from wean.errors import UsageError, WeanError
from wean.lm import LocalModel, load_model, model
from wean.lm.cache import identity_of


def test_a_folder_is_loaded_and_scores_as_before(llama_folder: Path, llama: LocalModel) -> None:
    loaded = load_model(llama_folder, device="cpu")
    assert loaded.score(ask("go"), ["wait", "go north"]) == pytest.approx(
        llama.score(ask("go"), ["wait", "go north"]), abs=1e-5
    )
    assert not loaded.model.training
    assert load_model(f"hf:{llama_folder}", device="cpu").identity == loaded.identity


def test_an_encoder_decoder_folder(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(chat=False)
    tiny_t5(len(tokenizer)).save_pretrained(tmp_path / "t5")
    tokenizer.save_pretrained(tmp_path / "t5")
    loaded = load_model(tmp_path / "t5", device="cpu")
    assert loaded.model.config.is_encoder_decoder
    assert loaded.max_length is None
    assert len(loaded.generate([ask("go")], max_tokens=3, seed=0)[0]) == 1


def test_identity_is_of_the_weights_and_never_a_path(
    llama_folder: Path, tmp_path: Path, own_cache: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    first = identity_of(llama_folder)
    assert first.startswith("llama@sha256:")
    moved = tmp_path / "elsewhere"
    shutil.copytree(llama_folder, moved)
    assert identity_of(moved) == first
    (moved / "README.md").write_text("a card says nothing about answers")
    assert identity_of(moved) == first
    template = moved / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert identity_of(moved) != first
    with torch.no_grad():
        other = tiny_llama(len(tokenizer))
        other.lm_head.weight[0, 0] += 1
    other.save_pretrained(tmp_path / "other")
    tokenizer.save_pretrained(tmp_path / "other")
    assert identity_of(tmp_path / "other") != first
    half = load_model(llama_folder, device="cpu", dtype="bfloat16")
    assert half.identity == f"{first}+bfloat16"
    assert half.model.dtype == torch.bfloat16


def test_big_files_are_digested_once(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "big"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(bytes(33 << 20))
    first = identity_of(folder)
    read: list[Path] = []
    real = model.cache.sha256
    monkeypatch.setattr(model.cache, "sha256", lambda path: (read.append(path), real(path))[1])
    assert identity_of(folder) == first
    assert [path.name for path in read] == ["config.json"]
    (folder / "model.safetensors").write_bytes(bytes((33 << 20) + 1))
    assert identity_of(folder) != first


def test_what_is_not_a_model(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="wean models get smollm2-135m"):
        load_model("smollm2-135m")
    with pytest.raises(UsageError, match="load_encoder"):
        load_model("minilm")
    with pytest.raises(UsageError, match=r"no config\.json"):
        load_model(tmp_path)
    with pytest.raises(UsageError, match="no file"):
        load_model(tmp_path / "none.gguf")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UsageError, match="no weights"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(WeanError, match="cannot be loaded") as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    with pytest.raises(WeanError, match="cannot be converted"):
        load_model(broken)
    assert not list((own_cache / "models").iterdir())


def test_a_hub_id_that_nobody_answers_for(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def offline(*args: object, **kwargs: object) -> str:
        raise OSError("cannot reach the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(UsageError, match="no model 'some/model'") as caught:
        load_model("some/model")
    assert "\n" not in str(caught.value)


def test_a_hub_id_is_a_name(llama_folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: str(llama_folder))
    assert load_model("hf:some/model", device="cpu").identity.startswith("some/model@sha256:")


def test_bad_device_and_dtype(llama_folder: Path) -> None:
    with pytest.raises(UsageError, match="float32, bfloat16, float16"):
        load_model(llama_folder, dtype="int3")
    with pytest.raises(UsageError, match="try device='cpu'"):
        load_model(llama_folder, device="abacus")


def test_a_missing_extra_names_the_command() -> None:
    code = (
        "import sys\nsys.modules['transformers'] = None\n"
        "from wean.lm import load_model\nfrom wean.errors import UsageError\n"
        "try:\n    load_model('smollm2-135m')\nexcept UsageError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "transformers is not installed: pip install '.[lm]' in wean's folder"


def test_importing_the_room_is_light() -> None:
    code = "import sys, wean.lm; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_template_that_refuses_system_messages(tokenizer: PreTrainedTokenizerFast, llama: LocalModel) -> None:
    strict = tiny_tokenizer()
    strict.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + strict.chat_template
    )
    other = LocalModel(llama.model, strict, "strict")
    merged = other.prompts.text([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Go."}])
    assert "user\nBe brief.\n\nGo.<|end|>" in merged


def test_without_a_template_contents_are_joined(plain_llama: LocalModel) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Go."}]
    assert plain_llama.prompts.text(messages) == "Be brief.\nGo."
