"""One door to every language model, with the ledger that remembers every answer and its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wean.llm.answers import Answer, Counts, Message
    from wean.llm.budget import Budget, BudgetError
    from wean.llm.ledger import Ledger, default_ledger_path
    from wean.llm.model import LanguageModel
    from wean.llm.opening import open_model, scripted_model

__all__ = [
    "Answer",
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
    "Answer": "answers",
    "Counts": "answers",
    "Message": "answers",
    "Budget": "budget",
    "BudgetError": "budget",
    "Ledger": "ledger",
    "default_ledger_path": "ledger",
    "LanguageModel": "model",
    "open_model": "opening",
    "scripted_model": "opening",
}


def __getattr__(name: str) -> Any:
    # Names are looked up when first used, so that importing the package costs nothing.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
