"""The thread that reconciles: after every change of the fleet's state, and at least every tick."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from argosy.errors import ArgosyError
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import DeviceRow
from argosy_controller.fleet.desired import DesiredWriter, resign_half_over
from argosy_controller.rollouts.facts import Evidence
from argosy_controller.rollouts.reconcile import reconcile

_log = logging.getLogger(__name__)
#: Documents of devices that stay connected are looked through this often, in seconds.
_RESIGN_EVERY_S = 3600.0
#: A plan that never came to rest would be a bug; it must not keep the writer for itself.
_MOST_ROUNDS = 50


class Reconciler:
    """Owned by app.py: `start`, `wake` whenever something changed, `stop`."""

    def __init__(
        self,
        database: Database,
        writer: DesiredWriter,
        *,
        clock: Callable[[], float],
        tick_s: float,
        listening_since: Callable[[], float | None],
        on_applied: Callable[[], None],
    ) -> None:
        """`on_applied` is called after every commit that may have written to the outbox."""
        self._database = database
        self._writer = writer
        self._clock = clock
        self._tick_s = tick_s
        self._listening_since = listening_since
        self._on_applied = on_applied
        self._resigned = 0.0
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="argosy-reconciler", daemon=True)

    def start(self) -> None:
        """Begins; once."""
        self._thread.start()

    def wake(self) -> None:
        """Something changed: look now."""
        self._wake.set()

    def stop(self) -> None:
        """Ends after the transaction in hand."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            self._look()
            self._wake.wait(self._tick_s)

    def _look(self) -> None:
        try:
            self._settle()
            self._resign()
        except (OperationalError, ArgosyError) as error:
            _log.warning("rollouts cannot go on now (%s): trying again", error)
        except Exception:
            _log.exception("reconciling broke: trying again")

    def _settle(self) -> None:
        for _ in range(_MOST_ROUNDS):
            with self._database.write() as session:
                changed = reconcile(session, self._writer, Evidence(self._listening_since()), self._clock())
            if not changed:
                return
            self._on_applied()
            if self._stopping.is_set():
                return
        _log.error("rollouts did not come to rest in %d rounds: please report this", _MOST_ROUNDS)

    def _resign(self) -> None:
        """Devices that never disconnect get their documents in time, too."""
        now = self._clock()
        if now - self._resigned < _RESIGN_EVERY_S:
            return
        with self._database.write() as session:
            signed = resign_half_over(session, self._writer, _online(session), now)
        self._resigned = now
        if signed:
            self._on_applied()


def _online(session: Session) -> list[str]:
    return list(session.exec(select(DeviceRow.name).where(col(DeviceRow.online), col(DeviceRow.revoked).is_(False))))
