"""One test per rule of argosy.trust, and one per attack by the name that the design gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from securesystemslib.signer import CryptoSigner

from argosy.envelope import seal
from argosy.protocol.codec import to_json
from argosy.protocol.desired import PAYLOAD_TYPE, Desired, Gates, SlotContent
from argosy.protocol.refusals import Refusal
from argosy.topics import MAX_PACKET_BYTES
from argosy.trust import MAX_SLOTS, Refused, accept_desired

Make = Callable[..., Desired]


@pytest.fixture
def believe(director: CryptoSigner, now: float) -> Callable[..., Desired]:
    """What device pi-7 makes of a document; the director signs it unless told otherwise."""

    def judged(document: Desired | bytes, *, signer: CryptoSigner = director, **changes: Any) -> Desired:
        raw = seal(PAYLOAD_TYPE, to_json(document), signer) if isinstance(document, Desired) else document
        facts: dict[str, Any] = {"keys": [director.public_key], "repository": "ab" * 32, "device": "pi-7", "accepted": None, "now": now}
        return accept_desired(raw, **{**facts, **changes})

    return judged


def refusal_of(act: Callable[[], object]) -> Refusal:
    with pytest.raises(Refused) as caught:
        act()
    assert str(caught.value).startswith(caught.value.refusal.sentence)
    return caught.value.refusal


def test_accepts_a_sound_document(believe: Make, make_desired: Make) -> None:
    assert believe(make_desired()) == make_desired()


def test_accepts_an_empty_wish(believe: Make, make_desired: Make) -> None:
    assert believe(make_desired(slots={})).slots == {}


def test_refuses_endless_data_before_looking_into_it(believe: Make) -> None:
    assert refusal_of(lambda: believe(b"{" * (MAX_PACKET_BYTES + 1))) is Refusal.TOO_LARGE


def test_refuses_a_forged_document(believe: Make, make_desired: Make, stranger: CryptoSigner) -> None:
    assert refusal_of(lambda: believe(make_desired(), signer=stranger)) is Refusal.BAD_SIGNATURE


def test_refuses_a_document_changed_after_it_was_signed(believe: Make, make_desired: Make, director: CryptoSigner) -> None:
    envelope = msgspec.json.decode(seal(PAYLOAD_TYPE, to_json(make_desired()), director))
    other = msgspec.json.decode(seal(PAYLOAD_TYPE, to_json(make_desired(generation=9)), director))
    assert refusal_of(lambda: believe(msgspec.json.encode({**envelope, "payload": other["payload"]}))) is Refusal.BAD_SIGNATURE


def test_refuses_what_the_director_signed_for_another_purpose(believe: Make, make_desired: Make, director: CryptoSigner) -> None:
    raw = seal("application/vnd.argosy.command+json", to_json(make_desired()), director)
    assert refusal_of(lambda: believe(raw)) is Refusal.BAD_SIGNATURE


def test_refuses_when_no_director_is_trusted(believe: Make, make_desired: Make) -> None:
    assert refusal_of(lambda: believe(make_desired(), keys=[])) is Refusal.BAD_SIGNATURE


def test_refuses_desired_state_redirected_from_another_device(believe: Make, make_desired: Make) -> None:
    assert refusal_of(lambda: believe(make_desired(device="pi-8"))) is Refusal.WRONG_DEVICE


def test_refuses_desired_state_of_another_fleet(believe: Make, make_desired: Make) -> None:
    assert refusal_of(lambda: believe(make_desired(repository="cd" * 32))) is Refusal.WRONG_DEVICE


@pytest.mark.parametrize("late", [0.0, 1.0, 1e6])
def test_refuses_an_expired_document(believe: Make, make_desired: Make, now: float, late: float) -> None:
    assert refusal_of(lambda: believe(make_desired(expires=now - late))) is Refusal.EXPIRED


def test_refuses_a_replayed_document(believe: Make, make_desired: Make) -> None:
    accepted = make_desired(generation=6)
    assert refusal_of(lambda: believe(make_desired(generation=5), accepted=accepted)) is Refusal.REPLAYED


def test_refuses_the_same_generation_with_different_wishes(believe: Make, make_desired: Make) -> None:
    for change in ({"slots": {}}, {"gates": Gates(max_error_share=1.0)}):
        assert refusal_of(lambda change=change: believe(make_desired(**change), accepted=make_desired())) is Refusal.REPLAYED  # type: ignore[misc]


def test_accepts_the_same_wishes_signed_again(believe: Make, make_desired: Make, now: float) -> None:
    again = make_desired(issued=now, expires=now + 60 * 86400, timestamp_version=9)
    assert believe(again, accepted=make_desired()) == again


def test_accepts_the_next_generation(believe: Make, make_desired: Make) -> None:
    assert believe(make_desired(generation=6, slots={}), accepted=make_desired()).generation == 6


def test_rules_are_asked_in_order_so_nothing_unsigned_is_looked_into(believe: Make, make_desired: Make, stranger: CryptoSigner) -> None:
    wrong_in_every_way = make_desired(device="pi-8", expires=0.0, generation=1, slots={"../x": make_desired().slots["digits"]})
    assert refusal_of(lambda: believe(wrong_in_every_way, signer=stranger)) is Refusal.BAD_SIGNATURE


PATH_TRICKS = ["../../etc", "a/b", "..", ".", "", "/", "a\0b", "A", "x" * 64, "a..b"]


@pytest.mark.parametrize("name", PATH_TRICKS)
@pytest.mark.parametrize("field", ["slot", "model", "variant"])
def test_refuses_path_tricks_in_names(believe: Make, make_desired: Make, field: str, name: str) -> None:
    content = make_desired().slots["digits"]
    slots = {name: content} if field == "slot" else {"digits": msgspec.structs.replace(content, **{field: name})}
    assert refusal_of(lambda: believe(make_desired(slots=slots))) is Refusal.MALFORMED


@pytest.mark.parametrize(
    "change", [{"version": 0}, {"version": -1}, {"length": 0}, {"sha256": "0" * 63}, {"sha256": "G" * 64}, {"sha256": "../" + "0" * 61}]
)
def test_refuses_impossible_contents(believe: Make, make_desired: Make, change: dict[str, Any]) -> None:
    content = msgspec.structs.replace(make_desired().slots["digits"], **change)
    assert refusal_of(lambda: believe(make_desired(slots={"digits": content}))) is Refusal.MALFORMED


def test_refuses_more_slots_than_any_device_has(believe: Make, make_desired: Make) -> None:
    content: SlotContent = make_desired().slots["digits"]
    slots = {f"slot{number}": content for number in range(MAX_SLOTS + 1)}
    assert refusal_of(lambda: believe(make_desired(slots=slots))) is Refusal.MALFORMED


def test_refuses_a_document_of_a_newer_schema(believe: Make, make_desired: Make) -> None:
    assert refusal_of(lambda: believe(make_desired(schema=2))) is Refusal.MALFORMED


def test_refuses_a_signed_payload_that_is_no_document(believe: Make, director: CryptoSigner) -> None:
    for payload in (b"", b"[]", b"{}", b"\xff", b'{"schema":1}'):
        raw = seal(PAYLOAD_TYPE, payload, director)
        assert refusal_of(lambda raw=raw: believe(raw)) is Refusal.MALFORMED  # type: ignore[misc]


def test_every_refusal_has_a_code_of_its_own_and_a_sentence() -> None:
    assert len({refusal.code for refusal in Refusal}) == len(Refusal)
    assert all(refusal.sentence and refusal.code == refusal.code.lower() for refusal in Refusal)
