"""The DATA folder: where each thing lies, who may open it, and which ports it has promised to its devices."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from argosy.errors import Conflict, IncompatibleData, InvalidInput, Unavailable
from argosy_controller.durable import write_file

FORMAT = 1


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """endpoints.json: where a running controller answers; there only while everything does."""

    schema: int = 1
    pid: int
    api: str
    dashboard: str
    device_api: str
    mqtt: str
    tuf_metadata: str
    tuf_targets: str


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """ports.json: chosen once and kept, because devices hold them in their enrolment."""

    devices: int
    mqtt: int


@dataclass(frozen=True)
class Folder:
    """Paths below DATA."""

    root: Path

    @property
    def database(self) -> Path:
        """SQLite, WAL."""
        return self.root / "argosy.db"

    @property
    def artifacts(self) -> Path:
        """Files by their sha256."""
        return self.root / "artifacts"

    @property
    def tuf(self) -> Path:
        """Signed metadata as it is served."""
        return self.root / "tuf"

    @property
    def keys(self) -> Path:
        """Online signing keys."""
        return self.root / "keys"

    @property
    def offline_keys(self) -> Path:
        """Root keys; may be taken away."""
        return self.root / "offline-keys"

    @property
    def ca(self) -> Path:
        """The device CA, the server's and the controller's own certificates."""
        return self.root / "ca"

    @property
    def broker(self) -> Path:
        """Configuration, persistence and log of the managed broker."""
        return self.root / "broker"

    @property
    def uploads(self) -> Path:
        """Bundles on their way in; emptied at start."""
        return self.root / "uploads"

    @property
    def builds(self) -> Path:
        """Builds that run here: inputs, logs, reports, and what they computed before."""
        return self.root / "builds"

    @property
    def endpoints(self) -> Path:
        """Where a running controller answers."""
        return self.root / "endpoints.json"

    @property
    def ports(self) -> Path:
        """Ports promised to devices."""
        return self.root / "ports.json"

    @property
    def admin_token(self) -> Path:
        """API token of the local operator."""
        return self.root / "admin-token"

    @property
    def admin_password(self) -> Path:
        """The first dashboard password of user admin."""
        return self.root / "admin-password"


def prepare(root: Path) -> Folder:
    """Makes the folder, or checks that an existing one can be used.

    Raises:
        InvalidInput: the path is a file, or cannot be made or written.
        IncompatibleData: a newer Argosy wrote it, or it holds something else.
    """
    # The broker and other children run in folders of their own: a path relative to ours would mislead them.
    root = root.absolute()
    folder = Folder(root)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"data folder {root} cannot be made ({error.strerror}): choose another with --data") from error
    _check_format(root)
    return folder


def _check_format(root: Path) -> None:
    marker = root / "format.json"
    if not marker.exists():
        if any(entry.name not in ("lock",) for entry in root.iterdir()):
            raise IncompatibleData(f"folder {root} holds other files and is no data folder: choose an empty or new folder with --data")
        write_file(marker, json.dumps({"format": FORMAT}).encode())
    try:
        found = json.loads(marker.read_bytes())["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IncompatibleData(f"{marker} is damaged: restore the folder from a backup, or choose another with --data") from error
    if found != FORMAT:
        raise IncompatibleData(
            f"data folder {root} has format {found}, this version of Argosy understands {FORMAT}: upgrade Argosy, or choose another folder"
        )


def lock(folder: Folder) -> int:
    """Takes the folder for this process until it ends, however it ends.

    Returns:
        The descriptor that holds the lock; it closes on exec, so no child keeps the folder taken.

    Raises:
        Conflict: another controller runs on it.
    """
    handle = os.open(folder.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise Conflict(
            f"another controller already runs on {folder.root}: use it, stop it, or choose another folder with --data"
        ) from error
    return handle


def kept_ports(folder: Folder) -> Ports | None:
    """The ports that devices of this folder hold, None at the first start.

    Raises:
        IncompatibleData: the file is damaged.
    """
    try:
        return msgspec.json.decode(folder.ports.read_bytes(), type=Ports)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise IncompatibleData(f"{folder.ports} is damaged: restore it, or delete it and enrol the devices again") from error


def keep_ports(folder: Folder, ports: Ports) -> None:
    """Remembers the ports for the next start."""
    write_file(folder.ports, msgspec.json.encode(ports))


def read_endpoints(root: Path) -> Endpoints:
    """Where the controller of a folder answers.

    Raises:
        Unavailable: none runs there now.
    """
    try:
        found = msgspec.json.decode((root / "endpoints.json").read_bytes(), type=Endpoints)
        os.kill(found.pid, 0)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError, msgspec.MsgspecError) as error:
        raise Unavailable(f"no controller runs on folder {root}: start it with 'controller up --data {root}'") from error
    except PermissionError:
        raise Unavailable(f"the controller of folder {root} belongs to another user: run this as that user") from None
    return found


def write_document(path: Path, document: Any) -> None:
    """Replaces a JSON file atomically."""
    write_file(path, msgspec.json.encode(document))
