"""Opening a language model by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wean.errors import UsageError
from wean.llm.answers import Message
from wean.llm.asking import Progress
from wean.llm.backends.backend import Backend
from wean.llm.backends.recorded import find_recorded
from wean.llm.backends.scripted import ScoreFunction, ScriptedBackend, import_function
from wean.llm.budget import Budget
from wean.llm.ledger import Ledger
from wean.llm.model import LanguageModel
from wean.llm.prices import FREE, Price

_FORMS = "openai:NAME, http://HOST:PORT/v1#NAME, hf:NAME-OR-PATH, recorded:NAME-OR-FILE"


def open_model(
    name: str,
    *,
    ledger: Ledger | None = None,
    strict: bool = False,
    budget: Budget | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> LanguageModel:
    """Opens a language model.

    Args:
        name: One of `openai:gpt-5`, `http://localhost:8000/v1#qwen3-32b`, `hf:directory-or-id-or-name`,
            `recorded:doorkey`, `recorded:/path/file.jsonl`, `scripted:module:function`.
        ledger: Where answers are kept; default the user's (`default_ledger_path`), none for recorded answers,
            and one in memory for a scripted model.
        strict: A question that recorded answers lack is an error instead of "no advice".
        budget: Limits on live answers.
        progress: Called with (answers there, answers wanted) while a batch is being asked live.
        options: What the kind of model takes. Endpoints: see `EndpointOptions`. `hf:`: `batch_size`, and `device`
            and `dtype` as `wean.lm.model.load_model` has them.

    Raises:
        UsageError: The name has no known form, or an option is unknown.
        WeanError: The ledger or the recorded file cannot be opened.
    """
    kind, _, rest = name.partition(":")
    if kind == "recorded":
        _known_options(name, options, ())
        return LanguageModel(find_recorded(rest), ledger=ledger, strict=strict, name=name)
    if kind == "scripted":
        _known_options(name, options, ("price", "concurrency"))
        return scripted_model(
            import_function(rest), name=rest, ledger=ledger, budget=budget, progress=progress, **options
        )
    backend = _open_live(kind, name, rest, options)
    return LanguageModel(
        backend,
        ledger=Ledger() if ledger is None else ledger,
        budget=budget,
        progress=progress,
        close_ledger=ledger is None,
    )


def scripted_model(
    function: Callable[[list[Message]], str] | Callable[[list[Message], int], str],
    name: str = "scripted",
    *,
    score: ScoreFunction | None = None,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
    price: Price | None = FREE,
    concurrency: int = 1,
) -> LanguageModel:
    """Makes a language model of a Python function.

    Args:
        function: Takes the messages, or the messages and the sample number; returns the answer's text.
        name: Name and identity; with a ledger on disk, give another one when the function changes.
        score: Takes messages and candidates, returns log-probabilities; without it the model cannot score.
        ledger: Default one in memory, which is forgotten at the end.
        budget: Limits, as for any live model.
        progress: Called with (answers there, answers wanted).
        price: Price per token; None for "unknown".
        concurrency: How many calls may run at once.
    """
    backend = ScriptedBackend(function, name, score, price, concurrency)
    memory = Ledger(":memory:") if ledger is None else ledger
    return LanguageModel(backend, ledger=memory, budget=budget, progress=progress, close_ledger=ledger is None)


def _open_live(kind: str, name: str, rest: str, options: dict[str, Any]) -> Backend:
    if kind == "openai":
        from wean.llm.backends.endpoint import open_endpoint

        return open_endpoint(name, None, rest, options)
    if kind in ("http", "https"):
        from wean.llm.backends.endpoint import open_endpoint

        url, _, model = name.partition("#")
        return open_endpoint(name, url, model, options)
    if kind == "hf":
        from wean.llm.backends.local import LocalBackend

        _known_options(name, options, ("batch_size", "device", "dtype"))
        return LocalBackend(rest, **options)
    raise UsageError(f"{name!r} names no model; the forms are {_FORMS}")


def _known_options(name: str, options: dict[str, Any], known: tuple[str, ...]) -> None:
    if unknown := sorted(set(options) - set(known)):
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise UsageError(f"{name} takes no option {', '.join(unknown)}; {takes}")
