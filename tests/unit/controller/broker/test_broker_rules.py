"""Who may read and write what, for every device name and every topic that anybody can think of."""

from __future__ import annotations

import re

from hypothesis import assume, given
from hypothesis import strategies as st

from argosy.names import CONTROLLER, PATTERN
from argosy.topics import READ_BY_DEVICE, WRITTEN_BY_DEVICE, Channel, Topic, every_device
from argosy_controller.broker import rules

NAMES = st.from_regex(PATTERN, fullmatch=True).filter(lambda n: ".." not in n and n != CONTROLLER)
CHANNELS = st.sampled_from(list(Channel))
LEVELS = st.one_of(st.sampled_from(["argosy", "v1", "d", "+", "#", "$SYS", "$share", "", "..", "pi-7", *[c.value for c in Channel]]), NAMES)
ANY_TOPIC = st.lists(LEVELS, min_size=1, max_size=7).map("/".join)


@given(NAMES, CHANNELS)
def test_a_device_writes_what_is_its_own_to_write_and_reads_the_rest(name: str, channel: Channel) -> None:
    topic = Topic(name, channel).text
    assert rules.may_publish(name, topic) == (channel in WRITTEN_BY_DEVICE)
    assert rules.may_subscribe(name, topic) == (channel in READ_BY_DEVICE)


@given(NAMES, NAMES, CHANNELS)
def test_nothing_of_another_device(name: str, other: str, channel: Channel) -> None:
    assume(name != other)
    topic = Topic(other, channel).text
    assert not rules.may_publish(name, topic)
    assert not rules.may_subscribe(name, topic)


@given(NAMES, ANY_TOPIC)
def test_only_exact_topics_of_its_own(name: str, topic: str) -> None:
    own = {Topic(name, c).text for c in Channel}
    assert topic in own or not (rules.may_publish(name, topic) or rules.may_subscribe(name, topic))


@given(ANY_TOPIC)
def test_the_controller_has_all_of_argosy_and_nothing_else(topic: str) -> None:
    assert rules.may_publish(CONTROLLER, topic) == rules.may_subscribe(CONTROLLER, topic) == topic.startswith("argosy/")


def test_the_controller_may_use_its_own_filters() -> None:
    assert all(rules.may_subscribe(CONTROLLER, every_device(c)) for c in Channel)


@given(st.text(max_size=20))
def test_a_name_that_is_none_has_no_rights(name: str) -> None:
    assume(not re.fullmatch(PATTERN, name) or ".." in name)
    assert not any(rules.may_publish(name, f"argosy/v1/d/{name}/{c.value}") for c in Channel)


def granted_by_acl(name: str) -> dict[str, str]:
    """What mosquitto makes of the ACL for this user: its documented meaning, `%u` replaced."""
    patterns = [line.split() for line in rules.mosquitto_acl().splitlines() if line.startswith("pattern ")]
    return {topic.replace("%u", name): verb for _, verb, topic in patterns}


@given(NAMES)
def test_the_acl_of_mosquitto_says_the_same(name: str) -> None:
    acl = granted_by_acl(name)
    assert {t for t, verb in acl.items() if verb == "write"} == {Topic(name, c).text for c in WRITTEN_BY_DEVICE}
    assert {t for t, verb in acl.items() if verb == "read"} == {Topic(name, c).text for c in READ_BY_DEVICE}


def test_the_acl_gives_all_of_argosy_to_the_controller_alone() -> None:
    lines = rules.mosquitto_acl().splitlines()
    assert lines[:2] == ["user controller", "topic readwrite argosy/#"]
    assert all(line.startswith("pattern ") for line in lines[2:])
