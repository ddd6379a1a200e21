"""The two kinds of error that a user can cause; each message is one line that names the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class WeanError(Exception):
    """Something failed that the user can mend; the command line prints it as one line and exits with 1.

    Example:
        >>> try:
        ...     wean.load("nowhere")
        ... except WeanError as error:
        ...     print(error)
        nowhere holds no student (config.json is missing); train one first
    """

    exit_code = 1


class UsageError(WeanError):
    """The user asked for something that does not exist or cannot be; the command line exits with 2.

    Example:
        >>> try:
        ...     wean.make("SimpleDorKey")
        ... except UsageError as error:
        ...     print(error)
        unknown task 'SimpleDorKey'; did you mean 'SimpleDoorKey'?
    """

    exit_code = 2


def shown(value: object, longest: int = 80) -> str:
    """The value as Python writes it, in one line, its middle left out where it is long."""
    try:
        text = repr(value)
    except Exception:  # numbers of thousands of digits, and objects of others
        text = f"<{type(value).__name__}>"
    return in_one_line(text, longest)


def in_one_line(text: str, longest: int = 1_000) -> str:
    """The text without line breaks, its middle left out where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest // 2]}...{text[-longest // 4 :]}"


def shown_error(error: BaseException, longest: int = 200) -> str:
    """An error of somebody else's code in one line: its kind and the first words of its message."""
    words = " ".join(str(error).split())
    return type(error).__name__ if not words else f"{type(error).__name__}: {words}"[:longest]


@contextmanager
def own_code(what: str, remedy: str = "mend it") -> Iterator[None]:
    """Turns whatever somebody's own code raises into one line that names it, with the error itself as its cause.

    Raises:
        WeanError: The code failed; what is a `WeanError` already is passed on.
    """
    try:
        yield
    except WeanError:
        raise
    except Exception as error:
        raise WeanError(f"{what} failed ({shown_error(error)}); {remedy}") from error


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """The remedy for an unknown name: the nearest known one, or `otherwise` where none is near."""
    import difflib

    close = difflib.get_close_matches(name[:100], list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise
