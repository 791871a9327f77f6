"""The HTTP server of the worker: waitress in front of the Open Inference Protocol."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

import waitress
from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from argosy.errors import Conflict, InvalidInput
from argosy_agent.serving.oip import MAX_BODY_BYTES, Application

_CONNECTIONS = 100
_MAX_HEADER_BYTES = 1 << 16


class _OneSend(WSGITask):  # type: ignore[misc]
    """Sends a response's header and body together: waitress alone makes two packets of them, which wakes a client twice."""

    def write(self, data: bytes) -> None:
        if self.wrote_header or not self.complete:
            super().write(data)
            return
        head = self.build_response_header()
        self.wrote_header: bool = True
        if self.has_body and self.content_length == len(data):
            self.content_bytes_written = len(data)
            self.channel.write_soon(head + data)
        else:
            self.channel.write_soon(head)
            super().write(data)


class _Channel(HTTPChannel):  # type: ignore[misc]
    task_class = _OneSend


class Endpoint:
    """Listens as soon as it is made; `start` begins to answer.

    Args:
        application: what answers.
        host: an address or a name; of a name's addresses the first is taken.
        port: 0 takes a free one.
        threads: how many requests are worked on at once.

    Raises:
        Conflict: the port is taken, or may not be used.
        InvalidInput: there is no such address here.
    """

    def __init__(self, application: Application, host: str, port: int, threads: int = 4) -> None:
        sock = _listening(host, port)
        self._host, self._port = sock.getsockname()[:2]
        self._server: Any = waitress.create_server(
            application,
            sockets=[sock],
            threads=threads,
            connection_limit=_CONNECTIONS,
            max_request_body_size=MAX_BODY_BYTES,
            max_request_header_size=_MAX_HEADER_BYTES,
            expose_tracebacks=False,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        self._server.channel_class = _Channel
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns of each request that waits for a thread

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://[{self._host}]:{self._port}" if ":" in self._host else f"http://{self._host}:{self._port}"

    def start(self) -> None:
        """Answers in a thread of its own, until the process ends or `stop`."""
        threading.Thread(target=self._server.run, name="endpoint", daemon=True).start()

    def stop(self, patience_s: float = 5.0) -> None:
        """Waits for requests in flight, at most `patience_s` seconds; then answers no more."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end and any(_busy(channel) for channel in list(self._server.active_channels.values())):
            time.sleep(0.01)
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=1)
        self._server.close()


def parse_endpoint(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; an IPv6 address in brackets.

    Raises:
        InvalidInput: it does not parse.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
        raise InvalidInput(f"endpoint {text!r:.80} does not parse: write HOST:PORT, for example 127.0.0.1:8080, port 0 for a free one")
    return host.strip("[]"), int(port)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise InvalidInput(f"endpoint host {host!r:.80} is no address of this machine ({error}): use 127.0.0.1") from error
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_CONNECTIONS)
    except OSError as error:
        sock.close()
        raise Conflict(f"cannot listen on {host}:{port} ({error.strerror}): choose another endpoint, or end what uses it") from error
    return sock


def _busy(channel: Any) -> bool:
    return bool(channel.requests) or channel.total_outbufs_len > 0
