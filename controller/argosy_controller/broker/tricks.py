"""The attacks themselves. Each takes a scene, raises Breach when it succeeds, and otherwise says in a sentence what was seen."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

from argosy.topics import MAX_PACKET_BYTES, ROOT, Channel
from argosy_controller.broker.scene import Breach, Scene
from argosy_controller.broker.wire import Closed, Will, Wire, connect_packet, remaining_length, text

Attack = Callable[[Scene], str]
#: Every attack by its stable name.
ATTACKS: dict[str, Attack] = {}

_ENDLESS_BYTES = 150_000_000
_EARLY_S = 5.0


def _named(attack: Attack) -> Attack:
    ATTACKS[attack.__name__.replace("_", "-")] = attack
    return attack


@_named
def legitimate_device_is_served(scene: Scene) -> str:
    """No attack: QoS 1 works up to the size that is promised, and a device may read its own topics."""
    device = scene.connect(scene.victim)
    if any(code & 0x80 for code in device.subscribe(scene.topic(Channel.DESIRED), scene.topic(Channel.COMMAND))):
        raise Breach("a device may not subscribe to its own desired and command topics")
    device.publish(scene.topic(Channel.EVENT), bytes(MAX_PACKET_BYTES - 1000))
    if scene.observer:
        scene.observer.publish(scene.topic(Channel.COMMAND), b"order")
        device.await_message(scene.topic(Channel.COMMAND))
        if not scene.observer.seen(scene.victim):
            raise Breach("the controller does not get what a device publishes")
    return "a legitimate device connects, subscribes and publishes"


@_named
def no_certificate(scene: Scene) -> str:
    """A client that shows no certificate gets in, or resumes a session."""
    scene.connect(scene.victim).disconnect()
    for clean in (True, False):
        if scene.try_as(None, scene.victim, clean):
            raise Breach("a client without a certificate was accepted")
    return "refused"


@_named
def certificate_of_another_authority(scene: Scene) -> str:
    """A certificate that some other CA signed gets in."""
    scene.connect(scene.victim).disconnect()
    with contextlib.suppress(Closed):
        scene.dial_with(scene.foreign_files(scene.victim)).connect(scene.victim)
        raise Breach("a certificate of a foreign authority was accepted")
    return "refused"


@_named
def anothers_client_id(scene: Scene) -> str:
    """A device connects under another's client id and throws it out, or acts as it."""
    victim = scene.listening_victim()
    mallory = scene.try_as(scene.mallory, scene.victim, clean=True)
    if mallory:
        scene.attempt_publish(mallory, scene.topic(Channel.DESIRED))
    _check_still_there(victim)
    _check_silent(scene, victim, "with the victim's client id, mallory wrote to it")
    return "the victim stays connected" if mallory else "refused"


@_named
def anothers_user_name(scene: Scene) -> str:
    """A device gives another's user name and is taken for it."""
    victim = scene.listening_victim()
    mallory = scene.try_as(scene.mallory, scene.mallory, clean=True, user=scene.victim)
    if mallory:
        mallory.subscribe(scene.topic(Channel.REPORTED), scene.topic(Channel.EVENT))
        scene.attempt_publish(mallory, scene.topic(Channel.EVENT))
        victim.publish(scene.topic(Channel.EVENT), b"private")
        _check_silent(scene, mallory, "with the victim's user name, mallory reads its topics")
    _check_unseen(scene, b"forged", "with the victim's user name, mallory writes to its topics")
    return "the certificate decides"


@_named
def anothers_session_resumed(scene: Scene) -> str:
    """A client without the right certificate resumes a stored session and reads what waited there."""
    scene.listening_victim(clean=False).disconnect()
    if scene.observer:
        scene.observer.publish(scene.topic(Channel.DESIRED), b"private")
    for certificate_of in (None, scene.mallory):
        thief = scene.try_as(certificate_of, scene.victim, clean=False)
        if thief and (thief.session_present or thief.listen(scene.settle_s)):
            raise Breach(f"a client {'with another' if certificate_of else 'without a'} certificate resumed the victim's session")
    with scene.connect(scene.victim, clean=False) as victim:
        _check_session(victim)
        if scene.observer:
            victim.await_message(scene.topic(Channel.DESIRED))
    return "the session waited for its owner"


@_named
def stored_session_destroyed_by_a_stranger(scene: Scene) -> str:
    """A CONNECT that must be refused wipes the victim's stored session first."""
    scene.listening_victim(clean=False).disconnect()
    for certificate_of in (None, scene.mallory):
        scene.try_as(certificate_of, scene.victim, clean=True)
    with scene.connect(scene.victim, clean=False) as victim:
        _check_session(victim)
    return "the session survived"


@_named
def last_will_on_anothers_topic(scene: Scene) -> str:
    """A last will is published without asking the topic rules."""
    victim = scene.listening_victim()
    topics = [scene.topic(c) for c in (Channel.DESIRED, Channel.COMMAND, Channel.PRESENCE)] + [scene.topic(Channel.DESIRED, scene.mallory)]
    refused = sum(not _dies_with_will(scene, topic) for topic in topics)
    _check_silent(scene, victim, "a last will reached another device's topic")
    with scene.connect(scene.mallory) as mallory:
        mallory.subscribe(topics[-1])
        _check_silent(scene, mallory, "a last will forged mallory's own desired document")
    _check_unseen(scene, b"will", "a last will reached another device's topic")
    return f"{refused} of {len(topics)} refused at CONNECT, the others not published"


@_named
def publish_to_own_desired_or_command(scene: Scene) -> str:
    """A device writes itself what only the controller may write."""
    topics = [scene.topic(c, scene.mallory) for c in (Channel.DESIRED, Channel.COMMAND, Channel.CHUNK)]
    for topic in topics:
        with scene.connect(scene.mallory) as mallory:
            mallory.subscribe(topic)
            scene.attempt_publish(mallory, topic, retain=True)
            _check_silent(scene, mallory, f"a device wrote {topic.rpartition('/')[2]}, which only the controller may")
    with scene.connect(scene.mallory) as mallory:
        mallory.subscribe(*topics)
        _check_silent(scene, mallory, "a device left a forged document for itself")
    return "nothing came back"


@_named
def publish_to_anothers_topics(scene: Scene) -> str:
    """A device writes below another's name."""
    victim = scene.listening_victim()
    mallory = scene.connect(scene.mallory)
    others = [f"{ROOT}/{scene.victim}", f"{ROOT}/{scene.victim}/event/{scene.mallory}", f"{ROOT}/{scene.mallory}/{scene.victim}/event"]
    for topic in [scene.topic(c) for c in Channel] + others:
        if not scene.attempt_publish(mallory, topic):
            mallory = scene.connect(scene.mallory)
    _check_silent(scene, victim, "mallory wrote to the victim")
    _check_unseen(scene, b"forged", "mallory wrote to the victim's topics")
    return "nothing arrived"


@_named
def subscribe_to_anothers_topics(scene: Scene) -> str:
    """A device reads below another's name."""
    victim = scene.connect(scene.victim)
    mallory = _subscribed(scene, [scene.topic(c) for c in Channel])
    _speak(scene, victim)
    _check_silent(scene, mallory, "mallory reads the victim's topics")
    return "nothing was delivered"


@_named
def subscribe_to_wildcards(scene: Scene) -> str:
    """A device reads everything by `#`, `+` or `$SYS`."""
    victim = scene.connect(scene.victim)
    tree = ROOT.partition("/")[0]
    filters = ["#", f"{tree}/#", "+/#", f"{ROOT}/+/reported", f"{ROOT}/+/+", f"{ROOT}/{scene.victim}/#", "$SYS/#", f"$share/check/{tree}/#"]
    mallory = _subscribed(scene, filters)
    _speak(scene, victim)
    _check_silent(scene, mallory, "mallory reads with a wildcard")
    return "nothing was delivered"


@_named
def retained_messages_of_others(scene: Scene) -> str:
    """Retained messages of other devices are handed to whoever connects."""
    victim = scene.listening_victim()
    _speak(scene, victim)
    own = scene.topic(Channel.DESIRED, scene.mallory)
    for clean in (True, False, False):
        with scene.connect(scene.mallory, clean=clean) as mallory:
            mallory.subscribe(own)
            _check_silent(scene, mallory, "what the broker retains for others goes to whoever connects")
            mallory.disconnect()
    return "nothing was delivered"


@_named
def oversized_packet(scene: Scene) -> str:
    """A packet over the limit is taken."""
    mallory = scene.connect(scene.mallory)
    with contextlib.suppress(Closed):
        mallory.publish(scene.topic(Channel.EVENT, scene.mallory), bytes(MAX_PACKET_BYTES + 1000))
        raise Breach(f"a packet of more than {MAX_PACKET_BYTES} bytes was acknowledged")
    if scene.observer and scene.observer.seen(scene.mallory):
        raise Breach(f"a packet of more than {MAX_PACKET_BYTES} bytes was passed on")
    return "the connection was closed"


@_named
def endless_packet(scene: Scene) -> str:
    """A packet that announces 150 MB is read instead of cut off."""
    start = text(scene.topic(Channel.EVENT, scene.mallory)) + b"\x00\x01" + bytes(65536)
    _check_cut_off(scene.connect(scene.mallory), b"\x32" + remaining_length(_ENDLESS_BYTES) + start)
    _check_cut_off(
        scene.dial(scene.mallory), b"\x10" + remaining_length(_ENDLESS_BYTES) + connect_packet(scene.mallory, True, 60, None)[2:]
    )
    return f"cut off at once, at a declared length of {_ENDLESS_BYTES // 1_000_000} MB"


@_named
def half_open_connection(scene: Scene) -> str:
    """A connection that never finishes its CONNECT is kept for ever."""
    started = time.monotonic()
    with socket.create_connection(scene.address, 10) as tcp:
        silent, halting = scene.dial(scene.victim), scene.dial(scene.mallory)
        halting.send(connect_packet(scene.mallory, True, 60, None)[:9])
        for wire in (Wire(tcp), silent, halting):
            if not wire.await_end(scene.patience_s - (time.monotonic() - started)):
                raise Breach(f"a connection without CONNECT was still open after {time.monotonic() - started:.0f} s")
    return f"closed within {time.monotonic() - started:.0f} s"


def _speak(scene: Scene, victim: Wire) -> None:
    """The victim and, where it is there, the controller say all that others must not hear."""
    scene.retain(victim, scene.topic(Channel.REPORTED), b"private")
    scene.retain(victim, scene.topic(Channel.PRESENCE), b"private")
    victim.publish(scene.topic(Channel.EVENT), b"private")
    victim.publish(scene.topic(Channel.TELEMETRY), b"private")
    if scene.observer:
        scene.observer.publish(scene.topic(Channel.DESIRED), b"private", retain=True)
        scene.observer.publish(scene.topic(Channel.DESIRED), b"", retain=True)


def _subscribed(scene: Scene, filters: list[str]) -> Wire:
    """Mallory, subscribed to as many of the filters as the broker lets pass without hanging up."""
    passed = []
    for topic_filter in filters:
        with contextlib.suppress(Closed), scene.connect(scene.mallory) as mallory:
            mallory.subscribe(topic_filter)
            passed.append(topic_filter)
    mallory = scene.connect(scene.mallory)
    if passed:
        mallory.subscribe(*passed)
    return mallory


def _dies_with_will(scene: Scene, topic: str) -> bool:
    """Mallory connects with a last will on `topic` and breaks the connection; whether the CONNECT was accepted."""
    with contextlib.suppress(Closed):
        scene.connect(scene.mallory, will=Will(topic, b"will")).close()
        return True
    return False


def _check_silent(scene: Scene, wire: Wire, breach: str) -> None:
    got = [m for m in wire.listen(scene.settle_s) if m.payload]
    if got:
        raise Breach(f"{breach} ({got[0].topic})")


def _check_unseen(scene: Scene, payload: bytes, breach: str) -> None:
    time.sleep(scene.settle_s if scene.observer else 0)
    got = [m for m in scene.observer.seen(scene.victim, scene.mallory) if m.payload == payload] if scene.observer else []
    if got:
        raise Breach(f"{breach} ({got[0].topic})")


def _check_still_there(victim: Wire) -> None:
    try:
        victim.ping()
    except Closed as error:
        raise Breach("the victim was thrown out by a client with another certificate") from error


def _check_session(victim: Wire) -> None:
    if not victim.session_present:
        raise Breach("the victim's stored session was gone when it came back")


def _check_cut_off(wire: Wire, opening: bytes) -> None:
    with contextlib.suppress(Closed):
        wire.send(opening)
        if not wire.await_end(_EARLY_S):
            raise Breach(f"a packet with a declared length of {_ENDLESS_BYTES // 1_000_000} MB was still being read after {_EARLY_S:.0f} s")
