"""Content-addressed files and signed metadata over HTTP."""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from argosy.errors import NotFound

ENCODING_HEADER = "Argosy-Encoding"
_METADATA_NAME = re.compile(r"[A-Za-z0-9._%-]{1,200}\.json")


def metadata_answer(folder: Path, name: str, request: Request) -> Response:
    """A TUF metadata file, compressed if the client takes gzip (RFC 9110, 12.5.3).

    Raises:
        NotFound: there is none of that name; names that could leave the folder name none.
    """
    path = folder / name
    if not _METADATA_NAME.fullmatch(name) or not path.is_file():
        raise NotFound(f"there is no metadata file {name!r:.80}")
    # timestamp.json changes; every other file has its version in its name.
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    raw = path.read_bytes()
    if len(raw) > 1000 and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(_compressed(raw), 200, {**headers, "Content-Encoding": "gzip"}, "application/json")
    return Response(raw, 200, headers, "application/json")


@lru_cache(maxsize=64)
def _compressed(raw: bytes) -> bytes:
    return gzip.compress(raw, mtime=0)


def content_answer(path: Path, sha256: str, encoding: str) -> Response:
    """A file whose bytes never change: strong ETag (RFC 9110, 8.8.3) by digest and encoding, so If-Range can resume it."""
    headers = {
        "ETag": f'"{sha256}-{encoding}"',
        "Cache-Control": "public, max-age=31536000, immutable",
        ENCODING_HEADER: encoding,
        "X-Content-Type-Options": "nosniff",
    }
    return FileResponse(path, headers=headers, media_type="application/octet-stream")
