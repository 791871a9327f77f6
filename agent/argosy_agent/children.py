"""Child processes that die with their parent and keep within limits.

The child confines *itself*, first thing in its main function and before it opens anything: `preexec_fn` is not safe in a
parent with threads, and the supervisor has some.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_PARENT = "ARGOSY_PARENT"
#: What a child may see of the environment, besides ARGOSY_*; a device key or token in it stays with the supervisor.
_KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
)
_SECRET = ("TOKEN", "PASSWORD", "KEY", "SECRET")


@dataclass(frozen=True)
class Limits:
    """What a child may use. None leaves a limit as it is inherited.

    Attributes:
        memory_bytes: address space, so shared libraries and thread stacks count: leave it 1 GB of room.
        cpu_s: processor time over all its threads, in whole seconds; SIGKILL one second after it.
        open_files: file descriptors.
        nice: added to the priority number, 0 to 19; 19 is the lowest priority.
    """

    memory_bytes: int | None = None
    cpu_s: int | None = None
    open_files: int | None = None
    nice: int = 0


def start_python(
    module: str,
    args: Sequence[str],
    *,
    python: str | Path = sys.executable,
    pass_fds: Sequence[int] = (),
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    extra_env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts `python -m module args` in a process group of its own, without standard input and without secrets.

    The child calls `confine`, which ties it to the *thread* that calls this function: the kernel sends the death signal
    when that thread ends. Call it from a thread that lives as long as the child should.

    Args:
        python: the interpreter; the worker's is a setting.
        pass_fds: descriptors that the child inherits, nothing else is.
        stdout, stderr: as in subprocess; None means inherited.
        extra_env: added to the child's environment.

    Raises:
        OSError: the interpreter does not exist or cannot be run.
    """
    return subprocess.Popen(
        [str(python), "-m", module, *args],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=tuple(pass_fds),
        env={**child_environment(os.environ), **(extra_env or {}), _PARENT: str(os.getpid())},
        start_new_session=True,
    )


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a child gets: what Python needs, and ARGOSY_* without secrets."""
    ours = {name for name in environ if name.startswith("ARGOSY_") and not any(word in name for word in _SECRET)}
    return {name: environ[name] for name in environ if name in _KEPT or name in ours}


def confine(limits: Limits) -> None:
    """Applies limits to this process and ties its life to the parent that started it with `start_python`.

    Raises:
        SystemExit: the parent is gone already.
    """
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_AS, limits.memory_bytes)
    _lower(resource.RLIMIT_NOFILE, limits.open_files)
    if limits.cpu_s is not None:
        _lower(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1)
    if limits.nice:
        os.nice(limits.nice)


def die_with_parent(sig: int = signal.SIGKILL) -> None:
    """Has the kernel send `sig` to this process when its parent dies; a no-op where there is no prctl (macOS).

    Raises:
        SystemExit: the parent named in ARGOSY_PARENT had died before the kernel could be asked.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    expected = os.environ.get(_PARENT, "")
    if expected.isdigit() and os.getppid() != int(expected):
        raise SystemExit(1)


def _lower(what: int, soft: int | None, hard: int | None = None) -> None:
    """Sets a limit without ever asking for more than is inherited, which an unprivileged process may not."""
    if soft is None:
        return
    _, ceiling = resource.getrlimit(what)
    wanted = soft if hard is None else hard
    hard = wanted if ceiling == resource.RLIM_INFINITY else min(wanted, ceiling)
    resource.setrlimit(what, (min(soft, hard), hard))
