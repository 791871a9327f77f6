"""Every attack that must fail, on every kind of broker, by name."""

from __future__ import annotations

import pytest
from broker_site import Site

from argosy.names import CONTROLLER
from argosy_controller.broker.attacks import ATTACK_NAMES, Finding, check_broker

pytestmark = pytest.mark.integration

HALF_OPEN = "half-open-connection"


@pytest.fixture(scope="session")
def findings(shared_site: Site) -> dict[str, Finding]:
    """All attacks at once, with the controller looking on; but what takes mosquitto a minute and a half comes in a test of its own."""
    issue = shared_site.authority.issue
    quick = [name for name in ATTACK_NAMES if name != HALF_OPEN]
    found = check_broker(shared_site.broker.address, shared_site.authority.ca, issue, issue(CONTROLLER), only=quick)
    return {each.attack: each for each in found}


def assert_held(findings: dict[str, Finding], attack: str) -> None:
    assert findings[attack].held, findings[attack].detail


def test_a_legitimate_device_is_served(findings: dict[str, Finding]) -> None:
    assert_held(findings, "legitimate-device-is-served")


def test_a_client_without_certificate_is_refused(findings: dict[str, Finding]) -> None:
    assert_held(findings, "no-certificate")


def test_a_certificate_of_another_authority_is_refused(findings: dict[str, Finding]) -> None:
    assert_held(findings, "certificate-of-another-authority")


def test_anothers_client_id_does_not_throw_the_other_out(findings: dict[str, Finding]) -> None:
    assert_held(findings, "anothers-client-id")


def test_anothers_user_name_gives_nothing(findings: dict[str, Finding]) -> None:
    assert_held(findings, "anothers-user-name")


def test_anothers_session_cannot_be_resumed(findings: dict[str, Finding]) -> None:
    assert_held(findings, "anothers-session-resumed")


def test_a_refused_connect_destroys_no_stored_session(findings: dict[str, Finding]) -> None:
    assert_held(findings, "stored-session-destroyed-by-a-stranger")


def test_last_will_on_anothers_topic_is_refused(findings: dict[str, Finding]) -> None:
    assert_held(findings, "last-will-on-anothers-topic")


def test_publishing_to_own_desired_or_command_is_refused(findings: dict[str, Finding]) -> None:
    assert_held(findings, "publish-to-own-desired-or-command")


def test_publishing_to_anothers_topics_is_refused(findings: dict[str, Finding]) -> None:
    assert_held(findings, "publish-to-anothers-topics")


def test_anothers_topics_cannot_be_read(findings: dict[str, Finding]) -> None:
    assert_held(findings, "subscribe-to-anothers-topics")


def test_wildcards_read_nothing_of_others(findings: dict[str, Finding]) -> None:
    assert_held(findings, "subscribe-to-wildcards")


def test_retained_messages_of_others_are_not_delivered(findings: dict[str, Finding]) -> None:
    assert_held(findings, "retained-messages-of-others")


def test_an_oversized_packet_is_refused(findings: dict[str, Finding]) -> None:
    assert_held(findings, "oversized-packet")


def test_an_endless_packet_is_cut_off_early(findings: dict[str, Finding]) -> None:
    assert_held(findings, "endless-packet")


def test_every_attack_was_tried(findings: dict[str, Finding]) -> None:
    assert [*findings, HALF_OPEN] == list(ATTACK_NAMES)


def half_open(site: Site, patience_s: float) -> dict[str, Finding]:
    found = check_broker(site.broker.address, site.authority.ca, site.authority.issue, patience_s=patience_s, only=[HALF_OPEN])
    return {each.attack: each for each in found}


def test_a_half_open_connection_is_closed_within_15_s_by_amqtt(amqtt_site: Site) -> None:
    assert_held(half_open(amqtt_site, 15), HALF_OPEN)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_half_open_connection_is_closed_within_2_minutes(site: Site) -> None:
    assert_held(half_open(site, 120), HALF_OPEN)
