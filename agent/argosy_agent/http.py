"""HTTPS to the device API: pinned TLS, a proof on each request, bounded answers, slow ones cut off.

One `DeviceHttp` belongs to one thread.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError

from argosy.errors import ArgosyError, Conflict, InvalidInput, NotAllowed, NotFound, Unavailable, Untrusted
from argosy.proof import NONCE_HEADER, prove
from argosy_agent.clock import Clock
from argosy_agent.folder import StateFolder
from argosy_agent.identity import Identity
from argosy_agent.tls import pinned_context, require_current

_CHUNK = 64 * 1024
_MAX_SMALL = 1 << 20
_MAX_PROBLEM = 16 * 1024
_TIMEOUT = urllib3.Timeout(connect=10.0, read=20.0)


class TooSlow(Unavailable):
    """The other side sent bytes, but slower than the least rate: cut off, to be tried again."""


class Answer:
    """A response whose body has not been read.

    Attributes:
        status: HTTP status.
        headers: case-insensitive.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, min_rate: float, window_s: float, monotonic: Callable[[], float]) -> None:
        self._response = response
        self._min_rate = min_rate
        self._window_s = window_s
        self._monotonic = monotonic
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces.

        Raises:
            TooSlow: less than the least rate, averaged over a window (slow retrieval).
            Unavailable: the connection broke.
        """
        began, seen = self._monotonic(), 0
        try:
            while chunk := self._response.read1(_CHUNK):
                yield chunk
                seen += len(chunk)
                elapsed = self._monotonic() - began
                if elapsed >= self._window_s:
                    if seen < self._min_rate * elapsed:
                        raise TooSlow(f"the download came at {seen / elapsed:.0f} bytes/s and was cut off, to be tried again")
                    began, seen = self._monotonic(), 0
        except (HTTPError, OSError) as error:
            raise Unavailable(f"the connection to the controller broke: {_cause(error)}") from error
        finally:
            self.close()

    def body(self, limit: int = _MAX_SMALL) -> bytes:
        """The whole body.

        Raises:
            Untrusted: longer than `limit` bytes (endless data).
        """
        parts = bytearray()
        for chunk in self.chunks():
            parts += chunk
            if len(parts) > limit:
                self._response.close()
                raise Untrusted(f"an answer of the controller is longer than {limit} bytes")
        return bytes(parts)

    def close(self) -> None:
        """Ends the exchange; the connection is used again only when the body was read to its end."""
        self._response.close() if self._response.length_remaining else self._response.release_conn()


class Transport:
    """Connections to one base address through one TLS context; redirects and retries are the caller's business."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        check_peer: Callable[[bytes | None], None] = lambda _: None,
        min_rate: float = 1024.0,
        window_s: float = 20.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = urllib3.PoolManager(num_pools=2, maxsize=1, ssl_context=context, timeout=_TIMEOUT, retries=False)
        self._pool.pool_classes_by_scheme = {**self._pool.pool_classes_by_scheme, "https": _checking_pool(check_peer)}
        self._min_rate = min_rate
        self._window_s = window_s
        self._monotonic = monotonic

    def send(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """One exchange.

        Raises:
            Unavailable: no connection.
            Untrusted: the certificate is not the controller's.
        """
        try:
            response = self._pool.request(
                method,
                url,
                body=body or None,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except Untrusted:
            raise
        except LocationParseError as error:
            raise InvalidInput(f"{url!r:.200} is no address") from error
        except (HTTPError, OSError) as error:
            raise _connection_error(url, error) from error
        return Answer(response, self._min_rate, self._window_s, self._monotonic)

    def close(self) -> None:
        """Closes every connection."""
        self._pool.clear()


def _checking_pool(check_peer: Callable[[bytes | None], None]) -> type[urllib3.HTTPSConnectionPool]:
    class Connection(HTTPSConnection):
        """Judges the peer's certificate by our own clock once the handshake is done."""

        def connect(self) -> None:
            super().connect()
            try:
                check_peer(self.sock.getpeercert(binary_form=True) if isinstance(self.sock, ssl.SSLSocket) else None)
            except Untrusted:
                self.close()
                raise

    class Pool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


def _connection_error(url: str, error: Exception) -> ArgosyError:
    host = urlsplit(url).netloc
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
    if isinstance(reason, urllib3.exceptions.SSLError) or isinstance(reason.__cause__, ssl.SSLCertVerificationError):
        return Untrusted(f"{host} did not prove to be this fleet's controller ({_cause(reason)})")
    return Unavailable(f"the controller at {host} cannot be reached ({_cause(reason)}): check the network and that it runs")


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error)
    return (text.rsplit(": ", 1)[-1] if isinstance(error, HTTPError) else text) or type(error).__name__


class DeviceHttp:
    """Requests as this device: each carries a proof over its own method, path and body, with the server's nonce.

    Args:
        identity: name and signer.
        folder: where the pinned CA lies; read again when it was replaced.
        clock: decides how certificate times are judged.
    """

    def __init__(self, identity: Identity, folder: StateFolder, clock: Clock, min_rate: float = 1024.0, window_s: float = 20.0) -> None:
        self._identity = identity
        self._folder = folder
        self._clock = clock
        self._rate = (min_rate, window_s)
        self._nonce = ""
        self._made_for: tuple[bool, int] | None = None
        self._transport: Transport | None = None

    def request(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """One request; signed again once when the server asks for its newer nonce.

        Raises:
            Unavailable: no connection, or the server sheds load (with `retry_after_s`).
            NotFound, NotAllowed, Conflict, ArgosyError: as the server's problem document says.
        """
        answer = self._once(method, url, body, headers)
        if answer.status == 401 and NONCE_HEADER in answer.headers:
            answer.close()
            answer = self._once(method, url, body, headers)
        if answer.status >= 400:
            raise problem(answer, url)
        return answer

    def close(self) -> None:
        """Closes the connections; the next request opens new ones, with what the folder then holds."""
        if self._transport:
            self._transport.close()
        self._transport = None

    def _once(self, method: str, url: str, body: bytes, headers: Mapping[str, str] | None) -> Answer:
        split = urlsplit(url)
        target = split.path + (f"?{split.query}" if split.query else "")
        proof = prove(self._identity.device, method, target, body, self._nonce, self._identity.signer)
        answer = self._connected().send(method, url, body, {**(headers or {}), "Authorization": proof})
        self._nonce = answer.headers.get(NONCE_HEADER, self._nonce)
        return answer

    def _connected(self) -> Transport:
        """The transport for the clock and the CA as they are now: a renewal may have brought a new CA beside the old one."""
        behind = self._clock.is_behind()
        made_for = (behind, self._folder.ca.stat().st_mtime_ns)
        if self._transport is None or made_for != self._made_for:
            self.close()
            context = pinned_context(self._folder.ca.read_text(), check_time=not behind)
            check = (lambda der: require_current(der, self._clock.floor)) if behind else (lambda _: None)
            self._transport = Transport(context, check_peer=check, min_rate=self._rate[0], window_s=self._rate[1])
            self._made_for = made_for
        return self._transport


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    title: str = ""
    detail: Any = ""


_BY_STATUS: dict[int, type[ArgosyError]] = {
    401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict, 410: NotAllowed, 422: InvalidInput,
    429: Unavailable, 502: Unavailable, 503: Unavailable, 504: Unavailable,
}  # fmt: skip


def problem(answer: Answer, url: str) -> ArgosyError:
    """The error that an answer stands for, with the server's own sentence where it sent one (RFC 9457)."""
    kind = _BY_STATUS.get(answer.status, ArgosyError)
    text = _sentence(answer) or f"the controller at {urlsplit(url).netloc} answered {answer.status}"
    return Unavailable(text, retry_after_s=_retry_after(answer)) if kind is Unavailable else kind(text)


def _sentence(answer: Answer) -> str:
    try:
        found = msgspec.json.decode(answer.body(_MAX_PROBLEM), type=_Problem)
    except (msgspec.DecodeError, ArgosyError, ValueError):
        return ""
    return f"{found.detail or found.title}"[:500]


def _retry_after(answer: Answer) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() else None
