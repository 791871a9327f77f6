"""A process pool that a dead worker does not break: each worker is a pool of its own, and is replaced when it dies.

`concurrent.futures.ProcessPoolExecutor` gives up all its calls when one process dies; here only the call fails that the
process was running. Behind the same `Executor` interface, so that a cluster's executor can stand in its place.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_PR_SET_PDEATHSIG = 1


class ProcessPool(Executor):
    """Spawned processes, each with one thread for torch; the kernel ends them when this process goes.

    The thread that calls `submit` must live as long as the pool: the kernel takes the thread that started a process for its
    parent. A call whose process dies raises `BrokenProcessPool`.
    """

    def __init__(self, workers: int) -> None:
        self._workers = [_Worker() for _ in range(workers)]

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Gives the call to the worker with the fewest calls."""
        worker = min(self._workers, key=lambda one: one.calls)
        return worker.submit(lambda pool: pool.submit(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Waits for the calls that run."""
        for worker in self._workers:
            worker.pool.shutdown(wait=False, cancel_futures=cancel_futures)
        for worker in self._workers if wait else ():
            worker.pool.shutdown(wait=True)


class _Worker:
    """One process, and the next one when it dies."""

    def __init__(self) -> None:
        self.pool = _pool_of_one()
        self._open: set[Future[Any]] = set()

    @property
    def calls(self) -> int:
        return len(self._open)

    def submit(self, call: Callable[[ProcessPoolExecutor], Future[T]]) -> Future[T]:
        try:
            future = call(self.pool)
        except BrokenProcessPool:
            self.pool.shutdown(wait=False)
            self.pool = _pool_of_one()
            future = call(self.pool)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future


def _pool_of_one() -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=_prepare, initargs=(os.getpid(),))


def _prepare(parent: int) -> None:
    """In the new process, before its first call."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    import torch

    torch.set_num_threads(1)
