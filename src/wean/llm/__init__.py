"""One door to every language model, with a ledger of every answer and its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wean.llm.answers import Answer, Counts, Message
    from wean.llm.asking import Backend
    from wean.llm.budget import Budget, BudgetError
    from wean.llm.ledger import Ledger, default_ledger_path
    from wean.llm.model import LanguageModel, open_model, scripted_model

__all__ = [
    "Answer",
    "Backend",
    "Budget",
    "BudgetError",
    "Counts",
    "LanguageModel",
    "Ledger",
    "Message",
    "default_ledger_path",
    "open_model",
    "scripted_model",
]

_HOMES = {
    "answers": ("Answer", "Counts", "Message"),
    "asking": ("Backend",),
    "budget": ("Budget", "BudgetError"),
    "ledger": ("Ledger", "default_ledger_path"),
    "model": ("LanguageModel", "open_model", "scripted_model"),
}


def __getattr__(name: str) -> Any:
    # Names are looked up when first used, so that importing the package costs nothing.
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
