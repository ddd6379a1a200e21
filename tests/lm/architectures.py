"""A tiny model with random weights of every kind of architecture that `wean.lm` meets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers

_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "num_local_experts": 4}
_DELTA = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
_T5 = {
    "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "initializer_factor": 2.0,
    "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
_BART = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "init_std": 0.3,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 512,
    "decoder_start_token_id": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip

ARCHITECTURES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Llama": ("Llama", _SIZES),
    "Qwen2": ("Qwen2", _SIZES),
    "Qwen3": ("Qwen3", _SIZES),
    "SmolLM3": ("SmolLM3", _SIZES),
    "GPT2": ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "initializer_range": 0.3}),
    "OPT": ("OPT", {**_SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.3}),
    "Bloom": ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}),
    "Mixtral": ("Mixtral", {**_SIZES, **_EXPERTS}),
    "Mistral, sliding window": ("Mistral", {**_SIZES, "sliding_window": 8}),
    "Phi3, sliding window": ("Phi3", {**_SIZES, "sliding_window": 8}),
    "Gemma2, sliding window": ("Gemma2", {**_SIZES, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "Gemma3, sliding window": ("Gemma3Text", {**_SIZES, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "gpt-oss, sliding window": ("GptOss", {**_SIZES, **_EXPERTS, "sliding_window": 8}),
    "LFM2": ("Lfm2", {**_SIZES, "block_multiple_of": 8, "layer_types": ["conv", "full_attention"] * 2}),
    "Granite hybrid": (
        "GraniteMoeHybrid",
        {**_SIZES, **_EXPERTS, **_MAMBA, "shared_intermediate_size": 48, "layer_types": ["mamba", "attention"] * 2},
    ),
    "Qwen3-Next": (
        "Qwen3Next",
        {
            **_SIZES,
            **_EXPERTS,
            **_DELTA,
            "shared_expert_intermediate_size": 16,
            "layer_types": ["linear_attention", "full_attention"] * 2,
        },
    ),
    "Falcon-H1": ("FalconH1", {**_SIZES, **_MAMBA, "mamba_d_ssm": 64}),
    "Bamba": ("Bamba", {**_SIZES, **_MAMBA, "attn_layer_indices": [1, 3]}),
    "Jamba": (
        "Jamba",
        {
            **_SIZES,
            **_EXPERTS,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "mamba_d_state": 8,
            "use_mamba_kernels": False,
        },
    ),
    "Nemotron-H": (
        "NemotronH",
        {
            **_SIZES,
            "mamba_num_heads": 4,
            "mamba_head_dim": 16,
            "ssm_state_size": 8,
            "n_groups": 1,
            "chunk_size": 8,
            "hybrid_override_pattern": "M*M-",
        },
    ),
    "Mamba": ("Mamba", {"hidden_size": 32, "state_size": 8, "num_hidden_layers": 2, "initializer_range": 0.3}),
    "Mamba2": (
        "Mamba2",
        {
            "hidden_size": 32,
            "state_size": 8,
            "num_heads": 4,
            "head_dim": 16,
            "n_groups": 1,
            "chunk_size": 8,
            "num_hidden_layers": 2,
            "initializer_range": 0.3,
        },
    ),
    "FalconMamba": (
        "FalconMamba",
        {"hidden_size": 32, "state_size": 8, "num_hidden_layers": 2, "initializer_range": 0.3},
    ),
    "RWKV": ("Rwkv", {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32}),
    "xLSTM": ("xLSTM", {"hidden_size": 32, "num_hidden_layers": 2, "num_heads": 4, "chunk_size": 16}),
    "RecurrentGemma": (
        "RecurrentGemma",
        {**_SIZES, "lru_width": 32, "attention_window_size": 8, "block_types": ("recurrent", "attention")},
    ),
    "MiniMax": (
        "MiniMax",
        {**_SIZES, **_EXPERTS, "layer_types": ["linear_attention", "full_attention"] * 2, "block_size": 8},
    ),
    "T5": ("T5", _T5),
    "MT5": ("MT5", {**_T5, "initializer_factor": 1.5}),
    "UMT5": ("UMT5", {**_T5, "initializer_factor": 1.0}),
    "BART": ("Bart", _BART),
    "Pegasus": ("Pegasus", _BART),
}


def build(name: str, vocabulary: int) -> Any:
    """A model of an architecture, or None where this transformers has none of the name."""
    stem, settings = ARCHITECTURES[name]
    config_class = getattr(transformers, f"{stem}Config", None)
    heads = [f"{stem.removesuffix('Text')}{end}" for end in ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")]
    kind: Callable[[Any], Any] | None = next(
        (getattr(transformers, h) for h in heads if hasattr(transformers, h)), None
    )
    if config_class is None or kind is None:
        return None
    torch.manual_seed(0)
    config = config_class(vocab_size=vocabulary, **settings)
    return kind(config).eval()
