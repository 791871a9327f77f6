"""The embedded broker (amqtt, hardened) as the controller's child."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Collection
from pathlib import Path

from argosy.errors import InvalidInput, Unavailable
from argosy_controller.broker.child import ChildBroker
from argosy_controller.broker.running import BrokerTls

_ANSWER_TIMEOUT_S = 15.0


class EmbeddedBroker(ChildBroker):
    """An amqtt child."""

    kind = "amqtt"

    def __init__(self, folder: Path, host: str, port: int, tls: BrokerTls) -> None:
        super().__init__(folder, host, port)
        self._tls = tls

    def program(self) -> list[str]:
        tls, (host, port) = self._tls, self.address
        paths = {"ca": tls.ca, "certificate": tls.certificate, "key": tls.key, "crl": tls.crl}
        config = {"host": host, "port": port, **{k: str(p.absolute()) if p else None for k, p in paths.items()}}
        self.write("amqtt.json", json.dumps(config))
        return [sys.executable, "-m", "argosy_controller.broker.amqtt_server", str(self.folder / "amqtt.json")]

    def revoke(self, names: Collection[str]) -> str | None:
        with self._lock:
            if self._tls.crl is None:
                raise InvalidInput("the broker was started without a list of revoked certificates: start it with one")
            error = self._order(b"revoke\n") if self.alive() else None
        if error:
            raise Unavailable(f"the broker could not take over the list of revoked certificates ({error}): write it again, and try again")
        return None

    def _order(self, line: bytes) -> str | None:
        """Sends one order; returns the error in the answer."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = json.loads(self._line(process.stdout.fileno()))
        except (OSError, EOFError, ValueError) as error:
            raise Unavailable(f"the broker does not answer its controller ({error}): its log is {self.log}") from error
        return None if answer["error"] is None else str(answer["error"])

    def _line(self, pipe: int) -> bytes:
        """One line of the child's standard output."""
        deadline, data = time.monotonic() + _ANSWER_TIMEOUT_S, b""
        while not data.endswith(b"\n"):
            if not select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise TimeoutError(f"not within {_ANSWER_TIMEOUT_S:.0f} s")
            chunk = os.read(pipe, 65536)
            if not chunk:
                raise EOFError("it has ended")
            data += chunk
        return data
