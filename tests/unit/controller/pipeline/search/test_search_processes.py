"""Workers that die, parents that die, and the room in which latency is measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from argosy_controller.pipeline.search.pool import ProcessPool
from argosy_controller.pipeline.search.quiet import QuietRoom


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.integration
def test_a_worker_that_dies_fails_its_own_call_and_is_replaced() -> None:
    with ProcessPool(2) as pool:
        dying, other = pool.submit(os._exit, 3), pool.submit(pow, 2, 5)
        with pytest.raises(BrokenProcessPool):
            dying.result(60)
        assert other.result(60) == 32
        assert [pool.submit(abs, -number).result(60) for number in range(3)] == [0, 1, 2]


PARENT = """
import os, sys, time
from argosy_controller.pipeline.search.pool import ProcessPool
if __name__ == "__main__":
    pool = ProcessPool(1)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(600)
"""


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z"
    except OSError:
        return True


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children of the dead on Linux only")
def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert not _is_gone(worker)
        parent.send_signal(signal.SIGKILL)
        _until(lambda: _is_gone(worker))
    finally:
        parent.kill()
        parent.communicate()


def test_who_measures_is_alone_and_the_others_go_on_afterwards(tmp_path: Path) -> None:
    inside: set[str] = set()
    seen: list[set[str]] = []
    done = threading.Event()

    def works() -> None:
        room = QuietRoom(tmp_path)
        with room.working():
            while not done.is_set():
                inside.add("worker")
                inside.discard("worker")  # nothing is under way when it pauses
                room.pause()
        room.close()

    others = [threading.Thread(target=works) for _ in range(3)]
    for one in others:
        one.start()
    room = QuietRoom(tmp_path)
    with room.working():
        for _ in range(20):
            with room.alone():
                seen.append(set(inside))
    done.set()
    for one in others:
        one.join(30)
    room.close()
    assert len(seen) == 20
    assert all("worker" not in one for one in seen)


def test_two_who_measure_take_turns(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def measures() -> None:
        room = QuietRoom(tmp_path)
        with room.working():
            for _ in range(20):
                with room.alone():
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
        room.close()

    both = [threading.Thread(target=measures) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    assert most == [1] * 40
