"""mosquitto as a managed child: its configuration, and how it learns that a device was revoked."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from argosy.errors import InvalidInput, Unavailable
from argosy.topics import MAX_PACKET_BYTES
from argosy_controller.broker import rules
from argosy_controller.broker.child import ChildBroker
from argosy_controller.broker.revocations import newest_date
from argosy_controller.broker.running import BrokerTls
from argosy_controller.broker.wire import CONNACK, Closed, connect_packet, split_frame

_LOG = logging.getLogger(__name__)
_RELOADED = b"Reloading config."
_DOOR = "door.sock"
_STORED = "broker.db"
_ANSWER_TIMEOUT_S = 5.0


def find_mosquitto() -> Path | None:
    """The installed program, also where a service's PATH does not reach (`/usr/sbin`)."""
    found = shutil.which(
        "mosquitto", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"])
    )
    return Path(found) if found else None


def configuration(folder: Path, host: str, port: int, tls: BrokerTls) -> str:
    """The text of `mosquitto.conf`.

    Identity: `use_identity_as_username` makes the certificate's name the user that the ACL speaks of;
    `use_username_as_clientid` makes it the client id too, else any device could take over another's session.

    The second listener is a socket in the 0700 folder: who can open it may take any client id, which is how a revoked
    device's session is ended. `per_listener_settings` keeps that freedom away from the first. mosquitto runs as the user who
    starts it, root included (the launcher takes root's powers away first), since the data folder is closed to all others.
    """
    crl = [f"crlfile {tls.crl}"] if tls.crl else []
    lines = [
        "per_listener_settings true",
        "user root",  # only says: do not change the user
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type information",
        "connection_messages false",
        "persistence true",
        f"persistence_location {folder}/",
        f"persistence_file {_STORED}",
        "autosave_interval 60",
        f"max_packet_size {MAX_PACKET_BYTES}",
        "set_tcp_nodelay true",
        "max_inflight_messages 100",
        "max_queued_messages 100000",
        "max_queued_bytes 134217728",
        "max_keepalive 3600",
        "persistent_client_expiration 60d",
        f"listener {port} {host}",
        f"cafile {tls.ca}",
        f"certfile {tls.certificate}",
        f"keyfile {tls.key}",
        *crl,
        "tls_version tlsv1.2",
        "require_certificate true",
        "max_qos 1",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "allow_anonymous false",
        f"acl_file {folder / 'acl.txt'}",
        f"listener 0 {_DOOR}",
        "allow_anonymous true",
    ]
    return "\n".join([*lines, ""])


@dataclass(frozen=True)
class _Loaded:
    """What the running mosquitto has read: the trusted CAs, and when its CRL was made."""

    ca: bytes
    crl: datetime | None


class MosquittoBroker(ChildBroker):
    """A mosquitto child."""

    kind = "mosquitto"

    def __init__(self, executable: Path, folder: Path, host: str, port: int, tls: BrokerTls) -> None:
        super().__init__(folder, host, port)
        self._executable = executable
        self._tls = tls
        self._loaded: _Loaded | None = None

    def start(self) -> None:
        """As for every child; without what mosquitto stored, where it cannot read that any more (a power cut in the middle of writing)."""
        try:
            super().start()
        except Unavailable:
            stored, aside = self.folder / _STORED, self.folder / f"{_STORED}.unreadable"
            if not stored.exists():
                raise
            stored.replace(aside)
            try:
                super().start()
            except BaseException:
                aside.replace(stored)  # that was not it
                raise
            _LOG.warning("mosquitto could not read %s and started without it (kept as %s): all documents are offered again", stored, aside)

    def program(self) -> list[str]:
        self.write("mosquitto.conf", configuration(self.folder, *self.address, self._tls))
        self.write("acl.txt", rules.mosquitto_acl())
        self._loaded = self._read_files()
        return [str(self._executable), "-c", str(self.folder / "mosquitto.conf")]

    def revoke(self, names: Collection[str]) -> str | None:
        with self._lock:
            if self._tls.crl is None:
                raise InvalidInput("the broker was started without a list of revoked certificates: start it with one")
            if self.alive():
                self._reload()
                try:
                    for name in names:
                        self._end_session(name)
                except (OSError, Closed):
                    self.restart()
        return None

    def _reload(self) -> None:
        """Makes mosquitto read its files again.

        SIGHUP adds the new CRL beside the old one, and OpenSSL prefers the younger by whole seconds: a list of the same second
        would be ignored, so then a restart. So too when the trusted CAs changed, which no signal makes it read, or when no answer comes.
        """
        last, now = self._loaded, self._read_files()
        if last is None or now.ca != last.ca or now.crl is None or last.crl is None or now.crl <= last.crl or not self._reloads():
            self.restart()
        self._loaded = now

    def _read_files(self) -> _Loaded:
        return _Loaded(self._tls.ca.read_bytes(), newest_date(self._tls.crl) if self._tls.crl else None)

    def _reloads(self) -> bool:
        """Sends SIGHUP; whether the log says in time that the configuration is being read."""
        process = self._process
        if process is None:
            return False
        size = self.log.stat().st_size
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + _ANSWER_TIMEOUT_S
        while time.monotonic() < deadline:
            with self.log.open("rb") as log:
                log.seek(size)
                if _RELOADED in log.read():
                    return True
            time.sleep(0.01)
        return False

    def _end_session(self, name: str) -> None:
        """Takes the device's session over, which ends its connection, as a clean one, which ends what was stored."""
        with self._door() as door:
            door.sendall(connect_packet(name, clean=True, keep_alive_s=10, will=None))
            _await_accepted(door)
            with contextlib.suppress(OSError):
                door.sendall(b"\xe0\x00")

    @contextlib.contextmanager
    def _door(self) -> Iterator[socket.socket]:
        """A connection to the second listener, by way of the folder: its path may be longer than a socket's name may be."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(_ANSWER_TIMEOUT_S)
                door.connect(f"/proc/self/fd/{folder}/{_DOOR}" if sys.platform == "linux" else str(self.folder / _DOOR))
                yield door
        finally:
            os.close(folder)

    def ready(self) -> bool:
        try:
            with self._door():
                return super().ready()
        except OSError:
            return False


def _await_accepted(door: socket.socket) -> None:
    data = b""
    while (frame := split_frame(data)) is None:
        chunk = door.recv(64)
        if not chunk:
            raise Closed("mosquitto closed the connection")
        data += chunk
    if frame[0] >> 4 != CONNACK or frame[1][-1] != 0:
        raise Closed("mosquitto did not accept the connection")
