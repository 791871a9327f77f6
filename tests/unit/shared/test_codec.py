from __future__ import annotations

import inspect
import math
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argosy import proof
from argosy.errors import InvalidInput
from argosy.protocol import card, desired, enrolment, refusals, reported, telemetry
from argosy.protocol.codec import Count, Message, Seconds, from_json, from_msgpack, to_json, to_msgpack

STRUCTS = sorted(
    {
        kind
        for module in (card, desired, enrolment, proof, refusals, reported, telemetry)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, msgspec.Struct) and kind is not Message
    },
    key=lambda kind: kind.__name__,
)
BASIC = {
    msgspec.inspect.StrType: st.text(max_size=8),
    msgspec.inspect.BoolType: st.booleans(),
    msgspec.inspect.NoneType: st.none(),
}


def values_of(kind: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    """Values of a msgspec type, built from what msgspec itself knows of it."""
    for basic, strategy in BASIC.items():
        if isinstance(kind, basic):
            return strategy
    match kind:
        case msgspec.inspect.IntType():
            return st.integers(-(1 << 40) if kind.ge is None else kind.ge, 1 << 40 if kind.le is None else kind.le)
        case msgspec.inspect.FloatType():
            return st.floats(kind.ge, kind.le, allow_nan=False, allow_infinity=False)
        case msgspec.inspect.ListType():
            return st.lists(values_of(kind.item_type), max_size=3)
        case msgspec.inspect.TupleType():
            return st.tuples(*map(values_of, kind.item_types))
        case msgspec.inspect.DictType():
            return st.dictionaries(values_of(kind.key_type), values_of(kind.value_type), max_size=3)
        case msgspec.inspect.UnionType():
            return st.one_of(*map(values_of, kind.types))
        case msgspec.inspect.EnumType():
            return st.sampled_from(kind.cls)
        case msgspec.inspect.StructType():
            return structs_of(kind.cls)
    raise AssertionError(f"no strategy for {kind}")


def structs_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    information = msgspec.inspect.type_info(kind)
    assert isinstance(information, msgspec.inspect.StructType)
    fields = {field.name: st.just(1) if field.name == "schema" else values_of(field.type) for field in information.fields}
    return st.builds(kind, **fields)


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_every_struct_reads_back_as_it_was_written(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    message = data.draw(structs_of(kind))
    assert from_json(kind, to_json(message)) == message
    assert from_msgpack(kind, to_msgpack(message)) == message
    assert to_json(from_json(kind, to_json(message))) == to_json(message)


@pytest.mark.parametrize("kind", [kind for kind in STRUCTS if issubclass(kind, Message)], ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_a_field_from_a_newer_sender_is_ignored(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    message = data.draw(structs_of(kind))
    newer = {**msgspec.to_builtins(message), "a_field_of_tomorrow": [1, {"a": None}]}
    assert from_json(kind, msgspec.json.encode(newer)) == message
    assert from_msgpack(kind, msgspec.msgpack.encode(newer)) == message


@pytest.mark.parametrize("schema", [2, 0])
@pytest.mark.parametrize("kind", [kind for kind in STRUCTS if issubclass(kind, Message)], ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_a_schema_that_is_not_known_is_refused_by_its_number(kind: type[msgspec.Struct], schema: int, data: st.DataObject) -> None:
    raw = to_json(msgspec.structs.replace(data.draw(structs_of(kind)), schema=schema))
    with pytest.raises(InvalidInput, match=rf"schema {schema}, this side understands up to 1"):
        from_json(kind, raw)


def test_the_newest_schema_is_the_readers_to_say() -> None:
    raw = to_json(reported.Presence(schema=2, device="pi-7", online=True))
    assert from_json(reported.Presence, raw, newest_schema=2).schema == 2


PRESENCE = {"schema": 1, "device": "pi-7", "online": True}
BAD_PRESENCE = [
    b"",
    b"null",
    b"[]",
    b"{",
    b'"text"',
    b"\xff\xfe",
    b'{"a":' + b"[" * 100_000,
    msgspec.json.encode({"device": "pi-7"}),
    msgspec.json.encode({**PRESENCE, "online": "yes"}),
    msgspec.json.encode({**PRESENCE, "at": -1.0}),
    msgspec.json.encode({**PRESENCE, "schema": "1"}),
    b'{"schema":1,"device":"pi-7","online":true,"at":1e300}',
]


@pytest.mark.parametrize("raw", BAD_PRESENCE, ids=range(len(BAD_PRESENCE)))
def test_what_does_not_decode_is_one_clear_error(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^a presence document"):
        from_json(reported.Presence, raw)


class Numbers(msgspec.Struct):
    count: Count = 0
    seconds: Seconds = 0.0


@pytest.mark.parametrize(
    "fields",
    [
        {"count": -1},
        {"count": 1 << 54},
        {"count": 10**30},
        {"seconds": math.nan},
        {"seconds": math.inf},
        {"seconds": -0.1},
        {"seconds": 1e12},
    ],
)
def test_numbers_that_would_break_the_bookkeeping_are_refused(fields: dict[str, Any]) -> None:
    raw = msgspec.json.encode(fields) if fields.get("count") == 10**30 else msgspec.msgpack.encode(fields)
    decode = from_json if fields.get("count") == 10**30 else from_msgpack
    with pytest.raises(InvalidInput):
        decode(Numbers, raw)


def test_equal_messages_give_equal_bytes() -> None:
    one = reported.Presence(device="pi-7", online=True)
    assert to_json(one) == to_json(reported.Presence(online=True, device="pi-7"))
    assert to_json(one).startswith(b'{"schema":1,"device":"pi-7"')


@pytest.mark.parametrize("kind", [reported.ServingState, reported.Phase])
def test_enums_go_as_their_words(kind: type[Enum]) -> None:
    assert all(msgspec.json.decode(msgspec.json.encode(one)) == one.value for one in kind)
