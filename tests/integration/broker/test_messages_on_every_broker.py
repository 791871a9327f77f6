"""What devices and controller rely on, on every kind of broker."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from random import Random

import paho.mqtt.client as mqtt
import pytest
from broker_site import Site, free_port, wait_until

from argosy_controller.broker.wire import Closed, Message, Will, publish_packet, remaining_length, text

pytestmark = pytest.mark.integration


def payloads(messages: list[Message], topic: str) -> list[bytes]:
    return [m.payload for m in messages if m.topic == topic]


def test_retained_desired_reaches_a_device_that_connects_later(site: Site) -> None:
    """With the client library that the agent uses."""
    site.controller().publish("argosy/v1/d/late/desired", b"document", retain=True)
    files = site.authority.issue("late")
    got: list[mqtt.MQTTMessage] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="late", clean_session=False)
    client.tls_set(str(site.authority.ca), str(files.certificate), str(files.key))
    client.tls_insecure_set(True)
    client.on_connect = lambda *_: client.subscribe("argosy/v1/d/late/desired", qos=1)
    client.on_message = lambda _client, _data, message: got.append(message)
    client.connect(*site.broker.address)
    client.loop_start()
    try:
        assert wait_until(lambda: got)
        assert (got[0].payload, got[0].retain) == (b"document", True)
    finally:
        client.disconnect()
        client.loop_stop()


def test_an_order_given_while_a_device_is_away_reaches_it(site: Site) -> None:
    files = site.authority.issue("away")
    with site.connect("away", clean=False, files=files) as device:
        device.subscribe("argosy/v1/d/away/command")
        device.disconnect()
    controller = site.controller()
    for number in range(5):
        controller.publish("argosy/v1/d/away/command", b"order %d" % number)
    with site.connect("away", clean=False, files=files) as device:
        assert device.session_present
        assert wait_until(lambda: len(device.listen(0.05)) == 5)
        assert [m.payload for m in device.messages] == [b"order %d" % n for n in range(5)]
        assert not any(m.retain for m in device.messages)


def test_a_message_that_was_not_acknowledged_comes_again(site: Site) -> None:
    files = site.authority.issue("deaf")
    device = site.connect("deaf", clean=False, files=files)
    device.subscribe("argosy/v1/d/deaf/command")
    site.controller().publish("argosy/v1/d/deaf/command", b"order")
    device.close()  # the order may be on its way, but never was acknowledged
    with site.connect("deaf", clean=False, files=files) as again:
        assert again.await_message("argosy/v1/d/deaf/command").payload == b"order"


def test_messages_of_a_device_arrive_in_order(site: Site) -> None:
    controller, device = site.controller(), site.connect("orderly")
    for number in range(200):
        device.send(publish_packet("argosy/v1/d/orderly/event", b"%d" % number, False, number + 1))
    own = lambda: [m for m in controller.messages if "/orderly/" in m.topic]  # noqa: E731
    assert wait_until(lambda: controller.listen(0.05) and len(own()) == 200)
    assert [m.payload for m in own()] == [b"%d" % n for n in range(200)]


def test_what_was_acknowledged_is_not_lost_by_a_goodbye(site: Site) -> None:
    controller, device = site.controller(), site.connect("brief")
    device.send(b"".join(publish_packet("argosy/v1/d/brief/event", b"%d" % n, False, n) for n in range(1, 51)) + b"\xe0\x00")
    assert wait_until(lambda: len(payloads(controller.listen(0.1), "argosy/v1/d/brief/event")) == 50)


def test_last_will_comes_when_the_connection_breaks_and_not_after_a_goodbye(site: Site) -> None:
    controller = site.controller()
    presence = "argosy/v1/d/mortal/presence"
    site.connect("mortal", will=Will(presence, b"gone")).disconnect()
    device = site.connect("mortal")
    device.publish(presence, b"here", retain=True)
    assert controller.await_message(presence).payload == b"here"
    assert [m.payload for m in controller.messages if m.topic == presence] == [b"here"]
    site.connect("mortal", will=Will(presence, b"gone")).close()
    assert wait_until(lambda: [m for m in controller.listen(0.05) if m.payload == b"gone" and m.topic == presence])


def test_last_will_of_an_older_connection_comes_before_what_the_newer_one_says(site: Site) -> None:
    controller, files = site.controller(), site.authority.issue("twice")
    presence = "argosy/v1/d/twice/presence"
    older = site.connect("twice", clean=False, will=Will(presence, b"gone"), files=files)
    newer = site.connect("twice", clean=False, will=Will(presence, b"gone"), files=files)
    newer.publish(presence, b"here", retain=True)
    assert older.await_end(2)
    assert wait_until(lambda: b"here" in payloads(controller.listen(0.2), presence))
    # mosquitto sends no last will for a session that goes on; amqtt does
    assert payloads(controller.listen(0.3), presence) in ([b"gone", b"here"], [b"here"])
    newer.subscribe("argosy/v1/d/twice/desired")
    controller.publish("argosy/v1/d/twice/desired", b"document")
    assert newer.await_message("argosy/v1/d/twice/desired").payload == b"document"


def test_a_silent_device_is_found_dead_and_its_last_will_comes(site: Site) -> None:
    controller = site.controller()
    presence = "argosy/v1/d/silent/presence"
    device = site.connect("silent", keep_alive_s=1, will=Will(presence, b"gone"))
    assert wait_until(lambda: [m for m in controller.listen(0.1) if m.topic == presence], 20)
    assert device.await_end(5)


def test_quality_of_service_2_is_not_offered(site: Site) -> None:
    device = site.connect("exact")
    device.send(bytes([0x34]) + publish_packet("argosy/v1/d/exact/event", b"x", False, 1)[1:])
    assert device.await_end(5)


def test_a_device_that_publishes_to_broker_topics_or_wildcards_changes_nothing(site: Site) -> None:
    controller = site.controller()
    for topic in ("$SYS/broker/version", "argosy/v1/d/+/event", "argosy/v1/d/rude/#", ""):
        device = site.connect("rude")
        try:
            device.publish(topic, b"forged")
        except Closed:
            continue
        device.close()
    site.connect("rude").publish("argosy/v1/d/rude/event", b"fine")
    assert wait_until(lambda: [m for m in controller.listen(0.1) if m.payload == b"fine"])
    assert not [m for m in controller.messages if m.payload == b"forged"]


def test_mosquitto_keeps_retained_documents_over_a_restart(own_site: Site) -> None:
    """amqtt persists nothing: the controller offers all documents again after every connection."""
    own_site.controller().publish("argosy/v1/d/pi-7/desired", b"document", retain=True)
    own_site.broker.restart()  # type: ignore[attr-defined]
    device = own_site.connect("pi-7")
    device.subscribe("argosy/v1/d/pi-7/desired")
    kept = bool(device.listen(0.3))
    assert kept == (own_site.kind == "mosquitto")


# --- amqtt: load -----------------------------------------------------------------------------------------------------


def test_amqtt_holds_200_devices(amqtt_site: Site) -> None:
    site, names = amqtt_site, [f"pi-{n}" for n in range(200)]
    controller, files = site.controller(), site.authority.issue("any")
    files_of = {name: site.authority.issue(name) for name in names}
    before = site.memory()
    devices = {name: site.connect(name, clean=False, files=files_of[name]) for name in names}
    for name, device in devices.items():
        device.subscribe(*(f"argosy/v1/d/{name}/{c}" for c in ("desired", "command", "chunk")))
        device.publish(f"argosy/v1/d/{name}/reported", bytes(2000), retain=True)
    assert wait_until(lambda: len(controller.listen(0.1)) == 200, 20)
    for name in names:
        controller.publish(f"argosy/v1/d/{name}/desired", name.encode(), retain=True)
    for name, device in devices.items():
        assert device.await_message(f"argosy/v1/d/{name}/desired").payload == name.encode()
        assert len(device.messages) == 1
    assert files
    assert site.memory() - before < 150e6
    late = site.connect("controller")
    late.subscribe("argosy/v1/d/+/reported")
    assert wait_until(lambda: len(late.listen(0.1)) == 200, 20)


def test_amqtt_cuts_off_a_client_that_does_not_read(amqtt_site: Site) -> None:
    device, controller = amqtt_site.connect("stuck"), amqtt_site.controller()
    device.subscribe("argosy/v1/d/stuck/chunk")
    before = amqtt_site.memory()
    for _ in range(150):
        controller.publish("argosy/v1/d/stuck/chunk", bytes(1_000_000))
        controller.messages.clear()
    assert amqtt_site.memory() - before < 300e6
    assert wait_until(lambda: amqtt_site.memory() - before < 100e6 or None)
    amqtt_site.connect("stuck").ping()


def test_amqtt_makes_a_fast_publisher_wait(amqtt_site: Site) -> None:
    """Its memory does not grow with what is sent to it faster than it is worked off; nothing is lost."""
    controller, device = amqtt_site.controller(), amqtt_site.connect("fast")
    before = amqtt_site.memory()
    flood = b"".join(publish_packet("argosy/v1/d/fast/event", bytes(10_000), False, n) for n in range(1, 3001))
    sender = threading.Thread(target=lambda: device.send(flood))
    sender.start()
    received = 0
    while received < 3000:
        got = len(controller.listen(0.2))
        controller.messages.clear()
        assert got, f"only {received} of 3000 arrived"
        received += got
        assert amqtt_site.memory() - before < 150e6
    sender.join()


def nonsense(random: Random, name: str) -> bytes:
    """A packet that is nearly right: of any type, with a body that often begins as it should."""
    topic = text(f"argosy/v1/d/{name}/{random.choice(['event', 'desired', 'x'])}")
    beginnings = (b"", random.randbytes(2), topic, random.randbytes(2) + topic, b"\x00\x04MQTT\x04", text("\x00#+$"))
    body = random.choice(beginnings) + random.randbytes(random.choice((0, 1, 2, 5, 200)))
    size = remaining_length(max(len(body) + random.choice((0, 0, 0, -1, 1)), 0))
    return bytes([random.randrange(256)]) + size + body


@pytest.mark.parametrize("seed", range(3))
def test_nonsense_from_a_device_harms_nobody_else(site: Site, seed: int) -> None:
    random, files = Random(seed), site.authority.issue("mad")
    controller, bystander = site.controller(), site.connect("bystander")
    for _ in range(60):
        wire = site.dial(files)
        with contextlib.suppress(Closed):
            if random.random() < 0.8:
                wire.connect("mad")
            for _ in range(5):
                wire.send(nonsense(random, "mad"))
        wire.close()
    bystander.publish("argosy/v1/d/bystander/event", b"fine %d" % seed)
    assert wait_until(lambda: b"fine %d" % seed in payloads(controller.listen(0.1), "argosy/v1/d/bystander/event"))
    site.connect("mad", files=files).ping()
    assert "Traceback" not in (site.folder / "broker.log").read_text()


def test_amqtt_memory_does_not_grow_with_reconnections(amqtt_site: Site) -> None:
    files = amqtt_site.authority.issue("nervous")
    sizes = []
    for _ in range(3):
        for _ in range(100):
            amqtt_site.connect("nervous", files=files).close()
        sizes.append(amqtt_site.memory())
    assert sizes[2] - sizes[1] < 3e6


def test_paths_may_be_long(authority: object, tmp_path: Path) -> None:
    from broker_site import Authority

    from argosy_controller.broker import start_broker

    assert isinstance(authority, Authority)
    folder = tmp_path / ("long " * 20) / ("longer " * 20)
    broker = start_broker("auto", folder, "127.0.0.1", free_port(), authority.tls())
    try:
        authority.revoke()
        assert broker.revoke(["pi-7"]) is None
    finally:
        broker.stop()
