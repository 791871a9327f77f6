"""Bytes that older versions wrote must keep decoding to what they meant. Files are added here, never changed or removed.

A file is named KIND.WHAT.json or .msgpack; beside it KIND.WHAT.meaning.json says what a reader must find in it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from argosy import proof
from argosy.protocol import card, desired, enrolment, reported, telemetry
from argosy.protocol.codec import from_json, from_msgpack

CORPUS = Path(__file__).parent / "corpus"
KINDS: dict[str, type[msgspec.Struct]] = {
    "card": card.Card,
    "desired": desired.Desired,
    "enrolled": enrolment.Enrolled,
    "enrol-request": enrolment.EnrolRequest,
    "renew-request": enrolment.RenewRequest,
    "token-line": enrolment.TokenLine,
    "trust-anchors": enrolment.TrustAnchors,
    "event": reported.Event,
    "presence": reported.Presence,
    "reported": reported.Reported,
    "window": telemetry.Window,
    "proof": proof.Proof,
}
FILES = sorted(path for path in CORPUS.iterdir() if not path.name.endswith(".meaning.json"))


def within(meaning: object, found: object) -> bool:
    """Whether everything in `meaning` is in `found`, which may have more fields: those of later versions, at their defaults."""
    if isinstance(meaning, dict) and isinstance(found, dict):
        return all(key in found and within(value, found[key]) for key, value in meaning.items())
    if isinstance(meaning, list) and isinstance(found, list):
        return len(meaning) == len(found) and all(map(within, meaning, found))
    return meaning == found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_old_bytes_keep_their_meaning(path: Path) -> None:
    kind = KINDS[path.name.split(".")[0]]
    message = (from_msgpack if path.suffix == ".msgpack" else from_json)(kind, path.read_bytes())
    meaning = msgspec.json.decode(path.with_suffix(".meaning.json").read_bytes())
    found = msgspec.json.decode(msgspec.json.encode(message))
    assert within(meaning, found)


def test_every_kind_of_message_has_bytes_in_the_corpus() -> None:
    assert {path.name.split(".")[0] for path in FILES} == set(KINDS)
