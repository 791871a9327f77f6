"""Tries every attack on a broker that DESIGN.md section 5 says must fail, by name, on any broker by address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ClientFiles:
    """PEM files of one client certificate."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Finding:
    """What came of one attack.

    Attributes:
        attack: its stable name, for example `last-will-on-anothers-topic`.
        held: whether the broker withstood it.
        detail: one sentence: what was tried and what was seen.
    """

    attack: str
    held: bool
    detail: str


#: Makes a throwaway client certificate with this common name, signed by the device CA.
Issue = Callable[[str], ClientFiles]


def check_broker(
    address: tuple[str, int], ca: Path, issue: Issue, observer: ClientFiles | None = None, patience_s: float = 100.0
) -> list[Finding]:
    """Tries all attacks; takes at most `patience_s` and a few seconds, most of it waiting for a half-open connection to be cut.

    Args:
        address: host and port.
        ca: PEM certificate of the device CA.
        issue: gives throwaway identities (`argosy-check-...`); called some ten times.
        observer: the controller's own client certificate. With it, more is seen (writes to topics that only the controller reads), but it takes
            the controller's place at the broker meanwhile: leave it out while a controller is connected.
        patience_s: how long a half-open connection may live.
    """
    raise NotImplementedError
