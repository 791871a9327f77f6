"""Why a device refused or went back: stable codes with a sentence, the same in CLI, reported state and dashboard."""

from __future__ import annotations

from enum import Enum

import msgspec

from argosy.protocol.codec import Count, Seconds


class Refusal(Enum):
    """A stable code; its sentence says what happened. Codes are never renamed or reused."""

    # A desired document that was not accepted.
    BAD_SIGNATURE = ("bad-signature", "the desired document is not signed by this fleet's director key")
    WRONG_DEVICE = ("wrong-device", "the desired document is for another device or another fleet")
    REPLAYED = ("replayed", "the desired document is older than one that this device already accepted")
    EXPIRED = ("expired", "the desired document has expired")
    MALFORMED = ("malformed", "the document does not decode or breaks its own rules")
    TOO_LARGE = ("too-large", "the message is larger than one megabyte")
    # Bytes that were not accepted.
    UNTRUSTED_METADATA = ("untrusted-metadata", "the signed repository metadata did not verify")
    STALE_METADATA = ("stale-metadata", "the repository metadata is older than the desired document requires")
    UNKNOWN_TARGET = ("unknown-target", "no publisher signed the file that the desired document names")
    WRONG_BYTES = ("wrong-bytes", "the downloaded file is not the one that was signed")
    DOWNLOAD_FAILED = ("download-failed", "the download did not complete")
    NO_SPACE = ("no-space", "there is not enough free space for the new version")
    # A candidate that did not pass.
    NOT_RUNNABLE = ("not-runnable", "no runtime on this device can run the variant")
    PROBE_CRASHED = ("probe-crashed", "the model crashed while it was being proved")
    PROBE_TIMEOUT = ("probe-timeout", "the model took too long while it was being proved")
    PROBE_NUMBERS = ("probe-numbers", "the model's answers differ from the ones it was signed with")
    PROBE_LOAD = ("probe-load", "the runtime could not load the model")
    START_FAILED = ("start-failed", "the model passed its proof but did not start to serve")
    # A version that served and was taken back.
    TOO_MANY_ERRORS = ("too-many-errors", "too many requests failed in the health window")
    TOO_SLOW = ("too-slow", "requests took much longer than before on the same device")
    WORKER_DIED = ("worker-died", "the serving process died while this version served")

    def __init__(self, code: str, sentence: str) -> None:
        self.code = code
        self.sentence = sentence

    @property
    def about_artifact(self) -> bool:
        """Whether this is a verdict about the version itself: trying again changes nothing, and a rollout must stop."""
        return self in _ABOUT_ARTIFACT


_ABOUT_ARTIFACT = frozenset(
    {
        Refusal.UNKNOWN_TARGET,
        Refusal.WRONG_BYTES,
        Refusal.NOT_RUNNABLE,
        Refusal.PROBE_CRASHED,
        Refusal.PROBE_TIMEOUT,
        Refusal.PROBE_NUMBERS,
        Refusal.PROBE_LOAD,
        Refusal.START_FAILED,
        Refusal.TOO_MANY_ERRORS,
        Refusal.TOO_SLOW,
        Refusal.WORKER_DIED,
    }
)
_BY_CODE = {refusal.code: refusal for refusal in Refusal}


def refusal_of(code: str) -> Refusal | None:
    """The refusal with this code, or None for a code from a newer device."""
    return _BY_CODE.get(code)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One refusal as it is reported.

    Attributes:
        code: a `Refusal` code.
        text: the sentence, with particulars ("p95 4.1 ms against 0.9 ms before").
        at: seconds since 1970, by the device's clock.
        generation: of the desired document that it is about; 0 when that could not be read.
        slot, model, version, variant: what was refused, where that is known.
    """

    code: str
    text: str
    at: Seconds
    generation: Count = 0
    slot: str = ""
    model: str = ""
    version: Count = 0
    variant: str = ""
