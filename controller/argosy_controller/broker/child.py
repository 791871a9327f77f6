"""A broker that is a child process: started, watched, started again, stopped."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from argosy.errors import Conflict, Unavailable
from argosy_controller.broker import launcher as launching
from argosy_controller.broker.running import RunningBroker

_LOG = logging.getLogger(__name__)
_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 4.0
_LOG_LIMIT_BYTES = 16 << 20


class ChildBroker(RunningBroker):
    """Keeps one child process running; subclasses say which program, and how it learns of revocations."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.address = (host, port)
        self.folder = folder
        self.log = folder / "broker.log"
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        # The child dies with the *thread* that started it (prctl), so one thread that lives as long as we do starts all of them.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="broker-starter")

    @abstractmethod
    def program(self) -> list[str]:
        """Writes what the program reads, and returns its command line; its working folder is `folder`."""

    def start(self) -> None:
        """Starts the child and returns when its port answers.

        Raises:
            Conflict: the port is taken.
            Unavailable: it ends at once, or does not answer in time.
        """
        with self._lock:
            self._end_process()
            check_port_free(self.address)
            self._bound_log()
            command = self.program()
            self._process = self._starter.submit(self._spawn, command).result()
            try:
                self._await_answer(self._process)
            except BaseException:
                self._end_process()
                raise

    def alive(self) -> bool:
        process = self._process
        return process is not None and process.poll() is None

    def ensure(self) -> bool:
        with self._lock:
            if self._stopped or self.alive():
                self._bound_log()
                return False
            _LOG.warning("the %s broker ended by itself: starting it again (its log is %s)", self.kind, self.log)
            self.start()
            return True

    def restart(self) -> None:
        """Stops the child if it runs, and starts it again."""
        with self._lock:
            self._end_process()
            self.start()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._end_process()
            self._starter.shutdown(wait=False)

    def process_id(self) -> int | None:
        """Of the child, while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def write(self, name: str, text: str) -> None:
        """Writes a file of the folder, readable by us alone."""
        with os.fdopen(os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)

    def ready(self) -> bool:
        """Whether the child answers: its port accepts connections."""
        return answers(self.address, 0.5)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        launcher = [sys.executable, "-I", "-S", launching.__file__, str(os.getpid())]  # as a file, it imports nothing else of ours
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(os.open(self.log, flags, 0o600), "ab") as log:
            return subprocess.Popen(
                [*launcher, *command],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the controller, which stops its broker in order
            )

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Unavailable(f"the {self.kind} broker ended at once ({self._last_words()}): its log is {self.log}")
            if self.ready():
                return
            time.sleep(0.02)
        raise Unavailable(
            f"the {self.kind} broker does not answer on {show(self.address)} after {_START_TIMEOUT_S:.0f} s: its log is {self.log}"
        )

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log.read_bytes()[-2000:].decode(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][-300:]
        return "it said nothing"

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _bound_log(self) -> None:
        """Empties a log that has grown too long; it is open for appending, so this works while the child writes."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > _LOG_LIMIT_BYTES:
                os.truncate(self.log, 0)


def show(address: tuple[str, int]) -> str:
    """`HOST:PORT`, as people write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def answers(address: tuple[str, int], timeout_s: float) -> bool:
    """Whether something accepts connections there; a listener on all addresses is asked on loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address[0], address[0])  # noqa: S104
    try:
        socket.create_connection((host, address[1]), timeout_s).close()
    except OSError:
        return False
    return True


def check_port_free(address: tuple[str, int]) -> None:
    """Raises Conflict when something listens there already, Unavailable when the address cannot be listened on at all."""
    try:
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {show(address)} for the broker is taken by another program: stop that program, or choose another port"
            ) from error
        raise Unavailable(
            f"the broker cannot listen on {show(address)} ({error.strerror or error}): choose an address of this machine"
        ) from error
