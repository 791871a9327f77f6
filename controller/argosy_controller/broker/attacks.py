"""Tries every attack on a broker that DESIGN.md section 5 says must fail, by name, on any broker by address.

Each attack has two throwaway devices to itself, a victim and `mallory`, whose certificates are real: the danger is an
enrolled device that was taken over, not a stranger. One attack is none: a legitimate device must be served, so that a
broker that refuses everybody does not pass.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from argosy_controller.broker.scene import Breach, ClientFiles, Issue, Observer, Scene
from argosy_controller.broker.tricks import ATTACKS
from argosy_controller.broker.wire import Closed

__all__ = ["ATTACK_NAMES", "ClientFiles", "Finding", "Issue", "check_broker"]

#: The names of all attacks, in the order in which they are reported.
ATTACK_NAMES = tuple(ATTACKS)
_AT_ONCE = 8


@dataclass(frozen=True)
class Finding:
    """What came of one attack.

    Attributes:
        attack: its stable name, for example `last-will-on-anothers-topic`.
        held: whether the broker withstood it.
        detail: one sentence: what was seen.
    """

    attack: str
    held: bool
    detail: str


def check_broker(
    address: tuple[str, int],
    ca: Path,
    issue: Issue,
    observer: ClientFiles | None = None,
    patience_s: float = 120.0,
    settle_s: float = 0.7,
    only: Collection[str] = ATTACK_NAMES,
) -> list[Finding]:
    """Tries all attacks at once; ends when a half-open connection was cut, after `patience_s` at the latest.

    Args:
        address: host and port.
        ca: PEM certificate of the device CA.
        issue: gives throwaway identities (`argosy-check-...`); called some forty times, one call at a time.
        observer: the controller's own client certificate. With it, more is seen (writes to topics that only the controller reads), but it takes
            the controller's place at the broker meanwhile: leave it out while a controller is connected.
        patience_s: how long a half-open connection may live, in seconds.
        settle_s: how long to wait for what must not come, in seconds; more on a slow network.
        only: names of the attacks to try.

    Returns:
        One finding for each attack tried, in the order of `ATTACK_NAMES`.
    """
    tried = [name for name in ATTACK_NAMES if name in only]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            watcher = stack.enter_context(Observer.open(address, ca, observer)) if observer else None
        except Closed as error:
            return [Finding(name, False, f"not tried: the broker does not serve the controller ({error})") for name in tried]
        one_at_a_time = _locked(issue)

        def attempt(name: str) -> Finding:
            scene = Scene(address, ca, one_at_a_time, folder, secrets.token_hex(4), watcher, patience_s, settle_s)
            return _attempt(name, ATTACKS[name], scene)

        return list(stack.enter_context(ThreadPoolExecutor(_AT_ONCE)).map(attempt, tried))


def _attempt(name: str, attack: Callable[[Scene], str], scene: Scene) -> Finding:
    with scene:
        try:
            return Finding(name, True, attack(scene))
        except Breach as breach:
            return Finding(name, False, str(breach))
        except Closed as error:
            return Finding(name, False, f"not tried to the end: the broker does not serve a legitimate device ({error})")


def _locked(issue: Issue) -> Issue:
    lock = threading.Lock()

    def issue_alone(name: str) -> ClientFiles:
        with lock:
            return issue(name)

    return issue_alone
