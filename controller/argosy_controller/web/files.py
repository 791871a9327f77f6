"""Signed metadata and content-addressed files over HTTP."""

from __future__ import annotations

import gzip
from functools import lru_cache

from starlette.responses import FileResponse, Response

from argosy.errors import InvalidInput
from argosy_controller.registry.download import Download

ENCODING_HEADER = "Argosy-Encoding"
_WORTH_COMPRESSING = 1000


def metadata_answer(raw: bytes, accept_encoding: str) -> Response:
    """A TUF metadata file, compressed if the client takes gzip (RFC 9110, 12.5.3)."""
    # timestamp.json changes; every other file has its version in its name.
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if len(raw) > _WORTH_COMPRESSING and "gzip" in accept_encoding:
        return Response(_compressed(raw), 200, {**headers, "Content-Encoding": "gzip"}, "application/json")
    return Response(raw, 200, headers, "application/json")


def target_answer(found: Download, encoding: str) -> Response:
    """A target file. Its bytes never change: a strong ETag (RFC 9110, 8.8.3) of digest and encoding lets If-Range resume it.

    Args:
        found: the signed file.
        encoding: `zstd` takes the compressed form where it is kept; empty or `identity` the plain one.

    Raises:
        InvalidInput: another encoding.
    """
    if encoding not in ("", "identity", "zstd"):
        raise InvalidInput(f"encoding {encoding!r:.40} is not offered: ask for identity or zstd")
    packed = found.zstd_path if encoding == "zstd" else None
    sent = "identity" if packed is None else "zstd"
    headers = {
        "ETag": f'"{found.sha256}-{sent}"',
        "Cache-Control": "public, max-age=31536000, immutable",
        ENCODING_HEADER: sent,
        "X-Content-Type-Options": "nosniff",
    }
    return FileResponse(packed or found.path, headers=headers, media_type="application/octet-stream")


@lru_cache(maxsize=64)
def _compressed(raw: bytes) -> bytes:
    return gzip.compress(raw, mtime=0)
