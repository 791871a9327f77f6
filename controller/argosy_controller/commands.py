"""What operators and devices can change: one function each, called by API and dashboard alike.

Each is one write transaction with its audit entry in it, and wakes whoever has work to do after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from argosy.protocol.desired import Gates
from argosy.protocol.enrolment import Enrolled, EnrolRequest, RenewRequest, TokenLine, TrustAnchors, write_line
from argosy_controller.accounts import audit, credentials
from argosy_controller.enrolment import devices as enrolment
from argosy_controller.enrolment import tokens
from argosy_controller.enrolment.authority import Issued
from argosy_controller.fleet.desired import withdraw
from argosy_controller.parts import Parts
from argosy_controller.registry.bundle import Bundle, read_bundle
from argosy_controller.registry.register import next_number, publish
from argosy_controller.rollouts import commands as rollouts
from argosy_controller.signing.publisher import SignedTargets
from argosy_controller.staging import StagedView, describe
from argosy_controller.views.models import VersionView, one_version
from argosy_controller.views.rollouts import RolloutView, one_rollout
from argosy_controller.views.tokens import NewTokenView


@dataclass(frozen=True)
class RevokedView:
    """A device that was shut out; `note` says what an operator still has to do, where the broker cannot be told by us."""

    device: str
    note: str


@dataclass(frozen=True)
class ApiTokenView:
    """An API token that was just made; shown this once."""

    name: str
    token: str
    expires: float | None


# Devices


def create_token(parts: Parts, account: str, labels: Mapping[str, str], uses: int, lifetime_s: float) -> NewTokenView:
    """Makes an enrolment token and its line.

    Raises:
        InvalidInput: an illegal label, or a number out of its range.
    """
    now = parts.clock()
    with parts.database.write() as session:
        secret, row = tokens.create_token(session, uses, lifetime_s, labels, now)
        told = ", ".join(f"{key}={value}" for key, value in sorted(row.labels.items()))
        audit.record(session, now, account, "token.create", f"token {row.id}", f"{uses} uses, {lifetime_s:.0f} s, {told or 'no labels'}")
    line = TokenLine(url=parts.endpoints.device_api, ca=parts.authority.ca_pin, root=parts.repository.repository_id, secret=secret)
    return NewTokenView(write_line(line), row.expires, row.uses, dict(row.labels))


def trust_anchors(parts: Parts) -> TrustAnchors:
    """What a device checks against the pins of its token line."""
    return TrustAnchors(ca_pem=parts.authority.ca_pem, root_json=parts.repository.root_version_1.decode())


def enrol_device(parts: Parts, asked: EnrolRequest) -> Enrolled:
    """Lets a device in.

    Raises:
        InvalidInput, NotAllowed, Conflict: as argosy_controller.enrolment.devices.enrol.
    """
    now = parts.clock()
    with parts.database.write() as session:
        revoked = enrolment.revoked_serials(session, now)
        issued = enrolment.enrol(session, parts.authority, asked, now)
        replaced = enrolment.revoked_serials(session, now) != revoked
        audit.record(session, now, "", "device.enrol", asked.name, f"certificate {issued.serial}")
    if replaced:  # a new key for an old name: whoever holds the old one is out from now on
        _shut_out(parts, asked.name, now)
    return _enrolled(parts, asked.name, issued)


def renew_device(parts: Parts, device: str, asked: RenewRequest) -> Enrolled:
    """A new certificate for a device that proved its key.

    Raises:
        InvalidInput, NotAllowed, Conflict: as argosy_controller.enrolment.devices.renew.
    """
    with parts.database.write() as session:
        issued = enrolment.renew(session, parts.authority, device, asked.csr_pem, parts.clock())
    return _enrolled(parts, device, issued)


def revoke_device(parts: Parts, account: str, device: str) -> RevokedView:
    """Shuts a device out: no certificate of it is accepted any more, its sessions end, nothing is desired of it.

    Raises:
        NotFound: there is none of that name.
    """
    now = parts.clock()
    with parts.database.write() as session:
        enrolment.revoke(session, device, now)
        withdraw(session, device, now)
        audit.record(session, now, account, "device.revoke", device)
    note = _shut_out(parts, device, now)
    parts.link.wake()
    return RevokedView(device, note)


def _shut_out(parts: Parts, device: str, now: float) -> str:
    """Has listener and broker refuse what was just revoked; returns what an operator still has to do at an external broker."""
    enrolment.write_revocations(parts.database, parts.authority, now)
    return parts.broker.revoke([device]) or ""


def allow_rekey(parts: Parts, account: str, device: str) -> None:
    """Lets a device enrol once more under its name, with a new key.

    Raises:
        NotFound: there is none of that name.
    """
    with parts.database.write() as session:
        enrolment.allow_rekey(session, device)
        audit.record(session, parts.clock(), account, "device.allow-rekey", device)


def _enrolled(parts: Parts, device: str, issued: Issued) -> Enrolled:
    host, port = parts.broker_address
    api = parts.endpoints.device_api
    return Enrolled(
        device=device,
        certificate_pem=issued.pem,
        ca_pem=parts.authority.ca_pem,
        repository=parts.repository.repository_id,
        broker_host=host,
        broker_port=port,
        api_url=api,
        metadata_url=f"{api}/device/v1/tuf/metadata/",
        targets_url=f"{api}/device/v1/tuf/targets/",
    )


# Models


def register_bundle(parts: Parts, account: str, folder: Path) -> VersionView:
    """Makes a bundle the next version of its model, signed here (lab mode).

    Raises:
        InvalidInput: the bundle does not hold.
        NotAllowed: this controller holds no publisher key.
    """
    return _register(parts, account, read_bundle(folder), None)


def _register(parts: Parts, account: str, bundle: Bundle, signed: SignedTargets | None) -> VersionView:
    now = parts.clock()
    number = publish(parts.database, parts.store, parts.repository, bundle, account, now, signed=signed)
    with parts.database.write() as session:
        audit.record(session, now, account, "version.register", f"{bundle.model}@{number}", bundle.summary)
        return one_version(session, bundle.model, number)


def stage_bundle(parts: Parts, folder: Path) -> StagedView:
    """Takes a bundle in that a publisher will sign elsewhere; nothing is registered yet.

    Raises:
        InvalidInput: the bundle does not hold.
        Unavailable: too many wait.
    """
    upload, bundle = parts.staging.put(folder, parts.clock())
    with parts.database.read() as session:
        number = next_number(session, parts.repository, bundle)
    return describe(parts.repository, upload, bundle, number)


def register_staged(parts: Parts, account: str, upload: str, signed: SignedTargets) -> VersionView:
    """Makes a staged bundle the next version of its model, signed by a publisher.

    Raises:
        NotFound: it does not wait any more.
        Untrusted, Conflict: the signature does not hold, or something else was registered since.
    """
    bundle = parts.staging.get(upload, parts.clock())
    view = _register(parts, account, bundle, signed)
    parts.staging.drop(upload)
    return view


# Accounts


def create_api_token(parts: Parts, account: str, name: str, lifetime_s: float | None) -> ApiTokenView:
    """Makes an API token for an account; the secret is shown this once."""
    now = parts.clock()
    with parts.database.write() as session:
        secret = credentials.issue(session, account, "token", now, name=name, lifetime_s=lifetime_s)
        audit.record(session, now, account, "api-token.create", name)
    return ApiTokenView(name, secret, None if lifetime_s is None else now + lifetime_s)


# Rollouts


@dataclass(frozen=True)
class RolloutWish:
    """A rollout to be started. `stages`: cumulative shares in (0, 1], ascending, the last one 1; times in seconds."""

    model: str
    version: int
    selector: str
    slot: str
    stages: tuple[float, ...] = (1.0,)
    deadline_s: float = 600.0
    health_window_s: float = 10.0


def start_rollout(parts: Parts, account: str, wanted: RolloutWish) -> RolloutView:
    """Starts bringing a version to devices.

    Raises:
        InvalidInput: the selector, slot or stages are not right.
        NotFound: there is no such version.
        Conflict: it stands against a rollout under way.
    """
    now = parts.clock()
    gates = Gates(window_s=wanted.health_window_s)
    with parts.database.write() as session:
        number = rollouts.start_rollout(
            session,
            wanted.model,
            wanted.version,
            wanted.slot,
            wanted.selector,
            wanted.stages,
            gates,
            wanted.deadline_s,
            account,
            now,
        )
        shares = ",".join(f"{100 * share:g}%" for share in wanted.stages)
        audit.record(
            session, now, account, "rollout.start", f"rollout {number}", f"{wanted.model}@{wanted.version} to {wanted.selector} in {shares}"
        )
        view = one_rollout(session, number)
    parts.reconciler.wake()
    return view


def change_rollout(parts: Parts, account: str, rollout: int, change: str) -> RolloutView:
    """Pauses, resumes or aborts.

    Args:
        change: `pause`, `resume` or `abort`.

    Raises:
        NotFound: there is no such rollout.
        Conflict: it has ended.
    """
    now = parts.clock()
    with parts.database.write() as session:
        _CHANGES[change](session, rollout, account, now)
        audit.record(session, now, account, f"rollout.{change}", f"rollout {rollout}")
        view = one_rollout(session, rollout)
    parts.reconciler.wake()
    return view


_CHANGES = {"pause": rollouts.pause, "resume": rollouts.resume, "abort": rollouts.abort}
