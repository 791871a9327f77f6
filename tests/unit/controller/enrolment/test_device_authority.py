"""The device CA: what it signs, what it refuses, and how it is replaced without cutting anybody off."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from argosy.errors import Conflict, IncompatibleData, InvalidInput
from argosy_controller.enrolment.authority import CertificateFiles, DeviceAuthority

DAY = 86_400.0
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: these tests live at a time of their own


@pytest.fixture
def device(tmp_path: Path, authority: DeviceAuthority, make_request: Callable[..., str], clock: Any) -> CertificateFiles:
    return enrolled(tmp_path, authority, make_request, "pi-7", clock())


def enrolled(folder: Path, authority: DeviceAuthority, make_request: Callable[..., str], name: str, now: float) -> CertificateFiles:
    """What a device keeps of its enrolment: its certificate and key, and the CAs that it was told to trust."""
    key = Ed25519PrivateKey.generate()
    files = CertificateFiles(folder / f"{name}.crt", folder / f"{name}.key", folder / f"{name}.ca.pem")
    files.certificate.write_text(authority.issue_device(make_request(name, key), name, now).pem)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files.ca.write_text(authority.ca_pem)
    return files


def handshake(server: CertificateFiles, client: CertificateFiles, hostname: str = "localhost", crl: Path | None = None) -> None:
    """A mutual TLS handshake in memory; raises ssl.SSLError when either side refuses."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.verify_mode = ssl.CERT_REQUIRED
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context, files in ((server_side, server), (client_side, client)):
        context.load_cert_chain(files.certificate, files.key)
        context.load_verify_locations(files.ca)
        context.verify_flags |= NO_CHECK_TIME
    if crl is not None:
        server_side.load_verify_locations(crl)
        server_side.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client_side.wrap_bio(to_client, to_server, server_hostname=hostname),
        server_side.wrap_bio(to_server, to_client, server_side=True),
    ]
    done = [False, False]
    for _ in range(10):
        for each, end in enumerate(ends):
            if not done[each]:
                done[each] = _step(end)
    assert done == [True, True]


def _step(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def test_a_device_certificate_says_who_it_is_and_nothing_more(
    authority: DeviceAuthority, make_request: Callable[..., str], clock: Any
) -> None:
    issued = authority.issue_device(make_request("pi-7"), "pi-7", clock())
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    assert certificate.subject.rfc4514_string() == "CN=pi-7"
    assert issued.not_after == certificate.not_valid_after_utc.timestamp() == clock() + 30 * DAY
    assert int(issued.serial, 16) == certificate.serial_number
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_nothing_else_of_a_request_is_taken_over(authority: DeviceAuthority, clock: Any) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pi-7")]))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("controller")]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    request = builder.sign(Ed25519PrivateKey.generate(), None).public_bytes(Encoding.PEM).decode()
    certificate = x509.load_pem_x509_certificate(authority.issue_device(request, "pi-7", clock()).pem.encode())
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(
    ("asked", "name"), [("pi-8", "pi-7"), ("controller", "controller"), ("../x", "../x"), ("pi-7", "../pi-7"), ("PI-7", "PI-7")]
)
def test_refuses_a_request_for_another_or_an_illegal_name(
    authority: DeviceAuthority, make_request: Callable[..., str], clock: Any, asked: str, name: str
) -> None:
    with pytest.raises(InvalidInput):
        authority.issue_device(make_request(asked), name, clock())


def test_refuses_a_request_with_two_names(authority: DeviceAuthority, clock: Any) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in ("pi-7", "controller")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(Ed25519PrivateKey.generate(), None)
    with pytest.raises(InvalidInput, match="nothing else"):
        authority.issue_device(request.public_bytes(Encoding.PEM).decode(), "pi-7", clock())


def test_refuses_a_request_with_another_kind_of_key(authority: DeviceAuthority, clock: Any) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pi-7")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    with pytest.raises(InvalidInput, match="Ed25519"):
        authority.issue_device(request.public_bytes(Encoding.PEM).decode(), "pi-7", clock())


def test_refuses_a_request_that_its_key_did_not_sign(authority: DeviceAuthority, make_request: Callable[..., str], clock: Any) -> None:
    raw = bytearray(x509.load_pem_x509_csr(make_request("pi-7").encode()).public_bytes(Encoding.DER))
    raw[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(raw)).public_bytes(Encoding.PEM).decode()
    with pytest.raises(InvalidInput, match="not signed with its own key"):
        authority.issue_device(forged, "pi-7", clock())


@pytest.mark.parametrize(
    "request_pem", ["", "no request", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "x" * 9000, "\x00é"]
)
def test_refuses_what_is_no_request(authority: DeviceAuthority, clock: Any, request_pem: str) -> None:
    with pytest.raises(InvalidInput, match="request"):
        authority.issue_device(request_pem, "pi-7", clock())


@pytest.mark.parametrize("hostname", ["localhost", "127.0.0.1", "fleet.example", "192.0.2.7"])
def test_devices_and_the_controller_reach_the_server_by_all_its_names(
    authority: DeviceAuthority, device: CertificateFiles, hostname: str
) -> None:
    handshake(authority.server_files(), device, hostname)
    handshake(authority.server_files(), authority.client_files(), hostname)


def test_another_name_is_not_believed(authority: DeviceAuthority, device: CertificateFiles) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority.server_files(), device, "evil.example")


def test_a_device_certificate_cannot_act_as_a_server(authority: DeviceAuthority, device: CertificateFiles) -> None:
    with pytest.raises(ssl.SSLError):
        handshake(device, authority.client_files())


def test_a_server_certificate_cannot_act_as_a_device(authority: DeviceAuthority) -> None:
    with pytest.raises(ssl.SSLError):
        handshake(authority.server_files(), authority.server_files())


def test_a_device_of_another_fleet_is_refused(
    authority: DeviceAuthority, device: CertificateFiles, tmp_path: Path, clock: Any, make_request: Callable[..., str]
) -> None:
    other = DeviceAuthority.create(tmp_path / "other", [], clock)
    (tmp_path / "foreign").mkdir()
    stranger = enrolled(tmp_path / "foreign", other, make_request, "pi-7", clock())
    with pytest.raises(ssl.SSLError):
        handshake(authority.server_files(), CertificateFiles(stranger.certificate, stranger.key, device.ca))


def test_revoked_device(authority: DeviceAuthority, device: CertificateFiles, clock: Any) -> None:
    serial = x509.load_pem_x509_certificate(device.certificate.read_bytes()).serial_number
    handshake(authority.server_files(), device, crl=authority.write_crl([], clock()))
    with pytest.raises(ssl.SSLError, match="revoked"):
        handshake(authority.server_files(), device, crl=authority.write_crl([f"{serial:x}"], clock()))
    handshake(authority.server_files(), authority.client_files(), crl=authority.crl_path)


def test_all_keys_are_private(authority: DeviceAuthority, tmp_path: Path, clock: Any) -> None:
    authority.server_files(), authority.client_files(), authority.client_files("broker-check"), authority.write_crl([], clock())
    files = [path for path in (tmp_path / "ca").rglob("*") if path.is_file()]
    assert len(files) == 9
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_the_controllers_own_certificate_is_named_controller(authority: DeviceAuthority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.client_files().certificate.read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=controller"
    with pytest.raises(InvalidInput):
        authority.client_files("../server")


def test_files_are_made_anew_when_names_change_or_the_end_is_near(authority: DeviceAuthority, tmp_path: Path, clock: Any) -> None:
    first = authority.server_files().certificate.read_bytes()
    assert authority.server_files().certificate.read_bytes() == first
    assert DeviceAuthority.open(tmp_path / "ca", ["fleet.example", "192.0.2.7"], clock).server_files().certificate.read_bytes() == first
    renamed = DeviceAuthority.open(tmp_path / "ca", ["other.example"], clock).server_files().certificate.read_bytes()
    assert renamed != first
    clock.now += 300 * DAY
    assert authority.keep_fresh(clock())
    assert not authority.keep_fresh(clock())
    assert authority.server_files().certificate.read_bytes() not in (first, renamed)


def test_the_ca_is_pinned_by_its_public_key_and_outlives_a_restart(authority: DeviceAuthority, tmp_path: Path, clock: Any) -> None:
    again = DeviceAuthority.open(tmp_path / "ca", [], clock)
    assert (again.ca_pin, again.ca_pem) == (authority.ca_pin, authority.ca_pem)
    assert len(authority.ca_pin) == 64
    with pytest.raises(Conflict, match="all its devices would be lost"):
        DeviceAuthority.create(tmp_path / "ca", [], clock)


def test_a_creation_that_was_cut_off_is_finished_with_the_same_key(authority: DeviceAuthority, tmp_path: Path, clock: Any) -> None:
    (tmp_path / "ca" / "ca.crt").unlink()
    assert DeviceAuthority.create(tmp_path / "ca", [], clock).ca_pin == authority.ca_pin


def test_a_ca_renewal_cuts_no_device_off(
    authority: DeviceAuthority, device: CertificateFiles, tmp_path: Path, make_request: Callable[..., str], clock: Any
) -> None:
    """Announced: everybody learns of the next CA, nothing changes. Switched: who renewed since trusts it, old certificates hold."""
    pin = authority.ca_pin
    authority.announce_next(clock())
    assert authority.ca_pin == pin and authority.ca_pem.count("BEGIN CERTIFICATE") == 2
    handshake(authority.server_files(), device)  # a device that has not heard of it
    informed = enrolled(tmp_path, authority, make_request, "pi-8", clock())
    authority.switch_to_next()
    assert authority.ca_pin != pin and authority.ca_pem.count("BEGIN CERTIFICATE") == 2
    authority.keep_fresh(clock())
    newest = enrolled(tmp_path, authority, make_request, "pi-9", clock())
    crl = authority.write_crl([], clock())
    for each in (informed, newest):
        handshake(authority.server_files(), each, crl=crl)
    old = x509.load_pem_x509_certificate(informed.certificate.read_bytes()).serial_number
    with pytest.raises(ssl.SSLError, match="revoked"):
        handshake(authority.server_files(), informed, crl=authority.write_crl([f"{old:x}"], clock()))


def test_the_ca_replaces_itself_years_before_its_end(authority: DeviceAuthority, clock: Any) -> None:
    pins = [authority.ca_pin]
    for _ in range(0, 3650, 15):
        clock.now += 15 * DAY
        before = authority.ca_pem
        authority.keep_fresh(clock())
        if authority.ca_pin != pins[-1]:
            pins.append(authority.ca_pin)
            assert authority.ca_pem.count("BEGIN CERTIFICATE") == before.count("BEGIN CERTIFICATE") == 2
    assert len(pins) == 2


class Crash(BaseException):
    """Not an Exception: nothing may catch it."""


@pytest.mark.parametrize("lives", range(4))
def test_a_crash_in_the_switch_of_the_ca_is_mended_at_the_next_start(
    authority: DeviceAuthority, tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch, lives: int
) -> None:
    from argosy_controller.enrolment import authority as module

    authority.announce_next(clock())
    left = lives

    def dying(*arguments: Any) -> None:
        nonlocal left
        if left == 0:
            raise Crash
        left -= 1
        write(*arguments)

    write = module.write_file
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_file", dying)
        try:
            authority.switch_to_next()
        except Crash:
            assert lives < 3
    again = DeviceAuthority.open(tmp_path / "ca", [], clock)
    assert again.ca_pem.count("BEGIN CERTIFICATE") == 2
    if lives < 2:
        again.switch_to_next()
    handshake(again.server_files(), again.client_files())
    with pytest.raises(Conflict, match="no next CA"):
        again.switch_to_next()


def test_a_damaged_or_missing_ca_is_named(authority: DeviceAuthority, tmp_path: Path, clock: Any) -> None:
    with pytest.raises(IncompatibleData, match="holds no CA"):
        DeviceAuthority.open(tmp_path, [], clock)
    other = DeviceAuthority.create(tmp_path / "other", [], clock)
    assert other.ca_pin != authority.ca_pin
    mine, theirs = (tmp_path / "ca" / "ca.pem").read_text(), (tmp_path / "other" / "ca.pem").read_text()
    for damaged in (
        "",
        mine[:100],
        mine.partition("-----BEGIN CERTIFICATE")[0],
        theirs.partition("-----BEGIN CERT")[0] + mine[mine.index("-----BEGIN CERT") :],
    ):
        (tmp_path / "ca" / "ca.pem").write_text(damaged)
        with pytest.raises(IncompatibleData, match="backup"):
            DeviceAuthority.open(tmp_path / "ca", [], clock)
