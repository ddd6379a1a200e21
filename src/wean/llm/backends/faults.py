"""What an endpoint's failures mean: which may go away by themselves, and one clear line for the others."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from wean.errors import UsageError, WeanError
from wean.llm.retry import TransientError, retry_after

# Vendors repeat keys, or parts of them, in their messages.
_KEY_LIKE = re.compile(r"(?i)\b(?:bearer\s+\S+|(?:sk|pk|rk|gsk|xai|key|api)[-_][\w*.\-]{6,})")

_TOO_LONG = re.compile(
    r"(?i)context.{0,12}(length|window|size)|maximum.{0,20}(tokens|context)|too (long|many tokens)"
    r"|exceed.{0,40}context"
)


def scrub(text: str, key: str) -> str:
    """The text without keys and what looks like one: one line of at most 300 characters."""
    if key:
        text = text.replace(key, "***")
    text = " ".join(_KEY_LIKE.sub("***", text).split())
    return text if len(text) <= 300 else text[:297] + "..."


def explain_failure(
    error: Exception, where: str, model: str, key: str, served_models: Callable[[], list[str]]
) -> TransientError | WeanError:
    """Turns an exception of the `openai` SDK into one to retry or one to show.

    Args:
        error: What the SDK raised.
        where: Host and port, for the line.
        model: The model that was asked for.
        key: The key, which must not appear anywhere.
        served_models: Asked for the models that there are, when ours is not among them.
    """
    import openai

    if isinstance(error, openai.APITimeoutError):
        return TransientError("no answer within the time-out")
    if isinstance(error, openai.APIConnectionError):
        return _connection_failure(error)
    if not isinstance(error, openai.APIStatusError):
        return TransientError(f"the SDK failed with {type(error).__name__}: {scrub(str(error), key)}")
    status, detail = error.status_code, scrub(_detail(error), key)
    if status == 429 and error.code == "insufficient_quota":
        return WeanError(f"{where}: the account's quota is used up ({detail}); top it up or use another key")
    if status in (408, 409, 425, 429) or status >= 500:
        asked = retry_after(error.response.headers)
        return TransientError(f"the server answered {status} ({detail})", asked)
    if status == 401:
        return WeanError(f"{where} refused the API key (401); set OPENAI_API_KEY to a valid one")
    if status == 403:
        return WeanError(f"{where} forbids this key to use {model!r} (403: {detail}); check the key's rights")
    if status == 404:
        return _not_found(where, model, detail, served_models())
    if status == 413 or _TOO_LONG.search(_detail(error)):
        return UsageError(
            f"{where}: the question is too long for {model!r} ({detail}); shorten it, lower max_tokens, or "
            "use a model with a longer context"
        )
    return UsageError(f"{where} refuses the request ({status}: {detail}); change the parameter that it names")


def served_something_else(asked: str, served: str) -> bool:
    """Whether a server answered with another model than the one asked for.

    Snapshots ("gpt-5" served as "gpt-5-2025-08-07"), router prefixes ("openai/gpt-5"), paths and tags
    ("qwen3" served as "qwen3:latest") are the same model; no name at all is taken on trust.
    """
    if not served:
        return False
    ours, theirs = _bare(asked), _bare(served)
    longer, shorter = (ours, theirs) if len(ours) >= len(theirs) else (theirs, ours)
    if not longer.startswith(shorter):
        return True
    rest = longer[len(shorter) :]
    return not re.fullmatch(r"(?:[-@](?:\d{4}-\d{2}-\d{2}|\d{4,8}|latest|preview)|:.*|\.gguf)?", rest)


def _bare(name: str) -> str:
    return re.split(r"[/\\]", name.lower())[-1]


def _connection_failure(error: Exception) -> TransientError:
    cause = error.__cause__
    kind = type(cause).__name__ if cause is not None else ""
    if kind == "ConnectError":
        return TransientError(f"cannot be reached ({cause}); check the address and the server", None, True)
    return TransientError(f"the connection broke ({kind or 'connection error'})")


def _detail(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        message = inner.get("message") if isinstance(inner, dict) else inner
        if message:
            return str(message)
    # Gateways answer in HTML: the status says more than its tags.
    text = str(body or error.message)
    return "an HTML page" if "<html" in text.lower() else text


def _not_found(where: str, model: str, detail: str, served: list[str]) -> WeanError:
    if model in served or (not served and "model" not in detail.lower()):
        return WeanError(f"{where} has no chat completions at this address (404); does the URL end in /v1?")
    if not served:
        return UsageError(f"{where} has no model {model!r} ({detail}); check its name")
    shown = ", ".join(served[:8]) + (", ..." if len(served) > 8 else "")
    return UsageError(f"{where} has no model {model!r}; it serves {shown}")
