"""Local language models: fetch, load, generate, score candidates. Knows nothing of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wean.lm.generation import GeneratedText
    from wean.lm.model import LocalModel, SentenceEncoder, load_encoder, load_model

__all__ = ["GeneratedText", "LocalModel", "SentenceEncoder", "load_encoder", "load_model"]

_HOMES = {
    "GeneratedText": "wean.lm.generation",
    "LocalModel": "wean.lm.model",
    "SentenceEncoder": "wean.lm.model",
    "load_encoder": "wean.lm.model",
    "load_model": "wean.lm.model",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first read: torch costs a second that `import wean.lm` need not pay."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
