"""Bytes from anyone: every reader answers with its documented error and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner

from argosy.envelope import seal, unseal
from argosy.errors import InvalidInput, NotAllowed, Untrusted
from argosy.proof import check_proof, claimed_device
from argosy.protocol.card import Card
from argosy.protocol.codec import from_json, from_msgpack
from argosy.protocol.desired import PAYLOAD_TYPE, Desired
from argosy.protocol.enrolment import Enrolled, EnrolRequest, read_line
from argosy.protocol.reported import Event, Presence, Reported
from argosy.protocol.telemetry import Sketch, Window, from_sketch
from argosy.topics import parse_topic
from argosy.trust import Refused, accept_desired

SIGNER = CryptoSigner.generate_ed25519()
KEY = SIGNER.public_key
NESTED = b'{"payload":' + b'{"a":' * 50_000
GENUINE = seal(PAYLOAD_TYPE, b"{}", SIGNER)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
KEYS = st.sampled_from(["payload", "payloadType", "signatures", "sig", "keyid", "schema", "device"]) | st.text(max_size=3)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8)
HOSTILE = st.binary(max_size=200) | JSON.map(msgspec.json.encode) | JSON.map(msgspec.msgpack.encode)
SIGNATURES = st.lists(st.fixed_dictionaries({"keyid": JSON | st.just(KEY.keyid), "sig": JSON}), max_size=2)
ENVELOPES = st.fixed_dictionaries(
    {"payload": JSON, "payloadType": JSON | st.just(PAYLOAD_TYPE), "signatures": JSON | SIGNATURES},
).map(msgspec.json.encode)


def only(error: type[Exception], act: Callable[[], object]) -> None:
    with contextlib.suppress(error):
        act()


@given(HOSTILE | ENVELOPES)
@example(NESTED)
@example(GENUINE)
def test_an_envelope_is_good_or_untrusted(raw: bytes) -> None:
    only(Untrusted, lambda: unseal(PAYLOAD_TYPE, raw, [KEY]))


@given(HOSTILE | ENVELOPES)
@example(NESTED)
@example(GENUINE)
def test_a_desired_document_is_believed_or_refused(raw: bytes) -> None:
    with pytest.raises(Refused):
        accept_desired(raw, keys=[KEY], repository="ab" * 32, device="pi-7", accepted=None, now=0.0)


@given(HOSTILE)
@example(NESTED)
@pytest.mark.parametrize("kind", [Desired, Reported, Presence, Event, Window, Card, EnrolRequest, Enrolled])
def test_a_message_decodes_or_is_invalid_input(kind: type[msgspec.Struct], raw: bytes) -> None:
    only(InvalidInput, lambda: from_json(kind, raw))
    only(InvalidInput, lambda: from_msgpack(kind, raw))


@given(st.text(max_size=100) | st.binary(max_size=100).map(lambda raw: "Argosy " + raw.decode("latin-1")))
def test_a_header_is_a_proof_or_not_allowed(header: str) -> None:
    only(NotAllowed, lambda: claimed_device(header))
    only(NotAllowed, lambda: check_proof(header, method="GET", path="/", body=b"", key=KEY))


@given(st.text(max_size=100) | st.text(max_size=100).map("argosy1.".__add__))
def test_a_pasted_line_is_read_or_invalid_input(text: str) -> None:
    only(InvalidInput, lambda: read_line(text))


@given(st.text(max_size=100))
def test_any_topic_can_be_asked(text: str) -> None:
    parse_topic(text)


INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-20, 20)


@given(INTEGERS, INTEGERS, INTEGERS, st.lists(st.tuples(INTEGERS, INTEGERS), max_size=4))
def test_a_sketch_is_in_range_or_a_value_error(scale: int, zeros: int, total: int, buckets: list[tuple[int, int]]) -> None:
    def ask() -> None:
        histogram = from_sketch(Sketch(scale=scale, zeros=zeros, total=total, buckets=buckets))
        histogram.merge(histogram).quantile(0.99)

    only(ValueError, ask)
