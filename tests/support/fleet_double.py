"""A small fleet to stand in for the controller: real TLS, a real TUF repository, a real broker; faults on demand.

The controller's own code is not used: what an agent relies on is written here a second time, from the protocol.
"""

from __future__ import annotations

import datetime
import getpass
import hashlib
import ipaddress
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import paho.mqtt.client as mqtt
import zstandard
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from argosy.envelope import seal
from argosy.proof import NONCE_HEADER, check_proof
from argosy.protocol.codec import from_json, from_msgpack, to_json
from argosy.protocol.desired import PAYLOAD_TYPE, Desired, Gates, SlotContent
from argosy.protocol.enrolment import Enrolled, EnrolRequest, RenewRequest, TokenLine, TrustAnchors, write_line
from argosy.protocol.reported import Event, Reported
from argosy.protocol.telemetry import Window
from argosy.topics import Channel, Topic, parse_topic

SECRET = "s3cret"
_DAY = datetime.timedelta(days=1)
MOSQUITTO = next((path for path in ("/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto") if Path(path).exists()), None)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(condition: Callable[[], object], deadline_s: float = 20.0, what: str = "") -> object:
    """Waits until a condition holds and returns what it gave."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"did not come about within {deadline_s} s: {what or condition}")


class Authority:
    """The device CA."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "double CA")])
        builder = self._builder(self.name, self.key.public_key(), 365 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def pin(self) -> str:
        spki = self.key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()

    def _builder(self, subject: x509.Name, key: object, life: datetime.timedelta) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key)  # type: ignore[arg-type]
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + life)
        return builder

    def issue(self, name: str, key: object, life: datetime.timedelta = 30 * _DAY) -> str:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._builder(subject, key, life).add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    def keep(self, folder: Path, name: str) -> tuple[Path, Path]:
        """A certificate with its key, in files."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{name}.key").write_bytes(pem)
        (folder / f"{name}.crt").write_text(self.issue(name, key.public_key()))
        return folder / f"{name}.crt", folder / f"{name}.key"


class TufDouble:
    """A TUF repository in memory: one publisher key for everything, and the director."""

    def __init__(self) -> None:
        self.signer = CryptoSigner.generate_ed25519()
        self.director = CryptoSigner.generate_ed25519()
        self.files: dict[str, bytes] = {}
        self.targets: dict[str, bytes] = {}
        self.version = 0
        self.expires = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + 30 * _DAY
        root = Root(expires=self.expires + 365 * _DAY, consistent_snapshot=True)
        for role in ("root", "targets", "snapshot", "timestamp"):
            root.add_key(self.signer.public_key, role)
        self.root = self._signed(root)
        self.files["1.root.json"] = self.root
        self._models: dict[str, Targets] = {}
        self.publish()

    @property
    def repository(self) -> str:
        return hashlib.sha256(self.root).hexdigest()

    def _signed(self, body: object) -> bytes:
        metadata = Metadata(body)  # type: ignore[type-var, arg-type]
        metadata.sign(self.signer)
        return bytes(metadata.to_bytes())

    def add(self, path: str, data: bytes) -> None:
        """Signs a target; `publish` makes it known."""
        model = path.split("/")[0]
        body = self._models.setdefault(model, Targets(expires=self.expires))
        body.targets[path] = TargetFile.from_data(path, data, ["sha256"])
        folder, _, name = path.rpartition("/")
        self.targets[f"{folder}/{hashlib.sha256(data).hexdigest()}.{name}"] = data

    def publish(self) -> None:
        """New targets, snapshot and timestamp."""
        self.version += 1
        meta = {"targets.json": MetaFile(self.version)}
        keys = {key.keyid: key for key in (self.signer.public_key, self.director.public_key)}
        roles = {"director": DelegatedRole("director", [self.director.public_key.keyid], 1, True, paths=[])}
        for model, body in self._models.items():
            body.version, body.expires = self.version, self.expires
            role = f"model/{model}"
            roles[role] = DelegatedRole(role, [self.signer.public_key.keyid], 1, True, paths=[f"{model}/*/*/*"])
            meta[f"{role}.json"] = MetaFile(self.version)
            self.files[f"{self.version}.model%2F{model}.json"] = self._signed(body)
        targets = Targets(self.version, expires=self.expires, delegations=Delegations(keys, roles))
        self.files[f"{self.version}.targets.json"] = self._signed(targets)
        self.files[f"{self.version}.snapshot.json"] = self._signed(Snapshot(self.version, expires=self.expires, meta=meta))
        timestamp = Timestamp(self.version, expires=self.expires, snapshot_meta=MetaFile(self.version))
        self.files["timestamp.json"] = self._signed(timestamp)


@dataclass
class Faults:
    """What goes wrong at the HTTPS listener.

    Attributes:
        shed: how many more requests get 503 with Retry-After.
        break_after: bytes after which a target's transfer breaks off; once per entry.
        trickle: bytes a second of targets.
        spoil: paths (by their end) whose bytes are altered.
        break_packed: the packed form does not unpack.
    """

    shed: int = 0
    break_after: list[int] = field(default_factory=list)
    trickle: float = 0.0
    spoil: set[str] = field(default_factory=set)
    break_packed: bool = False


class FleetDouble:
    """Everything that an agent talks to. `close` ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = Authority()
        self.tuf = TufDouble()
        self.faults = Faults()
        self.devices: dict[str, SSlibKey] = {}
        self.desired: dict[str, bytes] = {}
        self.generation = 0
        self.requests: list[tuple[str, str, dict[str, str], int]] = []
        self.reported: dict[str, Reported] = {}
        self.presence: dict[str, list[bool]] = {}
        self.events: list[Event] = []
        self.windows: dict[tuple[str, str, int], Window] = {}
        self.uses = 10
        self.life = 30 * _DAY
        (folder / "ca.pem").write_text(self.ca.pem)
        self.server_crt, self.server_key = self.ca.keep(folder, "server")
        self.client_crt, self.client_key = self.ca.keep(folder, "controller")
        self.mqtt_port = free_port()
        self._broker: subprocess.Popen[bytes] | None = None
        self._client: mqtt.Client | None = None
        self._http = self._listen(0)

    # --- life --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self.stop_http()
        if self._client:
            self._client.disconnect()
            self._client.loop_stop()
        self.stop_broker()

    def _listen(self, port: int) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_crt, self.server_key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.http_port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def stop_http(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def start_http(self) -> None:
        self._http = self._listen(self.http_port)

    def start_broker(self) -> None:
        assert MOSQUITTO
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(
            f"listener {self.mqtt_port} 127.0.0.1\ncafile {self.folder}/ca.pem\ncertfile {self.server_crt}\nkeyfile {self.server_key}\n"
            "require_certificate true\nuse_identity_as_username true\nuse_username_as_clientid true\nallow_anonymous false\n"
            f"persistence true\npersistence_location {self.folder}/\nautosave_interval 1\nlog_type none\nuser {getpass.getuser()}\n"
        )
        self._broker = subprocess.Popen([MOSQUITTO, "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: _accepts(self.mqtt_port), what="the broker listens")
        if self._client is None:
            self._connect()

    def stop_broker(self) -> None:
        if self._broker:
            self._broker.terminate()
            self._broker.wait(10)
        self._broker = None

    def _connect(self) -> None:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="controller", clean_session=False)
        client.tls_set(str(self.folder / "ca.pem"), str(self.client_crt), str(self.client_key))
        client.on_message = self._on_message
        client.on_connect = lambda c, *_: c.subscribe("argosy/v1/d/+/+", 1)
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", self.mqtt_port)
        client.loop_start()
        self._client = client

    def _on_message(self, client: object, userdata: object, message: mqtt.MQTTMessage) -> None:
        topic = parse_topic(message.topic)
        if topic is None:
            return
        if topic.channel is Channel.REPORTED:
            self.reported[topic.device] = from_json(Reported, message.payload)
        elif topic.channel is Channel.PRESENCE:
            self.presence.setdefault(topic.device, []).append(json.loads(message.payload)["online"])
        elif topic.channel is Channel.EVENT:
            self.events.append(from_json(Event, message.payload))
        elif topic.channel is Channel.TELEMETRY:
            window = from_msgpack(Window, message.payload)
            self.windows[(window.device, window.boot, window.sequence)] = window

    # --- what the controller would do --------------------------------------------------------------------------------

    def line(self, **changes: str) -> str:
        values = {"url": f"https://127.0.0.1:{self.http_port}", "ca": self.ca.pin, "root": self.tuf.repository, "secret": SECRET}
        return write_line(TokenLine(**{**values, **changes}))

    def register(self, folder: Path, content: SlotContent) -> SlotContent:
        """Signs every file of a variant's folder."""
        for path in sorted(folder.iterdir()):
            self.tuf.add(f"{content.model}/{content.version}/{content.variant}/{path.name}", path.read_bytes())
        self.tuf.publish()
        return content

    def wish(
        self, device: str, slots: dict[str, SlotContent], gates: Gates | None = None, *, send: bool = True, **changes: object
    ) -> bytes:
        """A signed desired document, retained at the broker and served over HTTPS."""
        self.generation += 1
        now = time.time()
        values: dict[str, object] = {
            "repository": self.tuf.repository, "device": device, "generation": self.generation, "issued": now,
            "expires": now + 86400, "timestamp_version": self.tuf.version, "slots": slots, "gates": gates or Gates(window_s=1.0),
        }  # fmt: skip
        raw = seal(PAYLOAD_TYPE, to_json(Desired(**{**values, **changes})), self.tuf.director)  # type: ignore[arg-type]
        self.desired[device] = raw
        if send:
            self.publish(device, raw)
        return raw

    def publish(self, device: str, raw: bytes) -> None:
        """Puts bytes on a device's desired topic."""
        if self._client:
            self._client.publish(Topic(device, Channel.DESIRED).text, raw, qos=1, retain=True)

    def kinds(self, device: str) -> list[str]:
        return [event.kind for event in self.events if event.device == device]

    def codes(self, device: str) -> list[str]:
        return [event.failure.code for event in self.events if event.device == device and event.failure]

    def enrolled(self, name: str, certificate: str) -> Enrolled:
        base = f"https://127.0.0.1:{self.http_port}"
        return Enrolled(
            device=name, certificate_pem=certificate, ca_pem=self.ca.pem, repository=self.tuf.repository, broker_host="127.0.0.1",
            broker_port=self.mqtt_port, api_url=base, metadata_url=f"{base}/device/v1/tuf/metadata/",
            targets_url=f"{base}/device/v1/tuf/targets/",
        )  # fmt: skip


def _accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _handler(fleet: FleetDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            path = unquote(split.path) if "targets" in split.path else split.path
            if path == "/device/v1/trust":
                self._answer(200, to_json(TrustAnchors(ca_pem=fleet.ca.pem, root_json=fleet.tuf.root.decode())))
            elif fleet.faults.shed > 0:
                fleet.faults.shed -= 1
                self._answer(503, b'{"title": "busy"}', {"Retry-After": "1"})
            elif device := self._proven(b""):
                self._serve(path, split.query, device)

        def _serve(self, path: str, query: str, device: str) -> None:
            if path == "/device/v1/desired":
                found = fleet.desired.get(device)
                self._answer(200, found) if found else self._answer(404, b"{}")
            elif path.startswith("/device/v1/tuf/metadata/"):
                found = fleet.tuf.files.get(path.rsplit("/", 1)[1])
                self._answer(200, found) if found else self._answer(404, b"{}")
            else:
                self._target(path.removeprefix("/device/v1/tuf/targets/"), parse_qs(query))

        def _target(self, path: str, query: dict[str, list[str]]) -> None:
            data = fleet.tuf.targets.get(path)
            if data is None:
                return self._answer(404, b'{"detail": "no such target"}')
            if any(path.endswith(end) for end in fleet.faults.spoil):
                data = bytes([data[0] ^ 1]) + data[1:]
            encoding = "identity"
            if query.get("encoding") == ["zstd"] and len(packed := zstandard.compress(data)) < len(data):
                data, encoding = packed if not fleet.faults.break_packed else packed[: len(packed) // 2] + bytes(len(packed) // 2), "zstd"
            self._ranged(data, {"Argosy-Encoding": encoding, "ETag": f'"{hashlib.sha256(data).hexdigest()[:16]}"'})
            return None

        def _ranged(self, data: bytes, headers: dict[str, str]) -> None:
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if wanted and self.headers.get("If-Range") == headers["ETag"]:
                start = int(wanted.group(1))
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
                self._answer(206, data[start:], headers)
            else:
                self._answer(200, data, headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/device/v1/enrol":
                self._enrol(from_json(EnrolRequest, body))
            elif self.path == "/device/v1/renew" and (device := self._proven(body)):
                self._certify(device, from_json(RenewRequest, body).csr_pem)

        def _enrol(self, request: EnrolRequest) -> None:
            if request.secret != SECRET or fleet.uses <= 0:
                return self._answer(401, b'{"title": "no", "detail": "the token is used up: make a new one"}')
            key = x509.load_pem_x509_csr(request.csr_pem.encode()).public_key()
            known = fleet.devices.get(request.name)
            if known and known != SSlibKey.from_crypto(key):  # type: ignore[arg-type]
                return self._answer(409, b'{"detail": "the name is taken: choose another"}')
            fleet.uses -= 1
            fleet.devices[request.name] = SSlibKey.from_crypto(key)  # type: ignore[arg-type]
            self._certify(request.name, request.csr_pem)
            return None

        def _certify(self, name: str, csr_pem: str) -> None:
            key = x509.load_pem_x509_csr(csr_pem.encode()).public_key()
            self._answer(200, to_json(fleet.enrolled(name, fleet.ca.issue(name, key, fleet.life))))

        def _proven(self, body: bytes) -> str | None:
            header = self.headers.get("Authorization", "")
            for name, key in fleet.devices.items():
                try:
                    proof = check_proof(header, method=self.command, path=self.path, body=body, key=key)
                except Exception:
                    continue
                if proof.device == name and proof.nonce == "nonce":
                    return name
            self._answer(401, b'{"title": "sign again"}')
            return None

        def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            fleet.requests.append((self.command, self.path, dict(self.headers), status))
            self.send_response(status)
            for name, value in {NONCE_HEADER: "nonce", "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self._send(body, target="Argosy-Encoding" in (headers or {}) and "card.json" not in self.path)
            except OSError:
                self.close_connection = True

        def _send(self, body: bytes, *, target: bool) -> None:
            faults = fleet.faults
            if target and faults.break_after:
                self.wfile.write(body[: faults.break_after.pop(0)])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
            elif target and faults.trickle:
                step = max(1, int(faults.trickle / 20))
                for at in range(0, len(body), step):
                    self.wfile.write(body[at : at + step])
                    time.sleep(0.05)
            else:
                self.wfile.write(body)

    return Handler
