"""Writes that survive a crash: after one of these returns the content is on the disk, and at no moment is half of it visible."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

#: Unfinished files begin with this; nobody reads them, and whoever owns a folder may remove them when it opens it.
PARTIAL = ".partial-"


def write_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Creates or replaces `path`.

    Args:
        path: its folder exists.
        content: everything.
        mode: permissions, set before the first byte is there.
    """
    partial = path.parent / f"{PARTIAL}{path.name}-{secrets.token_hex(4)}"
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable (a rename is on the disk only after this)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_partials(folder: Path) -> None:
    """Removes what a crash left unfinished in `folder`; only for the folder's single owner."""
    for entry in folder.glob(f"{PARTIAL}*"):
        entry.unlink(missing_ok=True)
