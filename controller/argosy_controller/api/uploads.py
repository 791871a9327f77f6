"""A bundle on its way in: multipart parts become files in a folder of their own, streamed, bounded, names checked.

The names decide where bytes are written, so each kind of upload allows few shapes; of bundles: `report.json` and
`variants/NAME/FILE`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from argosy.errors import InvalidInput

MAX_FILES = 2000
_PLACE = re.compile(r"report\.json|variants/[a-z0-9][a-z0-9._-]{0,62}/[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MAX_HEADER = 1000


@dataclass
class _Incoming:
    """Callbacks of the parser; owns the file that is being written."""

    folder: Path
    max_file_bytes: int
    allowed: re.Pattern[str]
    expected: str
    names: set[str] = field(default_factory=set)
    file: BinaryIO | None = None
    left: int = 0
    header: tuple[bytes, bytes] = (b"", b"")
    disposition: bytes = b""
    complete: bool = False

    def on_part_begin(self) -> None:
        """A part begins."""
        self.header, self.disposition = (b"", b""), b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header name."""
        self.header = self._grown(self.header[0] + data[start:end], self.header[1])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header value."""
        self.header = self._grown(self.header[0], self.header[1] + data[start:end])

    def _grown(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        if len(name) + len(value) > _MAX_HEADER:
            raise InvalidInput("a part of the upload has a header over 1000 bytes: upload with 'controller build' or 'models import'")
        return name, value

    def on_header_end(self) -> None:
        """A header is complete."""
        if self.header[0].lower() == b"content-disposition":
            self.disposition = self.header[1]
        self.header = (b"", b"")

    def on_headers_finished(self) -> None:
        """Opens the file that the part names, if it is one that a bundle has."""
        _, options = parse_options_header(self.disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if not self.allowed.fullmatch(name) or ".." in name or name in self.names or len(self.names) >= MAX_FILES:
            raise InvalidInput(f"an upload part {name!r:.120} is not expected: parts are {self.expected}, each once")
        self.names.add(name)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file, self.left = path.open("xb"), self.max_file_bytes

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """A piece of the file."""
        assert self.file is not None
        self.left -= end - start
        if self.left < 0:
            raise InvalidInput(f"a file of the upload is over {self.max_file_bytes} bytes: make it smaller")
        self.file.write(data[start:end])

    def on_part_end(self) -> None:
        """The file is complete."""
        self.close()

    def on_end(self) -> None:
        """The last boundary was seen."""
        self.complete = True

    def close(self) -> None:
        """Closes the file in hand."""
        if self.file is not None:
            self.file.close()
            self.file = None


async def receive_bundle(content_type: str, body: AsyncIterator[bytes], folder: Path, max_file_bytes: int) -> None:
    """Writes the parts of a bundle below `folder`; arguments and errors as `receive_files`."""
    await receive_files(content_type, body, folder, max_file_bytes, _PLACE, "report.json and variants/NAME/FILE")


async def receive_files(
    content_type: str, body: AsyncIterator[bytes], folder: Path, max_file_bytes: int, allowed: re.Pattern[str], expected: str
) -> None:
    """Writes the parts of a multipart/form-data body below `folder`.

    Args:
        content_type: of the request.
        body: its pieces; the total is bounded by the caller.
        folder: empty, of this upload alone.
        max_file_bytes: of each file.
        allowed: names that parts may have; no name may lead out of `folder`.
        expected: the same in words.

    Raises:
        InvalidInput: it is no such body, or has a part that does not belong there. Partial files are left in `folder`.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InvalidInput("the upload is no multipart/form-data: use the command line, 'controller build' or 'controller models import'")
    incoming = _Incoming(folder, max_file_bytes, allowed, expected)
    callbacks = {name: getattr(incoming, name) for name in dir(incoming) if name.startswith("on_")}
    try:
        parser = MultipartParser(options[b"boundary"], callbacks)  # type: ignore[arg-type]
        async for piece in body:
            parser.write(piece)
        parser.finalize()
    except MultipartParseError as error:
        raise InvalidInput(f"the upload is damaged ({error}): try again") from error
    finally:
        incoming.close()
    if not incoming.complete:
        raise InvalidInput("the upload ended too early: try again")
