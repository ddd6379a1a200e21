"""Names of models and addresses of endpoints: what of them may be written down, and which address gets the key."""

from __future__ import annotations

import logging
import os
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit, urlunsplit

from wean.errors import UsageError

OPENAI_URL = "https://api.openai.com/v1"

_HARMLESS = ("api-version", "api_version")  # parameters of an address that are no secrets
_KEY_IN_PATH = re.compile(r"\b(?:sk|rk|gsk|xai)-[\w-]{8,}")


class ModelName(str):
    """The name of a language model, without the secrets of its address; `full` is the name with them.

    Example:
        >>> name = ModelName("http://me:secret@localhost:8000/v1?api_key=sk-1#qwen3")
        >>> print(name)
        http://localhost:8000/v1#qwen3
    """

    full: str

    def __new__(cls, name: str) -> ModelName:
        """Takes the secrets out of a name."""
        made = super().__new__(cls, _public(name))
        made.full = name.full if isinstance(name, ModelName) else name
        return made


def _public(name: str) -> str:
    """A model's name without user, password, and those parameters of its address that may be a key."""
    if not re.match(r"[A-Za-z][\w+.-]*://", name):
        return name
    try:
        parts = urlsplit(name)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return name.partition("://")[0] + "://(not an address)"
    kept = [(key, value) for key, value in parse_qsl(parts.query) if key.lower() in _HARMLESS]
    path = _KEY_IN_PATH.sub("***", parts.path)
    return urlunsplit((parts.scheme, host, path, urlencode(kept), parts.fragment))


@dataclass(frozen=True)
class Address:
    """An endpoint's address, taken apart so that its secrets stay out of everything but the requests.

    Attributes:
        url: Scheme, host and path.
        host: The host's name.
        where: Host and port, for messages.
        query: Parameters that every request carries.
        headers: Headers that every request carries.
        secrets: What may not be shown.
    """

    url: str
    host: str
    where: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def origin(self) -> tuple[str, str]:
        """Scheme, and host with port."""
        return self.url.partition("://")[0], self.where.lower()


def read_address(url: str) -> Address:
    """Takes an endpoint's address apart.

    Raises:
        UsageError: It is none.
    """
    parts = _parts(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    host = parts.netloc.rpartition("@")[2]
    headers = {}
    secrets = [value for key, value in query.items() if key.lower() not in _HARMLESS]
    if user or password:
        token = b64encode(f"{user}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
        secrets += [password, parts.password or "", token, user if not password else ""]
    return Address(
        urlunsplit((parts.scheme, host, parts.path, "", "")),
        parts.hostname or "",
        host,
        query,
        headers,
        tuple(sorted({form for text in secrets for form in (text, quote(text), quote_plus(text)) if len(form) > 2})),
    )


def key_for(address: Address, api_key: str | None, named_in: str | None) -> str:
    """The key that an address gets: the given one, else $OPENAI_API_KEY.

    Args:
        address: The address.
        api_key: A key that the caller gave.
        named_in: The file that names the address, where the user did not.

    Raises:
        UsageError: A file names the address, and there is a key that it would get.
    """
    key = (api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
    if key and named_in is not None and api_key is None:
        own = (OPENAI_URL, os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
        if address.origin not in [read_address(url).origin for url in own]:
            raise UsageError(
                f"{named_in} names {address.where}, which would get your OPENAI_API_KEY; if you trust it, name the "
                "model yourself with --model, or unset the key"
            )
    return key


class _Hiding(logging.Filter):
    """Takes secrets out of what other libraries log."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass, without the secrets."""
        text = record.getMessage()
        if any(secret in text for secret in self.secrets):
            for secret in self.secrets:
                text = text.replace(secret, "***")
            record.msg, record.args = text, ()
        return True


_HIDING = _Hiding()


def keep_out_of_logs(secrets: Iterable[str]) -> None:
    """Keeps secrets out of the logs of the libraries that send requests: they log whole addresses."""
    _HIDING.secrets |= {secret for secret in secrets if len(secret) > 2}
    for name in ("openai", "openai._base_client", "httpx", "httpx2"):
        logging.getLogger(name).addFilter(_HIDING)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.hostname and parts.scheme in ("http", "https") and (parts.port is None or parts.port >= 0)
        usable = usable and url.isprintable() and " " not in url
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("an endpoint's address looks like http://localhost:8000/v1; check it (and OPENAI_BASE_URL)")
    return parts
