"""The two kinds of error that a user can cause; each message is one line that names the remedy."""

from __future__ import annotations


class WeanError(Exception):
    """Something failed that the user can mend; the command line prints it as one line and exits with 1."""

    exit_code = 1


class UsageError(WeanError):
    """The user asked for something that does not exist or cannot be; the command line exits with 2."""

    exit_code = 2
