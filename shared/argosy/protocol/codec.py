"""Bytes to structs and back, with one clear error for everything that can be wrong."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from argosy.errors import InvalidInput

T = TypeVar("T", bound=msgspec.Struct)

#: Numbers that a device sends. A database column holds 64 bits, and no number from outside may break a whole fleet's bookkeeping.
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
#: Seconds since 1970 or a duration in seconds, from a device: finite, not negative, before the year 5000.
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e11)]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A document with a schema number; subclasses are what goes on the wire."""

    schema: int = 1


def to_json(message: msgspec.Struct) -> bytes:
    """JSON with fields in declaration order; equal messages give equal bytes."""
    return msgspec.json.encode(message)


def from_json(kind: type[T], raw: bytes, newest_schema: int = 1) -> T:
    """Decodes JSON.

    Args:
        kind: the struct that is expected.
        raw: bytes from outside, already bounded in size by the transport.
        newest_schema: the highest schema number understood here.

    Raises:
        InvalidInput: not JSON, a field missing or of the wrong type, or a schema from the future.
    """
    return _decoded(kind, raw, newest_schema, msgspec.json.decode)


def to_msgpack(message: msgspec.Struct) -> bytes:
    """MessagePack, for what is sent often."""
    return msgspec.msgpack.encode(message)


def from_msgpack(kind: type[T], raw: bytes, newest_schema: int = 1) -> T:
    """Decodes MessagePack; as `from_json` otherwise."""
    return _decoded(kind, raw, newest_schema, msgspec.msgpack.decode)


def _decoded(kind: type[T], raw: bytes, newest_schema: int, decode) -> T:  # type: ignore[no-untyped-def]
    try:
        message: T = decode(raw, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"a {kind.__name__.lower()} document does not decode: {error}") from error
    schema = getattr(message, "schema", newest_schema)
    if not 1 <= schema <= newest_schema:
        raise InvalidInput(
            f"a {kind.__name__.lower()} document has schema {schema}, this side understands up to {newest_schema}: upgrade this side"
        )
    return message
