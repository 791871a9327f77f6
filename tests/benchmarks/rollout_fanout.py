"""How fast one rollout reaches a fleet: 1,000 simulated devices on mosquitto, 200 on amqtt.

The devices speak the agent's real protocol code (`agent simulate`): enrolment, TLS, MQTT, signatures, TUF, the updater; only the download,
the probe and the worker are played. Against it: a bare client that publishes the very same documents, retained and with QoS 1, to
the same kind of broker over the same TLS, and does nothing else.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from controller_process import ControllerProcess
from onnx import TensorProto, helper, save
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from record import Figure, leave, write

from argosy.topics import Channel, Topic
from argosy_controller.broker.running import BrokerTls
from argosy_controller.broker.start import start_broker
from argosy_controller.web.listeners import free_port

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / ".venv-device" / "bin" / "agent"
#: Devices of a fleet spread an update over 2 s, and confirm after a health window of 1 s here: no rollout can be faster than that.
WINDOW_S = 1.0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mosquitto", type=int, default=1000, help="devices on mosquitto, 0 for none")
    parser.add_argument("--amqtt", type=int, default=200, help="devices on amqtt, 0 for none")
    options = parser.parse_args()
    figures: list[Figure] = []
    for broker, devices in (("mosquitto", options.mosquitto), ("amqtt", options.amqtt)):
        if devices and (broker != "mosquitto" or shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()):
            figures += measure(broker, devices)
    leave(write("rollout-fanout", figures))


def measure(broker: str, devices: int) -> list[Figure]:
    """One fleet on one broker."""
    with tempfile.TemporaryDirectory(prefix="argosy-fanout-") as temporary:
        folder = Path(temporary)
        seen = roll_out(folder, broker, devices)
        generation = seen["generations"][0]
        raw = publish_raw(folder, broker, documents(folder / "fleet" / "argosy.db"))
    told, confirmed = devices / generation["told_s"]["last"], devices / generation["confirmed_s"]["last"]
    name = f"{devices:,} devices on {broker}"
    against = "raw publishes of the same bytes"
    whole = generation["told"] == generation["confirmed"] == devices and seen["refusals"] == 0
    return [
        Figure(f"{name}: confirmed", generation["confirmed"], "devices", kind="must", aim="every device", met=whole),
        Figure(f"{name}: told", told, "devices/s", against, told / raw),
        Figure(f"{name}: confirmed", confirmed, "devices/s", against, confirmed / raw),
        Figure(f"{name}: last one confirmed after", generation["confirmed_s"]["last"], "s"),
        Figure(f"{name}: raw publishes, retained, QoS 1, TLS", raw, "messages/s"),
        Figure(f"{name}: enrolled", devices / seen["enrol_s"], "devices/s"),
        Figure(f"{name}: connected", devices / seen["connect_s"], "devices/s"),
    ]


def roll_out(folder: Path, broker: str, devices: int) -> dict[str, Any]:
    """Brings one small model to a simulated fleet; returns what the devices saw."""
    controller = ControllerProcess(folder / "fleet", ("--http", "127.0.0.1:0", "--broker", broker)).start()
    try:
        imported = controller.run("models", "import", "tiny", tiny_model(folder), "--json")
        assert imported.code == 0, imported.err
        line = controller.run("tokens", "create", "--uses", str(devices), "--json").document["line"]
        with simulated(line, folder / "devices", devices) as fleet:
            started = controller.run("rollouts", "start", "tiny@1", "--to", "*", "--health-window", f"{WINDOW_S:.0f}s", "--json")
            assert started.code == 0, started.err
            out, _ = fleet.communicate(timeout=900)
    finally:
        controller.end()
    found: dict[str, Any] = json.loads(out)
    return found


@contextmanager
def simulated(line: str, state: Path, devices: int) -> Iterator[subprocess.Popen[str]]:
    """`agent simulate`, from the moment when every device is connected and has said what it can run."""
    command = [str(AGENT), "simulate", line, "--state", str(state), "--devices", str(devices), "--timeout", "15m"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            ready = threading.Event()
            threading.Thread(target=_drain, args=(process, ready), daemon=True).start()
            if not ready.wait(600):
                raise SystemExit("the simulated devices did not connect within 10 minutes")
            time.sleep(3.0)  # the last reports are being taken in; what is measured begins after them
            yield process
        finally:
            process.kill()


def _drain(process: subprocess.Popen[str], ready: threading.Event) -> None:
    assert process.stderr is not None
    for text in process.stderr:
        if text.strip() == "ready":
            ready.set()
        else:
            sys.stderr.write(text)


def tiny_model(folder: Path) -> Path:
    """An ONNX file that doubles four numbers: the rollout is measured, not the model."""
    tensor = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "tiny", tensor[:1], tensor[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path := folder / "tiny.onnx")
    return path


def documents(database: Path) -> list[tuple[str, bytes]]:
    """Topic and signed document of every device."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT device, envelope FROM desired").fetchall()
    finally:
        connection.close()
    return [(Topic(device, Channel.DESIRED).text, bytes(envelope)) for device, envelope in rows]


def publish_raw(folder: Path, kind: str, messages: list[tuple[str, bytes]]) -> float:
    """Messages per second that a bare client gets acknowledged by a fresh broker of that kind; the best of three."""
    ca = folder / "fleet" / "ca"
    files = BrokerTls(ca / "ca.crt", ca / "server.crt", ca / "server.key", ca / "crl.pem")
    broker = start_broker(kind, folder / "raw-broker", "127.0.0.1", free_port("127.0.0.1"), files)
    try:
        client = connected(broker.address, ca)
        best = max(_burst(client, messages) for _ in range(3))
        client.disconnect()
        client.loop_stop()
        return best
    finally:
        broker.stop()


def connected(address: tuple[str, int], ca: Path) -> mqtt.Client:
    """A bare client with the controller's certificate."""
    context = ssl.create_default_context(cafile=str(ca / "ca.crt"))
    context.load_cert_chain(ca / "clients" / "controller.crt", ca / "clients" / "controller.key")
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="controller", clean_session=False)
    client.tls_set_context(context)
    client.max_inflight_messages_set(100)
    ready = threading.Event()
    client.on_connect = lambda *_: ready.set()
    client.connect(*address)
    client.loop_start()
    if not ready.wait(10):
        raise SystemExit("the bare client could not connect")
    return client


def _burst(client: mqtt.Client, messages: list[tuple[str, bytes]]) -> float:
    began = time.perf_counter()
    sent = [client.publish(topic, payload, qos=1, retain=True) for topic, payload in messages]
    for one in sent:
        one.wait_for_publish(60)
    return len(messages) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
