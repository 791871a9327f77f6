"""The supervisor's end of the serving worker: starts it, sends orders, hears answers, notices its death."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from argosy.errors import ArgosyError
from argosy_agent.children import start_python
from argosy_agent.messages import Answer, Channel, Order, Stop, channel_pair

_log = logging.getLogger(__name__)


class Servant:
    """One worker process. Made and ended by the event loop; a thread of its own listens to it.

    Args:
        python: its interpreter.
        endpoint: HOST:PORT.
        heard: called with each answer, from the listening thread.
        died: called once with a sentence when the worker is gone, from the listening thread.
    """

    def __init__(self, python: str, endpoint: str, state: str, heard: Callable[[Any], None], died: Callable[[Servant, str], None]) -> None:
        self._heard = heard
        self._died = died
        ours, theirs = channel_pair()
        try:
            # The kernel ends the worker when the thread that starts it ends: this is the main thread.
            self._process = start_python(
                "argosy_agent.worker", ["--fd", str(theirs.fileno()), "--endpoint", endpoint], python=python,
                pass_fds=[theirs.fileno()], extra_env={"ARGOSY_STATE": state},
            )  # fmt: skip
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._channel = Channel(ours, Answer)
        self._thread = threading.Thread(target=self._listen, name="worker-answers", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, order: Order) -> None:
        """Sends an order; to a worker that is gone it is lost, and `died` tells."""
        try:
            self._channel.send(order)
        except OSError as error:
            _log.debug("an order to the worker was lost: %s", error)

    def stop(self, timeout_s: float) -> None:
        """Ends the worker in good order, or by force after `timeout_s` seconds."""
        self.send(Stop())
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(1.0)
        self._channel.close()

    def _listen(self) -> None:
        try:
            while (answer := self._channel.receive()) is not None:
                self._heard(answer)
        except (ArgosyError, OSError) as error:
            _log.warning("the worker's channel broke: %s", error)
        self._process.kill()
        self._died(self, _ending(self._process.wait()))


def _ending(code: int) -> str:
    return f"the serving worker ended by signal {-code}" if code < 0 else f"the serving worker ended with code {code}"
