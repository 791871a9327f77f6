"""What supervisor and worker say to each other, and what a probe answers.

The two share a socket pair; each message is one frame: four bytes of length (big-endian), then MessagePack. The supervisor
imports this module, so it imports no numpy and no runtime.

    supervisor                                   worker (python -m argosy_agent.worker --fd N --endpoint HOST:PORT)
                       <- Ready | NotReady       once, when the endpoint listens, or cannot
    Load               -> Loaded | LoadFailed    beside the serving model; replaces an earlier candidate of the slot
    Swap               -> Swapped | LoadFailed   the candidate serves from now on; LoadFailed (content None) when there is none
    Discard                                      drops the candidate, also one that is still loading; no answer
    Empty              -> Emptied                the slot serves nothing from now on
    Collect            -> Collected              counts since the last Collect
    Stop               -> Collected              finishes requests in flight, hands over the last counts and ends; so does closing the channel

Loads are worked off one after the other; everything else is answered at once, also while something loads.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Any, Union

import msgspec

from argosy.errors import InvalidInput
from argosy.protocol.desired import SlotContent
from argosy.protocol.telemetry import Sketch

#: The longest frame either side sends or accepts, in bytes.
MAX_FRAME_BYTES = 1 << 20
_LENGTH = struct.Struct(">I")


class _Order(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor to worker."""


class _Answer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Worker to supervisor."""


class Load(_Order, frozen=True, kw_only=True):
    """Load a variant beside what serves.

    Attributes:
        slot: slot name.
        folder: absolute path of the variant's folder (card.json, model file, companions), already verified.
        content: what it holds; echoed in the answer and in counts.
        runtime: name of the runtime, as `argosy_agent.runtimes.available` gives it.
    """

    slot: str
    folder: str
    content: SlotContent
    runtime: str


class Swap(_Order, frozen=True, kw_only=True):
    """Let the loaded candidate of the slot serve."""

    slot: str


class Discard(_Order, frozen=True, kw_only=True):
    """Drop the candidate of the slot, loaded or still loading."""

    slot: str


class Empty(_Order, frozen=True, kw_only=True):
    """Serve nothing in the slot any more; a candidate is dropped too."""

    slot: str


class Collect(_Order, frozen=True, kw_only=True):
    """Hand over the counts since the last Collect."""


class Stop(_Order, frozen=True, kw_only=True):
    """End in good order."""


class Ready(_Answer, frozen=True, kw_only=True):
    """The endpoint listens: its base URL, for example `http://127.0.0.1:40123`, and the worker's process id."""

    endpoint: str
    pid: int


class NotReady(_Answer, frozen=True, kw_only=True):
    """The endpoint cannot listen (port taken, no such address); the worker ends with exit code 5 (`Conflict`) after it."""

    text: str


class Loaded(_Answer, frozen=True, kw_only=True):
    """The candidate is loaded and warm after `load_s` seconds."""

    slot: str
    content: SlotContent
    load_s: float


class LoadFailed(_Answer, frozen=True, kw_only=True):
    """No candidate: `code` is a code of `argosy.protocol.refusals.Refusal`, `text` its sentence with particulars."""

    slot: str
    content: SlotContent | None
    code: str
    text: str


class Swapped(_Answer, frozen=True, kw_only=True):
    """`content` serves since `at` (seconds since 1970)."""

    slot: str
    content: SlotContent
    at: float


class Emptied(_Answer, frozen=True, kw_only=True):
    """The slot serves nothing now."""

    slot: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted for one content of one slot; also the form of files in STATE/spool/in/ (MessagePack).

    Attributes:
        start: seconds since 1970 when the interval began; `duration_s` its length.
        requests: all requests that ended in it, failed ones included; every request is in exactly one Counts.
        errors: the failed ones. A request refused because its input was wrong (4xx) is not counted at all, unless the version
            that served before would have taken it.
        latency: nanoseconds of the successful ones, the runtime's part only.
    """

    slot: str
    content: SlotContent
    start: float
    duration_s: float
    requests: int
    errors: int
    latency: Sketch


class Collected(_Answer, frozen=True, kw_only=True):
    """One entry per slot and stretch of serving one content, where at least one request ended; oldest first per slot."""

    counts: list[Counts]


Order = Union[Load, Swap, Discard, Empty, Collect, Stop]  # noqa: UP007 -- msgspec needs it at run time on Python 3.10
Answer = Union[Ready, NotReady, Loaded, LoadFailed, Swapped, Emptied, Collected]  # noqa: UP007


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """The one line of JSON that a probe prints.

    Attributes:
        ok: the candidate passed; `code` and `text` are then empty.
        code: of `argosy.protocol.refusals.Refusal`.
        text: its sentence with particulars.
        p50_us: median of one run with the first probe's inputs, one thread, warm, in microseconds; 0 when it did not get there.
        memory_bytes: what loading and running the model added to the process's resident memory.
    """

    ok: bool
    code: str = ""
    text: str = ""
    p50_us: float = 0.0
    memory_bytes: int = 0


class Channel:
    """Messages over one end of a connected stream socket. Any thread may send; one thread receives.

    Args:
        sock: the socket; closed by `close`.
        accepts: what the other side may send: `Order` in the worker, `Answer` in the supervisor.
    """

    def __init__(self, sock: socket.socket, accepts: Any) -> None:
        self._sock = sock
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(accepts)
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """For selectors; -1 once closed."""
        return self._sock.fileno()

    def send(self, message: msgspec.Struct) -> None:
        """Sends one message, waiting while the other side does not read.

        Raises:
            OSError: the other side is gone (BrokenPipeError, ConnectionResetError), or a timeout set on the socket passed.
            InvalidInput: the message is longer than MAX_FRAME_BYTES; nothing was sent.
        """
        frame = encode_frame(message)
        with self._sending:
            self._sock.sendall(frame)

    def receive(self) -> Any:
        """The next message; None when the other side has closed between two messages.

        Raises:
            InvalidInput: a length above MAX_FRAME_BYTES, bytes that decode to no accepted message, or an end inside a frame.
                The stream has lost its place then: close it.
            OSError: the connection broke.
        """
        head = self._read(_LENGTH.size)
        if not head:
            return None
        (length,) = _LENGTH.unpack(head)
        if length > MAX_FRAME_BYTES:
            raise InvalidInput(f"a frame of {length} bytes was announced on the channel, at most {MAX_FRAME_BYTES} are allowed")
        body = self._read(length)
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise InvalidInput(f"a frame on the channel does not decode: {error}") from error

    def close(self) -> None:
        """Closes the socket; the other side's `receive` then gives None."""
        with contextlib.suppress(OSError):  # closed by the other side already: there is nothing left to shut down
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def _read(self, size: int) -> bytes:
        """Exactly `size` bytes, or none at all at a clean end before the first."""
        parts = bytearray()
        while len(parts) < size:
            part = self._sock.recv(size - len(parts))
            if not part:
                if parts or size != _LENGTH.size:
                    raise InvalidInput("the channel ended inside a frame")
                return b""
            parts += part
        return bytes(parts)


def encode_frame(message: msgspec.Struct) -> bytes:
    """One message as it goes over the channel.

    Raises:
        InvalidInput: it is longer than MAX_FRAME_BYTES.
    """
    body = msgspec.msgpack.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise InvalidInput(f"a {type(message).__name__} message of {len(body)} bytes is too long for the channel ({MAX_FRAME_BYTES})")
    return _LENGTH.pack(len(body)) + body


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair: the first end for the supervisor, the second (inheritable) for a child started with `pass_fds`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    theirs.set_inheritable(True)
    return ours, theirs
