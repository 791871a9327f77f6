"""What a build left: its report, and variants that wait for their publisher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from argosy.errors import NotFound
from argosy_controller.jobs import queue
from argosy_controller.jobs.places import Place
from argosy_controller.parts import Parts

_MAX_REPORT_BYTES = 4 << 20


def report_document(parts: Parts, number: int) -> dict[str, Any]:
    """A build's report.json.

    Raises:
        NotFound: there is no such build, or it has no report.
    """
    raw = _read(_place(parts, number).report, _MAX_REPORT_BYTES, number)
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotFound(f"the report of build {number} is damaged: build it again") from error


def result_files(parts: Parts, number: int) -> dict[str, int]:
    """Path and bytes of every file of a build's result.

    Raises:
        NotFound: there is no such build.
    """
    out = _place(parts, number).out
    found = (one for one in sorted(out.rglob("*")) if one.is_file() and not one.is_symlink())
    return {str(one.relative_to(out)): one.stat().st_size for one in found}


def result_file(parts: Parts, number: int, path: str) -> Path:
    """One of `result_files`.

    Raises:
        NotFound: it is none of them.
    """
    if path not in result_files(parts, number):
        raise NotFound(f"build {number} left no file {path!r:.120}: see 'controller builds show {number}'")
    return _place(parts, number).out / path


def _place(parts: Parts, number: int) -> Place:
    with parts.database.read() as session:
        queue.get(session, number)
    return parts.builds.places.of(number)


def _read(path: Path, limit: int, number: int) -> bytes:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > limit:
        raise NotFound(f"build {number} has no report: it has not ended, or it failed before there was anything to tell")
    return path.read_bytes()
