"""The agent's settings: read once at the edge, from STATE/agent.toml and the command line, which wins."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from argosy.errors import InvalidInput

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting has a default that works.

    Attributes:
        endpoint: HOST:PORT where models are served; port 0 takes a free one.
        runtimes: runtimes to use, in order of preference; empty means all that are installed.
        precisions: accepted precisions (`fp32`, `fp16`, `int8`); empty means any.
        telemetry_interval_s: length of a telemetry window, seconds.
        poll_interval_s: how often the desired document is read over HTTPS as well, seconds.
        spread_s: an update starts up to this many seconds after it is desired, by a share that is fixed per device.
        probe_timeout_s: how long a candidate may take to be proved, seconds.
        min_rate: slowest download that is not cut off, bytes per second, averaged over `rate_window_s` seconds.
        margin_bytes: disk space that downloads leave free.
        worker_python: interpreter of the serving worker and of probes; empty means the agent's own.
        spool_files: most windows and events that are kept for a broker which does not answer.
    """

    endpoint: str = "127.0.0.1:0"
    runtimes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    telemetry_interval_s: float = 10.0
    poll_interval_s: float = 900.0
    spread_s: float = 2.0
    probe_timeout_s: float = 120.0
    min_rate: float = 1024.0
    rate_window_s: float = 20.0
    margin_bytes: int = 8 << 20
    worker_python: str = ""
    spool_files: int = 2000

    @property
    def python(self) -> str:
        """The interpreter for worker and probe."""
        return self.worker_python or sys.executable


_LEAST = {
    "telemetry_interval_s": 0.5,
    "poll_interval_s": 1.0,
    "spread_s": 0.0,
    "probe_timeout_s": 1.0,
    "min_rate": 0.0,
    "rate_window_s": 0.1,
    "margin_bytes": 0,
    "spool_files": 10,
}


def load_settings(path: Path, overrides: Mapping[str, Any]) -> Settings:
    """Settings from a TOML file, which may be missing, with the given ones in their place.

    Args:
        path: STATE/agent.toml.
        overrides: from the command line; values of None count as not given.

    Raises:
        InvalidInput: the file does not parse, or a setting is unknown, of the wrong type or out of range.
    """
    values = {**_from_file(path), **{name: value for name, value in overrides.items() if value is not None}}
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"a setting is not usable: {error} (look at {path} and at the options of 'agent run')") from error
    for name, least in _LEAST.items():
        if getattr(settings, name) < least:
            raise InvalidInput(f"setting {name} is {getattr(settings, name)}, it must be at least {least}")
    parse_endpoint(settings.endpoint)
    return settings


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path} is no readable TOML: {error}") from error


def parse_endpoint(text: str) -> tuple[str, int]:
    """Splits HOST:PORT; an IPv6 host stands in brackets.

    Raises:
        InvalidInput: there is no port, or it is not within 0 to 65535.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidInput(f"endpoint {text!r:.80} is not usable: write HOST:PORT, for example 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def parse_duration(text: str) -> float:
    """Seconds from `10`, `10s`, `500ms`, `15m` or `2h`.

    Raises:
        InvalidInput: it does not parse.
    """
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    unit = next((u for u in ("ms", "s", "m", "h") if text.endswith(u)), "")
    try:
        return float(text[: len(text) - len(unit)]) * units.get(unit, 1.0)
    except ValueError as error:
        raise InvalidInput(f"{text!r:.40} is no duration: write for example 10s, 500ms or 15m") from error
