"""What a device does with documents, metadata and time, without any network."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest
from securesystemslib.signer import CryptoSigner

from argosy.envelope import seal
from argosy.protocol.codec import to_json
from argosy.protocol.desired import PAYLOAD_TYPE, Desired, SlotContent
from argosy.protocol.refusals import Refusal
from argosy.protocol.reported import Capabilities, ServingState
from argosy_agent.device import Device, DeviceEffect, Facts, KeepAccepted, RefreshMetadata, Times
from argosy_agent.fetch.trusted import Trusted
from argosy_agent.updater.state import StartFetch, Tell

REPOSITORY = "ab" * 32
DIRECTOR = CryptoSigner.generate_ed25519()
NOW = time.time()
Make = Callable[..., bytes]


def times(after: float = 0.0) -> Times:
    return Times(steady=NOW + after, wall=NOW + after)


@pytest.fixture
def device() -> Device:
    return Device(Facts("dev", REPOSITORY, "boot", Capabilities(runtimes=[])))


def wish(generation: int = 1, signer: CryptoSigner = DIRECTOR, version: int = 1, **changes: object) -> bytes:
    content = SlotContent(model="m", version=version, variant="v", sha256="0" * 64, length=1)
    values = {
        "repository": REPOSITORY, "device": "dev", "generation": generation, "issued": NOW, "expires": NOW + 9999, "timestamp_version": 3,
        "slots": {"s": content},
    }  # fmt: skip
    return seal(PAYLOAD_TYPE, to_json(Desired(**{**values, **changes})), signer)  # type: ignore[arg-type]


def trusted(version: int = 3) -> Trusted:
    return Trusted((DIRECTOR.public_key,), version)


def kinds(effects: list[DeviceEffect]) -> list[type]:
    return [type(effect) for effect in effects]


def codes(effects: list[DeviceEffect]) -> list[str]:
    return [effect.failure.code for effect in effects if isinstance(effect, Tell) and effect.failure]


def test_document_waits_for_metadata_when_the_keys_are_unknown(device: Device) -> None:
    assert kinds(device.on_desired(wish(), times())) == [RefreshMetadata]
    assert device.on_desired(wish(), times()) == [], "asked once"
    effects = device.on_metadata(trusted(), times())
    assert kinds(effects)[0] is KeepAccepted, "kept before anything is begun"
    assert StartFetch in kinds(effects)


def test_only_the_newest_waiting_document_is_looked_at(device: Device) -> None:
    device.on_desired(wish(1, version=1), times())
    device.on_desired(wish(2, version=2), times())
    device.on_metadata(trusted(), times())
    assert device.accepted and device.accepted.generation == 2


def test_director_key_that_is_new_is_looked_up_before_a_refusal(device: Device) -> None:
    device.on_metadata(Trusted((CryptoSigner.generate_ed25519().public_key,), 3), times())
    assert kinds(device.on_desired(wish(), times(60))) == [RefreshMetadata]
    assert KeepAccepted in kinds(device.on_metadata(trusted(), times(61)))


def test_forged_documents_cause_neither_a_flood_of_events_nor_of_requests(device: Device) -> None:
    device.on_metadata(trusted(), times())
    forged = [wish(generation, CryptoSigner.generate_ed25519()) for generation in range(3)]
    effects = [effect for raw in forged * 5 for effect in device.on_desired(raw, times(1))]
    assert codes(effects) == ["bad-signature"] * 3
    assert RefreshMetadata not in kinds(effects)
    assert len(device.report(NOW).refusals) == 3


def test_an_accepted_document_that_comes_long_after_a_later_one_is_a_replay(device: Device) -> None:
    device.on_metadata(trusted(), times())
    old = wish(1)
    device.on_desired(old, times())
    assert device.on_desired(old, times()) == []
    device.on_desired(wish(2, version=2), times())
    assert codes(device.on_desired(old, times(60)) + device.on_desired(old, times(61))) == ["replayed"]


def test_stale_metadata_is_refused_and_asked_for_again(device: Device) -> None:
    device.on_desired(wish(timestamp_version=9), times())
    assert codes(device.on_metadata(trusted(3), times())) == ["stale-metadata"]
    assert device.accepted is None
    effects = [effect for after in range(0, 120, 5) for effect in device.tick(times(after))]
    assert kinds(effects).count(RefreshMetadata) == 1
    assert KeepAccepted in kinds(device.on_metadata(trusted(9), times(121)))


def test_document_that_overtakes_a_refresh_is_asked_for_again_at_once(device: Device) -> None:
    device.refresh()
    assert device.on_desired(wish(timestamp_version=9), times()) == [], "a question is under way"
    assert kinds(device.on_metadata(trusted(3), times(1))) == [RefreshMetadata], "its answer may be older than the document"
    assert codes(device.on_metadata(trusted(3), times(2))) == ["stale-metadata"], "this one is not"


def test_metadata_that_does_not_come_is_asked_for_with_growing_waits(device: Device) -> None:
    device.on_desired(wish(), times())
    asked = []
    for second in range(0, 400):
        if not asked or asked[-1] < second:
            device.on_metadata_failed(None, "no network", None, times(second)) if device._metadata.asked else None
        if RefreshMetadata in kinds(device.tick(times(second))):
            asked.append(second)
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert waits == sorted(waits)
    assert 4 <= len(asked) <= 10


def test_untrusted_metadata_is_told_once(device: Device) -> None:
    effects = [device.on_metadata_failed(Refusal.UNTRUSTED_METADATA, "bad", None, times(n)) for n in range(5)]
    assert [codes(one) for one in effects] == [["untrusted-metadata"], [], [], [], []]


def test_same_document_from_broker_and_poll_is_accepted_once(device: Device) -> None:
    device.on_metadata(trusted(), times())
    raw, newer = wish(1), wish(2, version=2)
    assert KeepAccepted in kinds(device.on_desired(raw, times()))
    device.on_desired(newer, times())
    assert device.on_desired(raw, times()) == [], "an older one that was accepted is a late answer, not an attack"


def test_slot_that_is_not_named_any_more_is_emptied(device: Device) -> None:
    device.on_metadata(trusted(), times())
    device.on_desired(wish(1), times())
    assert device.report(NOW).slots["s"].state is ServingState.EMPTY
    device.on_desired(wish(2, slots={}), times())
    assert device.report(NOW).slots == {}


def test_spread_is_the_same_every_time_and_differs_between_devices() -> None:
    def due(name: str) -> float:
        device = Device(Facts(name, REPOSITORY, "boot", Capabilities(runtimes=[]), spread_s=100.0))
        device.on_metadata(trusted(), times())
        device.on_desired(wish(1, device=name), times())
        return device.slots["s"].phase.due  # type: ignore[union-attr]

    assert due("a") == due("a")
    assert len({due(f"device-{number}") for number in range(20)}) == 20
