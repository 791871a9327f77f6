"""Runs the probe process over a candidate, with a deadline; whatever it does, an answer comes out."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from argosy.protocol.refusals import Refusal, refusal_of
from argosy_agent.children import start_python
from argosy_agent.messages import ProbeResult

_MAX_ANSWER = 64 * 1024
_POLL_S = 0.2


def prove(folder: Path, runtime: str, *, python: str, timeout_s: float, wanted: Callable[[], bool]) -> ProbeResult:
    """Proves the candidate in `folder`.

    Args:
        runtime: the one to prove it with.
        python: interpreter of the probe.
        timeout_s: after it the probe is killed.
        wanted: asked a few times a second; once False the probe is ended.

    Returns:
        The probe's own result, or one with PROBE_TIMEOUT or PROBE_CRASHED: a proof that did not run is a failure.
    """
    with tempfile.TemporaryFile() as answer:
        try:
            child = start_python(
                "argosy_agent.probe", [str(folder), "--runtime", runtime], python=python, stdout=answer, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            return _failed(Refusal.PROBE_CRASHED, f"the probe could not be started ({error})")
        code = _wait(child, timeout_s, wanted)
        answer.seek(0)
        return _result(answer.read(_MAX_ANSWER), code, timeout_s)


def _wait(child: subprocess.Popen[bytes], timeout_s: float, wanted: Callable[[], bool]) -> int | None:
    left = timeout_s
    try:
        while left > 0 and wanted():
            try:
                return child.wait(min(_POLL_S, left))
            except subprocess.TimeoutExpired:
                left -= _POLL_S
        return None
    finally:
        child.kill()
        child.wait()


def _result(raw: bytes, code: int | None, timeout_s: float) -> ProbeResult:
    if code is None:
        return _failed(Refusal.PROBE_TIMEOUT, f"more than {timeout_s:g} s")
    if code < 0:
        return _failed(Refusal.PROBE_CRASHED, _signal(-code))
    try:
        result = msgspec.json.decode(raw, type=ProbeResult)
    except (msgspec.DecodeError, ValueError):
        return _failed(Refusal.PROBE_CRASHED, f"it ended with code {code} and without an answer")
    if not result.ok and refusal_of(result.code) is None:
        return _failed(Refusal.PROBE_CRASHED, result.text)
    return result


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _failed(refusal: Refusal, text: str) -> ProbeResult:
    return ProbeResult(ok=False, code=refusal.code, text=f"{refusal.sentence}: {text}")
