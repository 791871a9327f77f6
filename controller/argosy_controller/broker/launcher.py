"""Becomes another program that dies with the process that started it: `python launcher.py PARENT PROGRAM ARG...`

A broker that outlived a killed controller would hold its port, with rules that nobody updates any more. Linux sends a
signal when the thread that started a child ends (prctl(2), PR_SET_PDEATHSIG); the setting survives execve. Set here,
in the child, rather than in a `preexec_fn`, which may deadlock in a process with threads. Elsewhere than on Linux
nothing is set.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES = 64


def die_with(parent: int) -> None:
    """Arranges that this process gets SIGKILL when its parent ends, however that ends.

    Args:
        parent: the process id that the parent had when it started us.

    Raises:
        SystemExit: it has ended already (then no signal would ever come).
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the process that started this one has ended")


def drop_privileges() -> None:
    """Gives up, for good, whatever root's capabilities this process has: a broker needs none. Also narrows new files to 0600."""
    os.umask(0o077)
    if sys.platform == "linux":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        for capability in range(_CAPABILITIES):
            _prctl(_PR_CAPBSET_DROP, capability)


def _prctl(option: int, value: int) -> None:
    """Failures are left alone: an old kernel, or a process that is not root and so has nothing to drop."""
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def main(arguments: list[str]) -> None:
    """Runs `arguments[1:]` in this process's place, bound to the parent `arguments[0]`."""
    drop_privileges()
    die_with(int(arguments[0]))
    os.execv(arguments[1], arguments[1:])  # noqa: S606 - a program and its arguments, given by our parent


if __name__ == "__main__":
    main(sys.argv[1:])
