"""What can go wrong, grouped by what the reader can do about it.

Each class fixes an exit code for command lines, an HTTP status and a problem type for the API (RFC 9457). A message is
one sentence: what, where, what to do. Facts travel as attributes where a caller needs them.
"""

from __future__ import annotations


class ArgosyError(Exception):
    """Something failed that is not the reader's fault; the default when nothing more precise fits."""

    exit_code = 1
    status = 500
    kind = "internal"


class InvalidInput(ArgosyError):
    """The input is wrong: change it and try again. Nothing was changed."""

    exit_code = 2
    status = 422
    kind = "invalid-input"


class NotFound(ArgosyError):
    """The named thing does not exist here."""

    exit_code = 4
    status = 404
    kind = "not-found"


class Conflict(ArgosyError):
    """The request is sound but what exists already stands against it."""

    exit_code = 5
    status = 409
    kind = "conflict"


class NotAllowed(ArgosyError):
    """The credential is missing, wrong, expired or used up."""

    exit_code = 6
    status = 401
    kind = "not-allowed"


class Unavailable(ArgosyError):
    """Something needed does not answer now: wait, or start it.

    Attributes:
        retry_after_s: how long to wait before trying again, in seconds, where the other side said so.
    """

    exit_code = 7
    status = 503
    kind = "unavailable"

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Untrusted(ArgosyError):
    """Bytes that do not carry the signature, digest or certificate that they must: never used, never retried as is."""

    exit_code = 8
    status = 403
    kind = "untrusted"


class IncompatibleData(ArgosyError):
    """Data written by a newer version of Argosy, or by something else: upgrade, or choose another folder."""

    exit_code = 9
    status = 500
    kind = "incompatible-data"


class GoalsNotMet(ArgosyError):
    """A build ran, and its recipe's goals were not reached; no version was made."""

    exit_code = 10
    status = 422
    kind = "goals-not-met"
