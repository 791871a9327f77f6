"""A managed broker starts, serves, comes back, ends with its controller, and says clearly what is wrong."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from broker_site import Authority, Site, free_port, wait_until

from argosy.errors import Conflict, InvalidInput, Unavailable
from argosy_controller.broker import RunningBroker, start_broker
from argosy_controller.broker.attacks import ClientFiles
from argosy_controller.broker.wire import Closed, Wire, client_context

pytestmark = pytest.mark.integration

PARENT = """
import sys, time
from pathlib import Path
from argosy_controller.broker import BrokerTls, start_broker
kind, folder, port, ca, certificate, key = sys.argv[1:]
broker = start_broker(kind, Path(folder), "127.0.0.1", int(port), BrokerTls(Path(ca), Path(certificate), Path(key)))
print(broker.process_id(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_controller_takes_its_broker_along(own_site: Site, authority_beside: Authority, tmp_path: Path, stop: int) -> None:
    tls, port = authority_beside.tls(), free_port()
    command = [sys.executable, "-c", PARENT, own_site.kind, str(tmp_path / "of-parent"), str(port)]
    parent = subprocess.Popen([*command, str(tls.ca), str(tls.certificate), str(tls.key)], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        parent.send_signal(stop)
        parent.wait()
        assert wait_until(lambda: gone(child), 5)
    finally:
        parent.kill()
        parent.wait()
        assert parent.stdout is not None
        parent.stdout.close()


@pytest.fixture
def authority_beside(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "another-ca")


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_launcher_whose_parent_has_ended_starts_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    command = [sys.executable, "-m", "argosy_controller.broker.launcher", str(os.getpid() + 1), "/usr/bin/touch", str(marker)]
    assert subprocess.run(command, capture_output=True, timeout=20).returncode != 0
    assert not marker.exists()


def test_a_broker_that_died_is_started_again(own_site: Site) -> None:
    os.kill(own_site.process_id(), signal.SIGKILL)
    assert wait_until(lambda: not own_site.broker.alive())
    assert own_site.broker.ensure() is True
    assert own_site.broker.ensure() is False
    own_site.connect("pi-7").publish("argosy/v1/d/pi-7/event", b"back")


def test_a_broker_outlives_the_thread_that_started_it_again(own_site: Site) -> None:
    os.kill(own_site.process_id(), signal.SIGKILL)
    assert wait_until(lambda: not own_site.broker.alive())
    thread = threading.Thread(target=own_site.broker.ensure)
    thread.start()
    thread.join()
    own_site.connect("pi-7").ping()
    assert own_site.broker.alive()


def test_mosquitto_starts_without_what_it_stored_when_that_is_damaged(mosquitto_site: Site) -> None:
    own_site = mosquitto_site
    own_site.controller().publish("argosy/v1/d/pi-7/desired", b"document", retain=True)
    own_site.broker.restart()  # type: ignore[attr-defined]
    os.kill(own_site.process_id(), signal.SIGKILL)
    assert wait_until(lambda: not own_site.broker.alive())
    stored = own_site.folder / "broker.db"
    stored.write_bytes(bytes(100))
    assert own_site.broker.ensure()
    own_site.connect("pi-7").ping()
    assert (own_site.folder / "broker.db.unreadable").exists()


def test_stop_ends_it_and_stays_ended(own_site: Site) -> None:
    device, pid = own_site.connect("pi-7"), own_site.process_id()
    own_site.broker.stop()
    assert device.await_end(2)
    assert gone(pid)
    own_site.broker.stop()
    assert own_site.broker.ensure() is False
    assert not own_site.broker.alive()


def test_its_files_are_closed_to_others(own_site: Site) -> None:
    assert own_site.folder.stat().st_mode & 0o077 == 0
    for path in own_site.folder.iterdir():
        assert path.is_socket() or path.stat().st_mode & 0o077 == 0, path


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root has powers to give up")
def test_a_broker_started_by_root_has_no_powers_of_root(own_site: Site) -> None:
    status = Path(f"/proc/{own_site.process_id()}/status").read_text()
    facts = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert {int(facts[f"Cap{each}"], 16) for each in ("Prm", "Eff", "Bnd", "Amb")} == {0}
    assert facts["NoNewPrivs"] == "1"


@pytest.mark.parametrize("kind", ["auto", "amqtt"])
def test_a_taken_port_is_one_clear_sentence(kind: str, authority: Authority, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=rf"port 127\.0\.0\.1:{port} for the broker is taken by another program"):
            start_broker(kind, tmp_path / "broker", "127.0.0.1", port, authority.tls())


@pytest.mark.parametrize("kind", ["auto", "amqtt"])
def test_an_address_of_another_machine_is_one_clear_sentence(kind: str, authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot listen on 192\.0\.2\.1:\d+"):
        start_broker(kind, tmp_path / "broker", "192.0.2.1", free_port(), authority.tls())


@pytest.mark.parametrize("kind", ["auto", "amqtt"])
def test_damaged_certificate_files_are_one_clear_sentence(kind: str, authority: Authority, tmp_path: Path) -> None:
    tls = authority.tls()
    tls.certificate.write_text("no certificate")
    with pytest.raises(Unavailable, match=r"broker ended at once \(.+\): its log is .*broker\.log"):
        start_broker(kind, tmp_path / "broker", "127.0.0.1", free_port(), tls)


def test_an_external_broker_that_is_down_is_one_clear_sentence(authority: Authority, tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=rf"the broker at 127\.0\.0\.1:{port} does not answer: start it, or check"):
        start_broker(f"mqtts://127.0.0.1:{port}", tmp_path, "", 0, authority.tls())


def test_an_external_broker_of_another_ca_is_one_clear_sentence(own_site: Site, authority_beside: Authority, tmp_path: Path) -> None:
    url = f"mqtts://127.0.0.1:{own_site.broker.address[1]}"
    with pytest.raises(Unavailable, match="do not accept each other"):
        start_broker(url, tmp_path, "", 0, authority_beside.tls())


def test_an_external_broker_that_refuses_our_certificate_is_one_clear_sentence(
    own_site: Site, authority_beside: Authority, tmp_path: Path
) -> None:
    files = authority_beside.issue("controller")
    url = f"mqtts://127.0.0.1:{own_site.broker.address[1]}"
    with pytest.raises(Unavailable, match="do not accept each other"):
        start_broker(url, tmp_path, "", 0, own_site.authority.tls(files))


def test_an_external_broker_that_went_down_is_told_by_ensure(own_site: Site, tmp_path: Path) -> None:
    tls = own_site.authority.tls(own_site.authority.issue("controller"))
    external = start_broker(f"mqtts://127.0.0.1:{own_site.broker.address[1]}", tmp_path, "", 0, tls)
    assert external.ensure() is False
    own_site.broker.stop()
    with pytest.raises(Unavailable, match="does not answer"):
        external.ensure()


# --- revocation ------------------------------------------------------------------------------------------------------


def refused(site: Site, files: ClientFiles, name: str) -> bool:
    try:
        site.connect(name, files=files).close()
    except Closed:
        return True
    return False


def revoke(site: Site, broker: RunningBroker, **devices: ClientFiles) -> None:
    site.authority.revoke(*devices.values())
    assert broker.revoke([name.replace("_", "-") for name in devices]) is None


def test_a_revoked_device_loses_its_live_session_and_cannot_return(own_site: Site) -> None:
    files = own_site.authority.issue("pi-7")
    device, other = own_site.connect("pi-7", files=files), own_site.connect("pi-8")
    revoke(own_site, own_site.broker, pi_7=files)
    assert device.await_end(2)
    assert refused(own_site, files, "pi-7")
    other.ping()  # nobody else was disturbed
    own_site.connect("pi-7").ping()  # the name lives on, with another certificate


def test_two_devices_revoked_within_one_second_are_both_shut_out(own_site: Site) -> None:
    first, second = own_site.authority.issue("pi-7"), own_site.authority.issue("pi-8")
    for name, files in (("pi_7", first), ("pi_8", second)):
        device = own_site.connect(name.replace("_", "-"), files=files)
        revoke(own_site, own_site.broker, **{name: files})
        assert device.await_end(2)
    assert refused(own_site, first, "pi-7")
    assert refused(own_site, second, "pi-8")


def test_a_revoked_device_leaves_no_stored_session(own_site: Site) -> None:
    files = own_site.authority.issue("pi-7")
    device = own_site.connect("pi-7", clean=False, files=files)
    device.subscribe("argosy/v1/d/pi-7/command")
    device.disconnect()
    revoke(own_site, own_site.broker, pi_7=files)
    assert not own_site.connect("pi-7", clean=False).session_present


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_revoked_device_cannot_return_by_resuming_its_tls_session(own_site: Site, version: ssl.TLSVersion) -> None:
    files = own_site.authority.issue("pi-7")
    context = client_context(own_site.authority.ca, (files.certificate, files.key))
    context.minimum_version = context.maximum_version = version
    with context.wrap_socket(socket.create_connection(own_site.broker.address, 5)) as tls:
        Wire(tls).connect("pi-7").ping()
        remembered = tls.session
    revoke(own_site, own_site.broker, pi_7=files)
    with socket.create_connection(own_site.broker.address, 5) as tcp, pytest.raises((Closed, OSError)):  # noqa: SIM117
        with context.wrap_socket(tcp, session=remembered) as tls:
            Wire(tls).connect("pi-7")


def test_a_device_revoked_while_the_broker_is_down_is_shut_out_when_it_is_back(own_site: Site) -> None:
    files = own_site.authority.issue("pi-7")
    os.kill(own_site.process_id(), signal.SIGKILL)
    assert wait_until(lambda: not own_site.broker.alive())
    revoke(own_site, own_site.broker, pi_7=files)
    own_site.broker.ensure()
    assert refused(own_site, files, "pi-7")


def test_a_renewed_server_certificate_is_taken_over(own_site: Site) -> None:
    tls = own_site.broker._tls  # type: ignore[attr-defined]
    before = served_certificate(own_site)
    own_site.authority.write("broker", ClientFiles(tls.certificate, tls.key))
    own_site.authority.revoke()
    assert own_site.broker.revoke([]) is None
    assert served_certificate(own_site) != before


def served_certificate(site: Site) -> bytes | None:
    with socket.create_connection(site.broker.address, 5) as tcp, client_context(site.authority.ca, None).wrap_socket(tcp) as tls:
        return tls.getpeercert(binary_form=True)


def test_a_damaged_list_is_refused_and_the_old_one_holds(own_site: Site) -> None:
    files = own_site.authority.issue("pi-7")
    revoke(own_site, own_site.broker, pi_7=files)
    own_site.authority.crl.write_text("no list")
    with pytest.raises((InvalidInput, Unavailable), match="list of revoked certificates"):
        own_site.broker.revoke(["pi-8"])
    assert refused(own_site, files, "pi-7")


def test_an_external_broker_tells_what_the_operator_must_do(own_site: Site, tmp_path: Path) -> None:
    tls = own_site.authority.tls(own_site.authority.issue("controller"))
    external = start_broker(f"mqtts://127.0.0.1:{own_site.broker.address[1]}", tmp_path, "", 0, tls)
    note = external.revoke(["pi-7"])
    assert note is not None
    assert "end the sessions of pi-7" in note
