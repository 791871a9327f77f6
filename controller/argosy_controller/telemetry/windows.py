"""Telemetry windows as they are kept: each once, whatever the network repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlmodel import Session

from argosy.protocol.telemetry import Sketch, Window
from argosy_controller.db.tables import WindowRow
from argosy_controller.fleet.once import insert_once

_ENCODE = msgspec.msgpack.Encoder()
_DECODE = msgspec.msgpack.Decoder(Sketch)
#: A device's clock may run this far ahead before its word is replaced by the time of arrival, in seconds.
_AHEAD_S = 300.0
#: And a window may be spooled this long, in seconds.
_OLDEST_S = 400 * 86400.0


def keep_windows(session: Session, windows: Sequence[tuple[Window, float]]) -> None:
    """Stores checked windows with their times of arrival; one that is already there (device, boot, sequence) is skipped."""
    insert_once(session, WindowRow, [_values(window, arrived) for window, arrived in windows])


def sketch_of(stored: bytes) -> Sketch:
    """The sketch in a WindowRow's `latency`."""
    return _DECODE.decode(stored)


def _values(window: Window, arrived: float) -> Mapping[str, Any]:
    return {
        "device": window.device,
        "boot": window.boot,
        "sequence": window.sequence,
        "slot": window.slot,
        "model": window.model,
        "version": window.version,
        "variant": window.variant,
        "start": _plausible(window.start, window.duration_s, arrived),
        "duration_s": window.duration_s,
        "requests": window.requests,
        "errors": window.errors,
        "latency": _ENCODE.encode(window.latency),
        "memory_bytes": window.resources.memory_bytes,
        "cpu_s": window.resources.cpu_s,
    }


def _plausible(start: float, duration_s: float, arrived: float) -> float:
    """A device without a clock still counts: its window is placed where it arrived."""
    return start if arrived - _OLDEST_S <= start <= arrived + _AHEAD_S else arrived - duration_s
