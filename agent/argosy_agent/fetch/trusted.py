"""What verified metadata says, as far as a device needs it to believe a document."""

from __future__ import annotations

from dataclasses import dataclass

from securesystemslib.signer import Key


@dataclass(frozen=True)
class Trusted:
    """Drawn out of verified TUF metadata.

    Attributes:
        keys: of the role `director`.
        timestamp_version: of the timestamp that was verified.
    """

    keys: tuple[Key, ...]
    timestamp_version: int
