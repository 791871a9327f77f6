"""Runs a job in a child process with limits, and turns whatever happens to it into a folder or one clear error."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from argosy.errors import ArgosyError, Conflict, GoalsNotMet, InvalidInput, NotFound, Unavailable
from argosy_controller.pipeline.processes.limits import Limits
from argosy_controller.pipeline.processes.messages import Failed, Finished, ImportRequest, Progress, Reply, Request

_LONGEST_LINE = 1 << 20
#: How often a stop is looked for and the log's size, seconds.
_PULSE_S = 0.2
_ERRORS = {kind.kind: kind for kind in (ArgosyError, InvalidInput, NotFound, Conflict, Unavailable, GoalsNotMet)}


class Stopped(ArgosyError):
    """A job was stopped from outside."""


@dataclass(frozen=True)
class Surroundings:
    """What a job's process finds around it; as it stands, what its parent has.

    Attributes:
        environment: its variables, None for the parent's.
        folder: its working directory, None for the parent's.
        log: file that gets what it prints; None keeps the last words only.
        log_bytes: a longer log begins anew.
        stop: set by another thread, it ends the job.
    """

    environment: Mapping[str, str] | None = None
    folder: Path | None = None
    log: Path | None = None
    log_bytes: int = 16 << 20
    stop: threading.Event | None = None


def run_job(
    request: Request, out: Path, limits: Limits, on_progress: Callable[[Progress], None], around: Surroundings | None = None
) -> Path:
    """Runs one job and moves its files to `out` when it is done.

    The child writes into a folder beside `out`, so `out` is complete or untouched: also when either process is killed.

    Raises:
        ArgosyError: what the child reported, or how it died.
        Stopped: `around.stop` was set; no process of the job is left.
    """
    _check_empty(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _attend(msgspec.structs.replace(request, out=str(staging)), limits, on_progress, around or Surroundings())
    except GoalsNotMet:
        staging.rename(out)
        raise
    else:
        staging.rename(out)
        return out
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_empty(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise Conflict(f"{out} is a file: name a folder for the result")
    if out.is_dir() and any(out.iterdir()):
        raise Conflict(f"folder {out} holds files already: name a new or an empty folder for the result")


def _attend(request: Request, limits: Limits, on_progress: Callable[[Progress], None], around: Surroundings) -> None:
    with _log_file(around.log) as log:
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb", buffering=0) as replies:
            process = _start(writer, log.fileno(), request, limits, around)
            deadline = time.monotonic() + limits.wall_s
            try:
                end = _last_reply(replies.fileno(), deadline, on_progress, lambda: _pulse(log, around))
                late = time.monotonic() >= deadline
            except BaseException:
                _kill(process)
                raise
            finally:
                _end(process)
        if not isinstance(end, Finished):
            raise _as_error(end, process.returncode, request, limits, _last_line(log.fileno()), late)


@contextmanager
def _log_file(path: Path | None) -> Iterator[BinaryIO]:
    """Opened to append: what is written after a truncation lands at the beginning."""
    if path is None:
        with tempfile.TemporaryFile() as log:
            yield log
    else:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "r+b", buffering=0) as log:
            yield log


def _pulse(log: BinaryIO, around: Surroundings) -> None:
    if around.stop is not None and around.stop.is_set():
        raise Stopped("the job was stopped")
    if os.fstat(log.fileno()).st_size > around.log_bytes:
        os.ftruncate(log.fileno(), 0)


def _start(writer: int, log: int, request: Request, limits: Limits, around: Surroundings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "argosy_controller.pipeline.processes.job", str(writer)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            start_new_session=True,
            env=None if around.environment is None else dict(around.environment),
            cwd=around.folder,
        )
    finally:
        os.close(writer)
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as pipe:  # a child that dies at once is told of when it is awaited
        pipe.write(msgspec.json.encode((request, limits)))
    return process


def _last_reply(fd: int, deadline: float, on_progress: Callable[[Progress], None], pulse: Callable[[], None]) -> Finished | Failed | None:
    """The reply that ends the job; None when the child went silent for good without one."""
    for line in _lines(fd, deadline, pulse):
        try:
            reply: Reply = msgspec.json.decode(line, type=Reply)
        except msgspec.DecodeError:
            return None  # a child that a hostile model took over may write anything
        if not isinstance(reply, Progress):
            return reply
        on_progress(reply)
    return None


def _lines(fd: int, deadline: float, pulse: Callable[[], None]) -> Iterator[bytes]:
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            pulse()
            if not selector.select(min(left, _PULSE_S)):
                continue
            chunk = os.read(fd, 65536)
            *complete, pending = (pending + chunk).split(b"\n")
            yield from complete
            if not chunk or len(pending) > _LONGEST_LINE:
                return


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a child that is not wanted any more, with its whole group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Waits for a child that is leaving by itself, then ends its whole group: nothing that it started stays behind."""
    try:
        process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _kill(process)
        process.wait()


def _last_line(log: int) -> str:
    size = os.fstat(log).st_size
    text = os.pread(log, 4096, max(0, size - 4096)).decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _as_error(end: Failed | None, code: int, request: Request, limits: Limits, said: str, late: bool) -> ArgosyError:
    if isinstance(end, Failed):
        return _ERRORS.get(end.kind, ArgosyError)(end.text)
    return died(not isinstance(request, ImportRequest), code, limits, said, late)


def died(building: bool, code: int, limits: Limits, said: str, late: bool | None = None) -> ArgosyError:
    """The error for a child that ended, or was ended, without saying how.

    Args:
        building: a build, which runs the user's own code; else an import, where the file is to blame.
        code: the process's return code, negative for a signal.
        said: the last line that it printed.
        late: its time on the clock was over; None when nobody looked.
    """
    last = f" Its last words: {said}" if said else ""
    if code == -signal.SIGKILL:
        why = _killed(limits, late)
    elif code == -signal.SIGXCPU:
        why = f"was ended: it used more than {limits.cpu_s} s of processor time"
    else:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        why = f"crashed ({how})"
    if building:
        return ArgosyError(f"the build's process {why}; nothing was written.{last}")
    return InvalidInput(f"the process that read the model file {why}: the file is damaged, or is no model that can be served.{last}")


def _killed(limits: Limits, late: bool | None) -> str:
    if late is False:
        return "was killed: the system ran out of memory, or somebody ended it"
    return f"was ended: it ran longer than {limits.wall_s:.0f} s" + ("" if late else ", or the system ran out of memory")
