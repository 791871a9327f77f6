"""multipart/form-data (RFC 7578) from files on disk, streamed with a known length: a bundle never sits in memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_PIECE = 256 << 10


class Multipart:
    """A request body; part names are the files' paths inside the bundle."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._boundary = secrets.token_hex(16)
        self._parts = [(self._head(name), path, path.stat().st_size) for name, path in files.items()]
        self._tail = f"--{self._boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={self._boundary}"
        self.length = sum(len(head) + size + 2 for head, _, size in self._parts) + len(self._tail)

    def pieces(self, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
        """The body, piece by piece."""
        for head, path, _ in self._parts:
            yield head
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
                    on_bytes(len(piece))
            yield b"\r\n"
        yield self._tail

    def _head(self, name: str) -> bytes:
        # Names come from a checked bundle: letters, digits, '.', '_', '-' and '/', so nothing needs quoting.
        return (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
