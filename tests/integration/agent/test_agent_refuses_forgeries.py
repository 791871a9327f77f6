"""What the agent must not believe, each from a broker or a server that has gone over to the enemy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess
from fleet_double import FleetDouble, wait_for
from securesystemslib.signer import CryptoSigner
from versions import ask, version

from argosy.envelope import seal
from argosy.protocol.codec import to_json
from argosy.protocol.desired import PAYLOAD_TYPE, Desired, SlotContent

pytestmark = pytest.mark.integration


@pytest.fixture
def serving(broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> AgentProcess:
    """An agent on which version 1 is confirmed."""
    agent = start_agent()
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    agent.wait_serving("tiny", 1)
    return agent


def _refused(fleet: FleetDouble, agent: AgentProcess, code: str) -> None:
    wait_for(lambda: code in fleet.codes("dev"), what=f"{code}: {fleet.codes('dev')}\n{agent.log()}")
    assert ask(agent) == 1.0
    assert agent.serves("tiny", 1)


def test_forged_desired_document_is_refused_once_and_reported(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    two = version(broker, tmp_path, 2)
    honest, broker.tuf.director = broker.tuf.director, CryptoSigner.generate_ed25519()
    forged = broker.wish("dev", {"tiny": two})
    _refused(broker, serving, "bad-signature")
    for _ in range(5):
        broker.publish("dev", forged)
    broker.tuf.director = honest
    broker.wish("dev", {"tiny": two})
    serving.wait_serving("tiny", 2)
    assert broker.codes("dev").count("bad-signature") == 1
    assert [failure["code"] for failure in serving.status()["refusals"]] == ["bad-signature"]


def test_redirected_desired_document_is_refused(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    broker.publish("dev", broker.wish("other", {"tiny": version(broker, tmp_path, 2)}, send=False))
    _refused(broker, serving, "wrong-device")


def test_document_of_another_fleet_is_refused(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    broker.wish("dev", {"tiny": version(broker, tmp_path, 2)}, repository="0" * 64)
    _refused(broker, serving, "wrong-device")


def test_replayed_desired_document_is_refused(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    broker.wish("dev", {"tiny": version(broker, tmp_path, 2)}, generation=0)
    _refused(broker, serving, "replayed")


def test_expired_desired_document_is_refused(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    broker.wish("dev", {"tiny": version(broker, tmp_path, 2)}, expires=time.time() - 1)
    _refused(broker, serving, "expired")


def test_frozen_metadata_is_refused(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    broker.wish("dev", {"tiny": version(broker, tmp_path, 2)}, timestamp_version=999)
    _refused(broker, serving, "stale-metadata")


def test_names_that_climb_out_of_a_folder_are_refused(broker: FleetDouble, serving: AgentProcess) -> None:
    content = SlotContent(model="../../etc", version=1, variant="onnx", sha256="0" * 64, length=1)
    broker.generation += 1
    desired = Desired(
        repository=broker.tuf.repository, device="dev", generation=broker.generation, issued=0, expires=time.time() + 99,
        timestamp_version=1, slots={"tiny": content},
    )  # fmt: skip
    broker.publish("dev", seal(PAYLOAD_TYPE, to_json(desired), broker.tuf.director))
    _refused(broker, serving, "malformed")


def test_artifact_that_was_altered_in_the_store_is_refused(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    two = version(broker, tmp_path, 2)
    broker.faults.spoil.add("model.onnx")
    broker.wish("dev", {"tiny": two})
    _refused(broker, serving, "wrong-bytes")
    assert not list((serving.state / "store").glob(two.sha256))


def test_arbitrary_artifact_that_nobody_signed_is_refused(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    two = version(broker, tmp_path, 2)
    broker.wish("dev", {"tiny": SlotContent(model="tiny", version=7, variant="onnx-fp32", sha256=two.sha256, length=two.length)})
    _refused(broker, serving, "unknown-target")


def test_mixed_up_version_and_digest_are_refused(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    two, three = version(broker, tmp_path, 2), version(broker, tmp_path, 3)
    broker.wish("dev", {"tiny": SlotContent(model="tiny", version=3, variant="onnx-fp32", sha256=two.sha256, length=two.length)})
    _refused(broker, serving, "unknown-target")
    assert three.sha256 != two.sha256


def test_metadata_signed_below_the_threshold_is_refused(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    honest, broker.tuf.signer = broker.tuf.signer, CryptoSigner.generate_ed25519()
    broker.wish("dev", {"tiny": version(broker, tmp_path, 2)})
    _refused(broker, serving, "untrusted-metadata")
    broker.tuf.signer = honest
    broker.tuf.publish()


def test_decompression_bomb_is_refused_without_filling_the_disk(broker: FleetDouble, serving: AgentProcess, tmp_path: Path) -> None:
    """The packed form does not unpack to the signed bytes, so the plain one is fetched, and only that is believed."""
    two = version(broker, tmp_path, 2)
    broker.faults.break_packed = True
    broker.wish("dev", {"tiny": two})
    serving.wait_serving("tiny", 2)
    assert any(
        "encoding=zstd" not in path for _, path, _, _ in broker.requests if path.endswith("probes.npz") or path.endswith("model.onnx")
    )
