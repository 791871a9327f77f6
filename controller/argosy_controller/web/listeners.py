"""Sockets and servers: bound before anything is told to anybody, so that a taken port is one clear sentence."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from argosy.errors import Conflict, InvalidInput, Unavailable

_BACKLOG = 1024
#: How long requests under way may take at the end; SIGTERM must end everything within 10 s.
_GRACE_S = 3


def bind(host: str, port: int, what: str, option: str) -> socket.socket:
    """Takes a port.

    Args:
        host: address to listen on.
        port: 0 for a free one.
        what: for the message, for example "the device API".
        option: the flag with which to choose another port.

    Raises:
        Conflict: it is taken.
        InvalidInput: this machine has no such address, or the port may not be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen(_BACKLOG)
    except OSError as error:
        taken.close()
        if error.errno in (98, 48):  # EADDRINUSE on Linux and macOS
            raise Conflict(f"port {port} for {what} is taken: stop what listens there, or choose another with {option}") from error
        raise InvalidInput(f"{what} cannot listen on {host}:{port} ({error.strerror}): choose another with {option}") from error
    taken.setblocking(False)
    return taken


def free_port(host: str) -> int:
    """A port that is free now, for a listener that is another program's."""
    with bind(host, 0, "a listener", "another port") as found:
        return int(found.getsockname()[1])


def check_free(host: str, port: int, what: str, option: str) -> None:
    """Checks that a port can be taken, for a listener that is another program's.

    Raises:
        Conflict: it is taken.
        InvalidInput: it may not be used.
    """
    bind(host, port, what, option).close()


@dataclass(frozen=True)
class Tls:
    """PEM files of a TLS listener."""

    certificate: Path
    key: Path


class Listener(uvicorn.Server):
    """One HTTP server on a socket that is bound already; signals are the owner's business."""

    def __init__(self, app: ASGIApp, bound: socket.socket, tls: Tls | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                timeout_keep_alive=30,
                timeout_graceful_shutdown=_GRACE_S,
                h11_max_incomplete_event_size=32 << 10,
                ssl_certfile=str(tls.certificate) if tls else None,
                ssl_keyfile=str(tls.key) if tls else None,
            )
        )
        self._bound = bound
        self._tls = tls
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone."""
        yield

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serves until the event is set, then lets requests under way finish for a few seconds.

        Raises:
            Unavailable: the server ended by itself.
        """
        serving = asyncio.create_task(self.serve([self._bound]))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not stop.is_set():
            raise Unavailable("a listener of the controller ended by itself: its log says why, start the controller again")
        self.should_exit = True
        await serving

    def reload_certificate(self) -> None:
        """Takes a renewed certificate for new connections; those that are open keep theirs."""
        context = self.config.ssl
        if self._tls is not None and isinstance(context, ssl.SSLContext):
            context.load_cert_chain(self._tls.certificate, self._tls.key)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Never called: see capture_signals."""
