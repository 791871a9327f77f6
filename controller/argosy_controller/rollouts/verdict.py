"""What a device's report says about what it was told. Hashes are trusted, stories are not."""

from __future__ import annotations

from argosy.protocol.refusals import Failure, refusal_of
from argosy.protocol.reported import ServingState
from argosy_controller.rollouts.facts import Device, Part, Rollout


def has_confirmed(device: Device, part: Part) -> bool:
    """Whether the device serves, confirmed, exactly the bytes it was told, knowing of the document that told it."""
    report = device.report
    return (
        report is not None
        and part.content is not None
        and report.state is ServingState.SERVING
        and report.confirmed
        and report.content == part.content
        and device.reported_generation >= part.generation
    )


def verdict_against(rollout: Rollout, device: Device, part: Part) -> Failure | None:
    """The device's verdict against the version, given since it was told; None when there is none.

    A refusal that is not about the artifact (a broken download, a full disk) is no verdict: the device goes on trying
    until its deadline. A code that only a newer agent knows counts as one, since going on would be the greater risk.
    """
    of_slot = [device.report.failure] if device.report and device.report.failure else []
    of_none = [failure for failure in device.refusals if failure.slot == rollout.slot]
    return next((failure for failure in (*of_slot, *of_none) if _speaks_of(failure, rollout, part)), None)


def _speaks_of(failure: Failure, rollout: Rollout, part: Part) -> bool:
    known = refusal_of(failure.code)
    return (
        (failure.model, failure.version) == (rollout.model, rollout.version)
        and failure.generation >= part.generation
        and (known is None or known.about_artifact)
    )
