from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from wean.errors import UsageError, WeanError
from wean.lm import load_encoder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "go", "north", "south", "red", "key", "door", "open", "the"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    target = tmp_path / "encoder"
    BertModel(config).save_pretrained(target)
    tokenizer.save_pretrained(target)
    (target / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    (target / "modules.json").write_text('[{"type": "sentence_transformers.models.Normalize"}]')
    (target / "1_Pooling").mkdir()
    (target / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    return target


def test_mean_of_the_tokens_by_hand(folder: Path) -> None:
    encoder = load_encoder(folder, device="cpu")
    with torch.no_grad():
        states = encoder.model(input_ids=torch.tensor([[2, 4, 5, 3]])).last_hidden_state[0]
    mean = states.mean(dim=0).numpy()
    (found,) = encoder.encode(["go north"])
    assert found.dtype == np.float32
    assert found == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


def test_padding_and_order_do_not_matter(folder: Path) -> None:
    encoder = load_encoder(folder, device="cpu")
    texts = ["go", "open the red door", "", "go north"]
    together = encoder.encode(texts)
    assert together.shape == (4, 16)
    for text, row in zip(texts, together, strict=True):
        assert encoder.encode([text])[0] == pytest.approx(row, abs=1e-6)
    assert encoder.encode([]).shape == (0, 16)


def test_long_texts_are_cut_at_the_encoder_s_length(folder: Path) -> None:
    encoder = load_encoder(folder, device="cpu")
    assert encoder.max_length == 6
    one, two = encoder.encode(["go go go go north", "go go go go south"])
    assert one == pytest.approx(two, abs=1e-6)


def test_without_normalise_lengths_are_kept(folder: Path) -> None:
    (folder / "modules.json").unlink()
    raw = load_encoder(folder, device="cpu").encode(["go"])
    assert abs(float(np.linalg.norm(raw)) - 1) > 1e-3


def test_errors(folder: Path, own_cache: Path) -> None:
    with pytest.raises(UsageError, match="wean models get minilm"):
        load_encoder()
    with pytest.raises(UsageError, match="load_model"):
        load_encoder("smollm2-135m")
    with pytest.raises(UsageError, match="no sentence encoder"):
        load_encoder(folder / "none")
    with pytest.raises(UsageError, match=r"encode\(\[text\]\)"):
        load_encoder(folder, device="cpu").encode("go")
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": false}')
    with pytest.raises(WeanError, match="mean of its tokens"):
        load_encoder(folder)
