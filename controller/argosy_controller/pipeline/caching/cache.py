"""What was computed before, by the content that it came from: whole builds, and models after each pass.

CACHE/builds/KEY/           a finished bundle
CACHE/models/KEY            weights in the safetensors format
CACHE/search/KEY.jsonl      the journal of a search, which owns its file

Several processes may use a folder at once. Entries appear by a rename and never change; what was not used for longest goes
first when the folder is over its size. A cache that cannot be written costs time, never a build.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from argosy.errors import InvalidInput
from argosy_controller.durable import PARTIAL, write_file

#: Bytes of all entries together.
MOST_BYTES = 5 << 30
#: A single file is read into memory whole.
_LARGEST_FILE = 2 << 30
_KINDS = ("builds", "models", "search")
#: Nobody is still writing a partial entry after this time, seconds.
_STALE_S = 86_400.0

_log = logging.getLogger(__name__)


def default_folder(environment: Mapping[str, str]) -> Path:
    """ARGOSY_CACHE, else `argosy` in XDG_CACHE_HOME or ~/.cache."""
    if environment.get("ARGOSY_CACHE"):
        return Path(environment["ARGOSY_CACHE"]).absolute()
    base = environment.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "argosy"


class Cache:
    """One folder of results. Keys are hex digests; who makes them decides what "the same" means."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        """Makes the folder, for its owner alone.

        Raises:
            InvalidInput: it cannot be made, or others could plant results in it.
        """
        self.folder = folder
        self._most = most_bytes
        try:
            for one in (folder, *(folder / kind for kind in _KINDS)):
                one.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.stat()
        except OSError as error:
            raise InvalidInput(f"cache {folder} cannot be made ({error.strerror}): set ARGOSY_CACHE, or use --no-cache") from error
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
            raise InvalidInput(f"cache {folder} can be written by others, who could plant results: set ARGOSY_CACHE, or use --no-cache")

    @property
    def search(self) -> Path:
        """Where searches keep their journals."""
        return self.folder / "search"

    def read(self, key: str) -> bytes | None:
        """A kept file, None when there is none."""
        path = self.folder / "models" / key
        try:
            if path.stat().st_size > _LARGEST_FILE:
                return None
            os.utime(path)
            return path.read_bytes()
        except OSError:
            return None

    def keep(self, key: str, content: bytes) -> None:
        """Keeps a file."""
        with _at_leisure(f"{key[:12]} was not kept"):
            write_file(self.folder / "models" / key, content)
            self._make_room()

    def read_folder(self, key: str, into: Path) -> bool:
        """Copies a kept folder's content into `into`, an empty folder; False, with nothing copied, when there is none."""
        kept = self.folder / "builds" / key
        with self._locked(fcntl.LOCK_SH):  # nobody takes it away half-way
            if not kept.is_dir():
                return False
            os.utime(kept)
            shutil.copytree(kept, into, dirs_exist_ok=True)
        return True

    def keep_folder(self, key: str, folder: Path) -> None:
        """Keeps a copy of a folder; of two that are kept under one key, the first stays."""
        kept = self.folder / "builds" / key
        with _at_leisure(f"{folder.name} was not kept"):
            staged = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=kept.parent))
            try:
                shutil.copytree(folder, staged, dirs_exist_ok=True)
                if not kept.exists():
                    staged.rename(kept)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
            self._make_room()

    def drop_folder(self, key: str) -> None:
        """Forgets a folder that turned out to be damaged."""
        with self._locked(fcntl.LOCK_EX):
            shutil.rmtree(self.folder / "builds" / key, ignore_errors=True)

    def _make_room(self) -> None:
        with self._locked(fcntl.LOCK_EX):
            entries = sorted(self._entries())
            over = sum(size for _, size, _ in entries) - self._most
            newest = entries[-1][0] if entries else 0.0
            for used, size, path in entries:
                unfinished = path.name.startswith(PARTIAL)
                if unfinished and newest - used < _STALE_S:
                    continue
                if over <= 0 and not unfinished:
                    continue
                _remove(path)
                over -= size

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """When each was last used, its bytes, and where it lies."""
        for kind in _KINDS:
            for path in (self.folder / kind).iterdir():
                try:
                    yield path.stat().st_mtime, _size(path), path
                except FileNotFoundError:
                    continue

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)


@contextmanager
def _at_leisure(what: str) -> Iterator[None]:
    """A full disk or a folder that was taken away must not end a build that is done."""
    try:
        yield
    except OSError as error:
        _log.warning("cache: %s (%s)", what, error)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return path.stat().st_size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
