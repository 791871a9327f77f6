"""The device CA: signs device certificates and the controller's own, writes the revocation list.

Files in DATA/ca: `ca.pem` (key and certificate of the CA that signs now) · `next.pem` (announced: everyone is told to trust it,
nothing is signed by it yet) · `previous.pem` (what it signed still holds) · `ca.crt` (the certificates of these, without keys: who is trusted) ·
`server.crt`, `server.key` · `clients/NAME.crt`, `clients/NAME.key` · `crl.pem`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from argosy.errors import Conflict, IncompatibleData
from argosy.names import CONTROLLER, check_name
from argosy_controller.durable import remove_partials, write_file
from argosy_controller.enrolment import certificates as form

ACTIVE, NEXT, PREVIOUS = "ca", "next", "previous"
TRUSTED = "ca.crt"
#: Always among the names of the server certificate.
LOOPBACK = ("localhost", "127.0.0.1")
#: A successor is announced this long before the CA ends, and takes over after every device has renewed at least once since.
ANNOUNCE_S = 730 * form.DAY_S
OVERLAP_S = 2 * form.DEVICE_LIFE_S


@dataclass(frozen=True)
class Issued:
    """A certificate for a device. `serial`: hex. `not_after`: seconds since 1970."""

    pem: str
    serial: str
    not_after: float


@dataclass(frozen=True)
class CertificateFiles:
    """Paths of a certificate (PEM), its key (PEM, 0600), and of all CA certificates to check the other side against."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True)
class _Pair:
    key: Ed25519PrivateKey
    certificate: x509.Certificate

    @property
    def ends(self) -> float:
        return self.certificate.not_valid_after_utc.timestamp()


class DeviceAuthority:
    """An Ed25519 CA in a folder. Thread-safe.

    Args:
        folder: with a CA in it, see `create` and `open`.
        hostnames: under which devices reach this controller; names or addresses.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, hostnames: Sequence[str], clock: Callable[[], float]) -> None:
        self._folder = folder
        self._hostnames = tuple(dict.fromkeys([*hostnames, *LOOPBACK]))
        self._clock = clock
        self._lock = threading.RLock()
        self._load()

    @classmethod
    def create(cls, folder: Path, hostnames: Sequence[str], clock: Callable[[], float]) -> DeviceAuthority:
        """Makes a new CA in an empty or new folder, or finishes what a crash cut off.

        Raises:
            Conflict: there is one.
        """
        if (folder / TRUSTED).exists():
            raise Conflict(f"folder {folder} holds a CA already: all its devices would be lost with it")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / f"{ACTIVE}.pem").exists():
            _make_ca(folder, ACTIVE, clock())
        return cls(folder, hostnames, clock)

    @classmethod
    def open(cls, folder: Path, hostnames: Sequence[str], clock: Callable[[], float]) -> DeviceAuthority:
        """Opens the CA of a folder.

        Raises:
            IncompatibleData: there is none, or its files are damaged.
        """
        return cls(folder, hostnames, clock)

    @property
    def ca_pem(self) -> str:
        """All CA certificates that devices and brokers should trust now, the signing one first."""
        with self._lock:
            return self._trusted

    @property
    def ca_pin(self) -> str:
        """sha256 of the signing CA's public key (SubjectPublicKeyInfo), 64 hex digits, for token lines."""
        with self._lock:
            return form.spki_sha256(self._active.key.public_key())

    @property
    def trusted_path(self) -> Path:
        """A file with `ca_pem`."""
        return self._folder / TRUSTED

    @property
    def crl_path(self) -> Path:
        """The revocation list; `write_crl` makes it."""
        return self._folder / "crl.pem"

    def issue_device(self, csr_pem: str, name: str, now: float) -> Issued:
        """Signs a device's certificate for 30 days.

        Raises:
            InvalidInput: the name is not legal or reserved, or the request is not one for this name with an Ed25519 key.
        """
        key = form.request_key(csr_pem, check_name("device", name))
        with self._lock:
            signer = self._active
        certificate = form.client_certificate(name, key, signer.certificate, signer.key, now, form.DEVICE_LIFE_S)
        pem = certificate.public_bytes(Encoding.PEM).decode()
        return Issued(pem, f"{certificate.serial_number:x}", certificate.not_valid_after_utc.timestamp())

    def server_files(self) -> CertificateFiles:
        """Certificate and key for both device listeners (HTTPS and MQTT), made anew when needed."""
        with self._lock:
            return self._files(self._folder / "server", self._server_holds, self._make_server)

    def client_files(self, name: str = CONTROLLER) -> CertificateFiles:
        """A client certificate for the controller itself, or a throwaway one for trying out a broker.

        Raises:
            InvalidInput: the name is not legal.
        """
        if name != CONTROLLER:
            check_name("client", name)
        folder = self._folder / "clients"
        folder.mkdir(mode=0o700, exist_ok=True)
        with self._lock:
            return self._files(folder / name, self._holds, lambda key: self._make_client(name, key))

    def write_crl(self, serials: Sequence[str] | Callable[[], Sequence[str]], now: float) -> Path:
        """Writes the revocation list (one per CA whose certificates still hold, in one file).

        Args:
            serials: hex, as in `Issued`; of every certificate that is revoked and has not expired. A function is asked when no one
                else writes the list, so that of two writers the later one never writes what is older.
            now: seconds since 1970.
        """
        with self._lock:
            serials = serials() if callable(serials) else serials
            issuers = [pair for pair in (self._active, self._next, self._previous) if pair is not None]
            lists = [form.revocation_list(serials, pair.certificate, pair.key, now) for pair in issuers]
            write_file(self.crl_path, b"".join(lists))
        return self.crl_path

    def keep_fresh(self, now: float) -> bool:
        """Renews what nears its end; call it daily. The CA itself is replaced without cutting anybody off: the next one is announced
        years before the end, every device learns of it when it renews, and only then it begins to sign.

        Returns:
            Whether files changed: then the listeners and the broker must load them again, and the CRL must be written again.
        """
        with self._lock:
            before = (self._trusted, self._files_state())
            self._succeed(now)
            self.server_files()
            self.client_files()
            return before != (self._trusted, self._files_state())

    def announce_next(self, now: float) -> None:
        """Makes the CA's successor and announces it; it signs nothing yet.

        Raises:
            Conflict: one is announced already.
        """
        with self._lock:
            if self._next is not None:
                raise Conflict("the next CA is announced already: switch to it when every device has renewed its certificate")
            _make_ca(self._folder, NEXT, now)
            self._load()

    def switch_to_next(self) -> None:
        """Lets the announced CA sign from now on. What the old one signed holds until it expires.

        Raises:
            Conflict: none is announced.
        """
        with self._lock:
            if self._next is None:
                raise Conflict("no next CA is announced: announce one, and let every device renew its certificate before the switch")
            _save(self._folder, PREVIOUS, self._active)
            _save(self._folder, ACTIVE, self._next)
            self._drop(NEXT)
            self._load()

    def _succeed(self, now: float) -> None:
        if self._next is None and self._active.ends - now < ANNOUNCE_S:
            self.announce_next(now)
        if self._next is not None and now - self._next.certificate.not_valid_before_utc.timestamp() > OVERLAP_S:
            self.switch_to_next()
        if self._previous is not None and self._previous.ends < now:
            self._drop(PREVIOUS)
            self._load()

    def _drop(self, stem: str) -> None:
        (self._folder / f"{stem}.pem").unlink(missing_ok=True)

    def _load(self) -> None:
        remove_partials(self._folder)
        active = _load_ca(self._folder, ACTIVE)
        if active is None:
            raise IncompatibleData(f"folder {self._folder} holds no CA: restore it from a backup")
        self._active, self._next, self._previous = active, _load_ca(self._folder, NEXT), _load_ca(self._folder, PREVIOUS)
        if self._next is not None and self._next.certificate == active.certificate:  # a crash in the middle of a switch
            self._drop(NEXT)
            self._next = None
        if self._previous is not None and self._previous.certificate == active.certificate:
            self._drop(PREVIOUS)
            self._previous = None
        pairs = [pair for pair in (self._active, self._next, self._previous) if pair is not None]
        self._trusted = "".join(pair.certificate.public_bytes(Encoding.PEM).decode() for pair in pairs)
        write_file(self._folder / TRUSTED, self._trusted.encode())

    def _files(
        self, stem: Path, holds: Callable[[x509.Certificate], bool], make: Callable[[Ed25519PrivateKey], x509.Certificate]
    ) -> CertificateFiles:
        files = CertificateFiles(stem.with_name(f"{stem.name}.crt"), stem.with_name(f"{stem.name}.key"), self._folder / TRUSTED)
        found = _load_pair(files.key, files.certificate)
        if found is None or not holds(found.certificate):
            key = found.key if found is not None else Ed25519PrivateKey.generate()
            if found is None:
                write_file(files.key, _key_pem(key))
            write_file(files.certificate, make(key).public_bytes(Encoding.PEM))
        return files

    def _make_server(self, key: Ed25519PrivateKey) -> x509.Certificate:
        return form.server_certificate(self._hostnames, key.public_key(), self._active.certificate, self._active.key, self._clock())

    def _make_client(self, name: str, key: Ed25519PrivateKey) -> x509.Certificate:
        signer = self._active
        return form.client_certificate(name, key.public_key(), signer.certificate, signer.key, self._clock(), form.OWN_LIFE_S)

    def _holds(self, certificate: x509.Certificate) -> bool:
        soon = self._clock() + form.OWN_LIFE_S / 3
        ends = certificate.not_valid_after_utc.timestamp()
        fresh = ends > min(soon, self._active.ends - 1)
        return fresh and certificate.issuer == self._active.certificate.subject

    def _server_holds(self, certificate: x509.Certificate) -> bool:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return self._holds(certificate) and [str(name.value) for name in names] == list(self._hostnames)

    def _files_state(self) -> tuple[bytes, ...]:
        stems = (self._folder / "server.crt", self._folder / "clients" / f"{CONTROLLER}.crt")
        return tuple(path.read_bytes() if path.exists() else b"" for path in stems)


def _make_ca(folder: Path, stem: str, now: float) -> None:
    key = Ed25519PrivateKey.generate()
    _save(folder, stem, _Pair(key, form.ca_certificate(key, now)))


def _save(folder: Path, stem: str, pair: _Pair) -> None:
    # Key and certificate in one file: no crash can part them.
    write_file(folder / f"{stem}.pem", _key_pem(pair.key) + pair.certificate.public_bytes(Encoding.PEM))


def _load_ca(folder: Path, stem: str) -> _Pair | None:
    path = folder / f"{stem}.pem"
    return _load_pair(path, path)


def _load_pair(key_path: Path, certificate_path: Path) -> _Pair | None:
    if not certificate_path.exists():
        return None
    try:
        key = load_pem_private_key(key_path.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise IncompatibleData(f"{certificate_path} or its key is damaged: restore both from a backup") from error
    if not isinstance(key, Ed25519PrivateKey) or key.public_key() != certificate.public_key():
        raise IncompatibleData(f"{key_path} is not the key of {certificate_path}: restore both from a backup")
    return _Pair(key, certificate)


def _key_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
