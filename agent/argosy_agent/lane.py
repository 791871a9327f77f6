"""A lane: one named thread with a bounded queue of jobs. A job ends by giving events to the inbox, never by an exception."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Lane:
    """Works jobs off one after the other.

    Args:
        name: of the thread.
        limit: most waiting jobs.
    """

    def __init__(self, name: str, limit: int = 64) -> None:
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(limit)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Callable[[], None]) -> bool:
        """Queues a job; False when the queue is full, and the job is then not done."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            return False
        return True

    def stop(self, timeout_s: float) -> None:
        """Lets the job under way end, for at most `timeout_s`; waiting jobs are dropped. The thread dies with the process."""
        while True:
            try:
                self._jobs.get_nowait()
            except queue.Empty:
                break
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                _log.exception("a job in lane %s failed: this is a bug", self._thread.name)
