"""The device's STATE folder: where everything lies, and how a file is written so that a power cut leaves old or new."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from argosy.errors import Conflict, NotFound

_PRIVATE = 0o600


@dataclass(frozen=True)
class StateFolder:
    """Paths below one STATE folder; nothing is created by naming it."""

    root: Path

    @property
    def identity(self) -> Path:
        """The answer to enrolment: written last, so a device is enrolled exactly when it exists."""
        return self.root / "identity.json"

    @property
    def key(self) -> Path:
        """The device's private key, PEM, readable by its owner alone."""
        return self.root / "device.key"

    @property
    def certificate(self) -> Path:
        """The device's certificate, PEM."""
        return self.root / "device.crt"

    @property
    def ca(self) -> Path:
        """Every CA certificate to trust, PEM, one after the other."""
        return self.root / "ca.pem"

    @property
    def settings(self) -> Path:
        """Optional settings, TOML."""
        return self.root / "agent.toml"

    @property
    def tuf(self) -> Path:
        """TUF metadata as python-tuf keeps it; `root.json` is the trusted root."""
        return self.root / "tuf"

    @property
    def store(self) -> Path:
        """Verified files, named by their sha256."""
        return self.root / "store"

    @property
    def partial(self) -> Path:
        """Downloads that are not complete."""
        return self.store / "partial"

    @property
    def variants(self) -> Path:
        """A folder per variant, made of hard links into the store."""
        return self.root / "variants"

    @property
    def slots(self) -> Path:
        """The updater's state, a file per slot, and what in-process users follow."""
        return self.root / "slots"

    @property
    def spool(self) -> Path:
        """Telemetry and events that the broker has not acknowledged."""
        return self.root / "spool"

    @property
    def dropped_counts(self) -> Path:
        """Where in-process users drop their counts."""
        return self.spool / "in"

    @property
    def status(self) -> Path:
        """What `agent status` reads."""
        return self.root / "status.json"

    @property
    def accepted(self) -> Path:
        """The last accepted desired document, as the envelope that was signed."""
        return self.root / "accepted.json"

    @property
    def floor(self) -> Path:
        """The time floor."""
        return self.root / "floor.json"

    @property
    def lock(self) -> Path:
        """Held by the running agent."""
        return self.root / "agent.lock"

    def variant(self, model: str, version: int, variant: str) -> Path:
        """The folder of one variant; the names are legal, so none can climb out."""
        return self.variants / f"{model}@{version}+{variant}"

    def create(self) -> None:
        """Makes the folders, private to their owner."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.tuf, self.store, self.partial, self.variants, self.slots, self.spool, self.dropped_counts):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def require_enrolled(self) -> None:
        """Raises NotFound, saying what to do, when no device was enrolled here."""
        if not self.identity.is_file():
            raise NotFound(f"no device is enrolled in {self.root}: run 'agent enrol LINE --state {self.root}' first")


def write_atomically(path: Path, data: bytes, mode: int = _PRIVATE) -> None:
    """Replaces `path` so that a crash at any moment leaves the old bytes or the new ones, on disk when this returns.

    Raises:
        OSError: no space or no permission; `path` is then as it was.
    """
    write_in_place_of(path, data, mode, durable=True)


def write_in_place_of(path: Path, data: bytes, mode: int = _PRIVATE, *, durable: bool) -> None:
    """As `write_atomically`; without `durable` a power cut may lose the write, which spares flash for what is soon removed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(folder: StateFolder) -> Iterator[None]:
    """Holds the folder for one running agent; the kernel gives it back however the process ends.

    Raises:
        Conflict: another agent runs on it.
    """
    handle = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise Conflict(f"another agent already runs on {folder.root}: stop it first, or use another --state folder") from error
    try:
        yield
    finally:
        os.close(handle)


def is_running(folder: StateFolder) -> bool:
    """Whether an agent runs on the folder now."""
    try:
        with locked(folder):
            return False
    except Conflict:
        return True
    except OSError:
        return False
