"""The controller's MQTT link against a real broker: what is acknowledged is in the database, what is desired is at the broker."""

from __future__ import annotations

import queue
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from small_fleet import NOW, SmallDevice, content, device_row, event, new_writer, open_in, opened, window
from sqlmodel import func, select

from argosy.protocol.codec import to_json, to_msgpack
from argosy.topics import Channel, Topic
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import DeviceRow, EventRow, OutboxRow, WindowRow
from argosy_controller.fleet.desired import Wish, wish_all
from argosy_controller.fleet.ingest import Ingest
from argosy_controller.fleet.link import Link

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed"),
]
WRITER = new_writer()
NAMES = [f"d{n:03}" for n in range(250)]


class Broker:
    """mosquitto on a port of its own that forgets everything when it ends."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_inflight_messages 100\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: _answers(self.port))

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


class Controller:
    """Link and ingest, as app.py wires them."""

    def __init__(self, broker: Broker, database: Database, *, ingesting: bool = True) -> None:
        self.link = Link("127.0.0.1", broker.port, None, database, clock=lambda: NOW)
        self.ingest = Ingest(
            database, self.link.inbox, WRITER, clock=lambda: NOW, acknowledge=self.link.acknowledge, on_taken=lambda _: self.link.wake()
        )
        self._ingesting = ingesting

    def start(self) -> Controller:
        self.link.start()
        if self._ingesting:
            self.ingest.start()
        return self

    def stop(self) -> None:
        self.link.stop()
        if self._ingesting:
            self.ingest.stop()


class Listener:
    """A client that remembers what it was sent."""

    def __init__(self, broker: Broker, name: str = "listener") -> None:
        self.messages: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def publish(self, device: str, channel: Channel, payload: bytes) -> None:
        self.client.publish(Topic(device, channel).text, payload, qos=1, retain=channel.retained).wait_for_publish(10)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "it did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    one = Broker(tmp_path)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = open_in(tmp_path)
    with one.write() as session:
        session.add_all([device_row(name, online=False) for name in NAMES])
    yield one
    one.close()


@pytest.fixture
def stopping() -> Iterator[list[Controller | Listener]]:
    """What is put here is stopped at the end, the last first."""
    running: list[Controller | Listener] = []
    yield running
    for one in reversed(running):
        one.stop()


def wish_for_all(database: Database, version: int) -> None:
    with database.write() as session:
        wish_all(session, WRITER, [Wish(name, "digits", content(version)) for name in NAMES], None, NOW)


def outbox(database: Database) -> int:
    with database.read() as session:
        return session.exec(select(func.count()).select_from(OutboxRow)).one()


def windows(database: Database) -> int:
    with database.read() as session:
        return session.exec(select(func.count()).select_from(WindowRow)).one()


def retained(broker: Broker, stopping: list[Controller | Listener]) -> dict[str, int]:
    """Which version the broker holds for each device."""
    listener = Listener(broker, f"reader{time.monotonic_ns()}")
    stopping.append(listener)
    listener.client.subscribe("argosy/v1/d/+/desired", 1)
    found: dict[str, int] = {}

    def read_on() -> bool:
        while not listener.messages.empty():
            message = listener.messages.get()
            found[message.topic.split("/")[3]] = opened(message.payload).slots["digits"].version
        return len(found) == len(NAMES)

    until(read_on)
    return found


def test_wishes_reach_the_broker_and_leave_the_outbox(broker: Broker, database: Database, stopping: list[Controller | Listener]) -> None:
    wish_for_all(database, 1)
    controller = Controller(broker, database).start()
    stopping.append(controller)
    until(lambda: outbox(database) == 0)
    wish_for_all(database, 2)
    controller.link.wake()
    until(lambda: outbox(database) == 0)
    assert set(retained(broker, stopping).values()) == {2}


def test_a_broker_that_lost_everything_is_told_everything_again(
    broker: Broker, database: Database, stopping: list[Controller | Listener]
) -> None:
    wish_for_all(database, 1)
    controller = Controller(broker, database).start()
    stopping.append(controller)
    until(lambda: outbox(database) == 0)
    broker.stop()
    until(lambda: controller.link.listening_since is None)
    broker.start()
    until(lambda: controller.link.listening_since is not None)
    assert set(retained(broker, stopping).values()) == {1}


def test_a_broker_that_is_down_at_start_is_waited_for(broker: Broker, database: Database, stopping: list[Controller | Listener]) -> None:
    broker.stop()
    wish_for_all(database, 1)
    controller = Controller(broker, database).start()
    stopping.append(controller)
    time.sleep(0.2)
    assert controller.link.listening_since is None and outbox(database) == len(NAMES)
    broker.start()
    until(lambda: outbox(database) == 0)


def test_what_a_killed_controller_had_not_stored_comes_again(
    broker: Broker, database: Database, stopping: list[Controller | Listener]
) -> None:
    device = Listener(broker, "d000")
    stopping.append(device)
    killed = Controller(broker, database, ingesting=False).start()
    until(lambda: killed.link.listening_since is not None)
    for sequence in range(30):
        device.publish("d000", Channel.TELEMETRY, to_msgpack(window(device="d000", sequence=sequence)))
    until(lambda: killed.link.inbox.qsize() == 30)
    killed.stop()
    for sequence in range(30, 60):  # and what was sent while nobody listened
        device.publish("d000", Channel.TELEMETRY, to_msgpack(window(device="d000", sequence=sequence)))
    stopping.append(Controller(broker, database).start())
    until(lambda: windows(database) == 60)


def test_reports_presence_and_events_arrive(broker: Broker, database: Database, stopping: list[Controller | Listener]) -> None:
    device = Listener(broker, "d001")
    stopping.append(device)
    device.publish("d001", Channel.REPORTED, SmallDevice("d001", generation=5).report())  # before the controller is there: retained
    controller = Controller(broker, database).start()
    stopping.append(controller)
    until(lambda: controller.link.listening_since is not None)
    device.publish("d001", Channel.PRESENCE, b'{"device":"d001","online":true,"boot":"b0"}')
    device.publish("d001", Channel.EVENT, to_json(event(device="d001")))
    device.publish("d001", Channel.EVENT, b"\xff" * 100)
    device.publish("stranger", Channel.EVENT, to_json(event(device="stranger")))

    def arrived() -> bool:
        with database.read() as session:
            row = session.get_one(DeviceRow, "d001")
            kinds = sorted(one.kind for one in session.exec(select(EventRow)))
        return (row.reported_generation, row.online, kinds) == (5, True, ["hostile", "went-back"])

    until(arrived)
    until(lambda: controller.ingest.tally.ignored >= 1)
