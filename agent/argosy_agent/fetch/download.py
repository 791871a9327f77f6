"""One file from the device API: space first, resumed where it broke off, taken only if it is the one that was signed."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from argosy.errors import ArgosyError, Unavailable
from argosy.protocol.card import FileRef
from argosy.protocol.refusals import Refusal
from argosy.trust import Refused
from argosy_agent import decode
from argosy_agent.children import start_python
from argosy_agent.folder import StateFolder, write_in_place_of
from argosy_agent.http import Answer, DeviceHttp
from argosy_agent.store import Store

_NOTE_EVERY = 1 << 20
_DECODE_TIMEOUT_S = 900.0


class Abandoned(Exception):
    """The download is not wanted any more."""


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """How far a partial download got; beside it, because the file itself is already as long as it will be."""

    etag: str
    done: int
    total: int
    encoding: str


@dataclass(frozen=True)
class Terms:
    """What a download has to keep to.

    Attributes:
        margin_bytes: disk space to leave free.
        wanted: raises Abandoned once nobody wants the file any more; called for every chunk.
        progress: called with the bytes that arrived.
    """

    margin_bytes: int
    wanted: Callable[[], None]
    progress: Callable[[int], None]


def download(http: DeviceHttp, url: str, ref: FileRef, store: Store, folder: StateFolder, terms: Terms) -> None:
    """Brings one file into the store, packed where the server has it smaller.

    A packed form that does not unpack to the signed bytes, or a resumed file that turns out wrong, is fetched once more
    as it is and from its beginning before there is a verdict: an encoding can be clever and is never trusted.

    Raises:
        Refused: WRONG_BYTES (final), NO_SPACE.
        Unavailable: to be tried again; what arrived is kept and the next call goes on from there.
        Abandoned: see Terms.
    """
    if store.has(ref):
        return
    partial = folder.partial / ref.sha256
    resumed = _note(partial) is not None
    encoding = _fetch(http, f"{url}?encoding=zstd", partial, ref, terms)
    if _took(store, partial, ref, encoding):
        return
    if resumed or encoding != "identity":
        encoding = _fetch(http, url, partial, ref, terms)
        if encoding == "identity" and _took(store, partial, ref, encoding):
            return
    raise Refused(Refusal.WRONG_BYTES, f"{ref.name}")


def _took(store: Store, partial: Path, ref: FileRef, encoding: str) -> bool:
    """Whether the complete download became the signed file; its note and packed form are gone either way."""
    plain = partial
    try:
        if encoding == "zstd":
            plain = partial.with_name(f"{partial.name}.plain")
            if not _unpacked(partial, plain, ref.length):
                return False
        return store.take(plain, ref)
    finally:
        for path in (partial, plain, _note_path(partial)):
            path.unlink(missing_ok=True)


def _unpacked(packed: Path, plain: Path, length: int) -> bool:
    child = start_python(
        decode.__name__, ["zstd", str(packed), str(plain), "--length", str(length)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        return child.wait(_DECODE_TIMEOUT_S) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        child.kill()
        child.wait()


def _fetch(http: DeviceHttp, url: str, partial: Path, ref: FileRef, terms: Terms) -> str:
    """Completes the partial file; returns its encoding."""
    note = _note(partial)
    headers = {"Range": f"bytes={note.done}-", "If-Range": note.etag} if note else {}
    try:
        answer = http.request("GET", url, headers=headers)
    except Unavailable:
        raise
    except ArgosyError:
        if note is None:
            raise
        _note_path(partial).unlink(missing_ok=True)  # a range that the server cannot serve: from the beginning
        answer, note = http.request("GET", url), None
    if answer.status != 206 or note is None or not _continues(answer, note):
        note = _begin(answer, partial, ref, terms)
    _receive(answer, partial, note, terms)
    return note.encoding


def _continues(answer: Answer, note: _Note) -> bool:
    """Whether a partial answer begins exactly where we stopped, in the same bytes."""
    rest = answer.headers.get("Content-Range", "")
    return rest == f"bytes {note.done}-{note.total - 1}/{note.total}"


def _begin(answer: Answer, partial: Path, ref: FileRef, terms: Terms) -> _Note:
    if answer.status != 200:
        answer.close()
        raise Unavailable(f"the controller answered {answer.status} where a whole file was asked for")
    encoding = "zstd" if answer.headers.get("Argosy-Encoding") == "zstd" else "identity"
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isascii() and length.isdigit() else -1
    # Endless data: the signed length bounds both forms, since the packed one is only sent where it is smaller.
    if total < 0 or total > ref.length or (encoding == "identity" and total != ref.length):
        answer.close()
        raise Refused(Refusal.WRONG_BYTES, f"{ref.name} has {length or 'no announced'} bytes instead of {ref.length}")
    note = _Note(etag=answer.headers.get("ETag", ""), done=0, total=total, encoding=encoding)
    try:
        _reserve(partial, total, total + (ref.length if encoding == "zstd" else 0) + terms.margin_bytes)
    except BaseException:
        answer.close()
        raise
    return note


def _reserve(path: Path, length: int, needed: int) -> None:
    """Takes the disk space before the first byte, so a full disk is known now and not in the middle.

    Raises:
        Refused: NO_SPACE; nothing is left behind.
    """
    path.unlink(missing_ok=True)
    _note_path(path).unlink(missing_ok=True)
    free = free_bytes(path.parent)
    if free < needed:
        raise Refused(Refusal.NO_SPACE, f"{needed} bytes are needed, {free} are free")
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, length)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise Refused(Refusal.NO_SPACE, f"{length} bytes could not be reserved ({error.strerror})") from error


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write on the folder's disk."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def _receive(answer: Answer, partial: Path, note: _Note, terms: Terms) -> None:
    done, noted = note.done, note.done
    terms.progress(done)
    try:
        with partial.open("r+b") as file:
            file.seek(done)
            for chunk in answer.chunks():
                terms.wanted()
                done += len(chunk)
                if done > note.total:
                    raise Refused(Refusal.WRONG_BYTES, f"more than the announced {note.total} bytes came")
                file.write(chunk)
                terms.progress(len(chunk))
                if done - noted >= _NOTE_EVERY:
                    file.flush()
                    noted = done
                    _keep_note(partial, note, done)
    finally:
        answer.close()
        if done <= note.total:
            _keep_note(partial, note, done)
    if done != note.total:
        raise Unavailable(f"the download broke off after {done} of {note.total} bytes, to be resumed")


def _note_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.note")


def _keep_note(partial: Path, note: _Note, done: int) -> None:
    if not note.etag:  # without a validator a resumed file could be a mixture
        return
    with contextlib.suppress(OSError):
        write_in_place_of(_note_path(partial), msgspec.json.encode(msgspec.structs.replace(note, done=done)), durable=False)


def _note(partial: Path) -> _Note | None:
    try:
        note = msgspec.json.decode(_note_path(partial).read_bytes(), type=_Note)
        return note if 0 < note.done < note.total == partial.stat().st_size else None
    except (OSError, msgspec.DecodeError):
        return None
