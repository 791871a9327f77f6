"""The command line against a real controller: what scripts rely on, and each bad input with its sentence and exit code."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from controller_process import ControllerProcess, run_controller
from tuf.ngclient import Updater

from argosy.protocol.enrolment import read_line

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def version(controller: ControllerProcess, model_file: Path) -> dict[str, object]:
    """A registered version."""
    made = controller.run("models", "import", "line", model_file, "--sample", model_file.with_name("inputs.npz"), "--json")
    assert made.code == 0, made.err
    document: dict[str, object] = made.document
    return document


def test_endpoints_name_everything(controller: ControllerProcess) -> None:
    keys = {"schema", "pid", "api", "dashboard", "device_api", "mqtt", "tuf_metadata", "tuf_targets"}
    assert set(controller.endpoints) == keys and controller.endpoints["schema"] == 1


def test_secrets_are_for_their_owner_only(controller: ControllerProcess) -> None:
    assert controller.data.stat().st_mode & 0o777 == 0o700
    secrets = ["admin-token", "admin-password", "argosy.db", "ca/ca.pem", "keys/director.pem", "offline-keys/root-1.pem"]
    assert {name: (controller.data / name).stat().st_mode & 0o077 for name in secrets} == dict.fromkeys(secrets, 0)


def test_token_create_prints_what_scripts_rely_on(controller: ControllerProcess) -> None:
    made = controller.run("tokens", "create", "--label", "site=lab", "--label", "tier=a", "--uses", "4", "--expires", "24h", "--json")
    assert made.code == 0 and set(made.document) == {"line", "expires", "uses", "labels"}
    assert made.document["uses"] == 4 and made.document["labels"] == {"site": "lab", "tier": "a"}
    assert read_line(made.document["line"]).url == controller.endpoints["device_api"]


def test_token_create_prints_one_line_for_people(controller: ControllerProcess) -> None:
    made = controller.run("tokens", "create", "--label", "site=lab")
    assert made.out.count("\n") == 1 and read_line(made.out)


def test_import_prints_what_scripts_rely_on(version: dict[str, object]) -> None:
    assert set(version) == {"model", "version", "variants"} and (version["model"], version["version"]) == ("line", 1)
    variants = version["variants"]
    assert isinstance(variants, list)
    assert [set(one) for one in variants] == [{"name", "format", "precision", "sha256", "bytes"}]


def test_files_named_in_an_answer_exist(controller: ControllerProcess, version: dict[str, object], tmp_path: Path) -> None:
    variants = version["variants"]
    assert isinstance(variants, list)
    root = urllib.request.urlopen(controller.endpoints["tuf_metadata"] + "1.root.json").read()
    client = Updater(
        metadata_dir=str(tmp_path / "metadata"),
        metadata_base_url=controller.endpoints["tuf_metadata"],
        target_base_url=controller.endpoints["tuf_targets"],
        target_dir=str(tmp_path),
        bootstrap=root,
    )
    client.refresh()
    info = client.get_targetinfo(f"line/1/{variants[0]['name']}/model.onnx")
    assert info is not None and info.hashes["sha256"] == variants[0]["sha256"]
    assert Path(client.download_target(info, str(tmp_path / "model.onnx"))).stat().st_size == variants[0]["bytes"]


@pytest.mark.parametrize("command", [("devices", "list"), ("rollouts", "list"), ("events",), ("telemetry",)])
def test_empty_lists_are_documents_too(controller: ControllerProcess, command: tuple[str, ...]) -> None:
    ended = controller.run(*command, "--json")
    assert ended.code == 0 and ended.document == []


def test_finds_the_controller_by_url_and_token(controller: ControllerProcess, tmp_path: Path) -> None:
    token = (controller.data / "admin-token").read_text().strip()
    environment = {"ARGOSY_URL": controller.endpoints["dashboard"], "ARGOSY_TOKEN": token}
    assert run_controller("devices", "list", "--json", environment=environment, folder=tmp_path).code == 0
    refused = run_controller("devices", "list", environment={**environment, "ARGOSY_TOKEN": "wrong"}, folder=tmp_path)
    assert refused.code == 6 and "use another token" in refused.sentence


BAD_INPUT = [
    (("tokens", "create", "--label", "a/b=c"), 2, "label name 'a/b' is not usable"),
    (("tokens", "create", "--label", "site=a/b"), 2, "a value has 1 to 63 letters"),
    (("tokens", "create", "--label", "site"), 2, "has no '='"),
    (("tokens", "create", "--label", "device=x"), 2, "reserved"),
    (("tokens", "create", "--uses", "0"), 2, "0 is not in the range"),
    (("tokens", "create", "--expires", "soon"), 2, "no time"),
    (("devices", "list", "--selector", "site=="), 2, "makes no sense at character"),
    (("devices", "show", "nobody"), 4, "there is no device 'nobody'"),
    (("devices", "revoke", "nobody", "--yes"), 4, "there is no device 'nobody'"),
    (("models", "show", "nothing"), 4, "there is no model 'nothing'"),
    (("rollouts", "start", "line", "--to", "*"), 2, "names no version"),
    (("rollouts", "start", "line@0", "--to", "*"), 2, "names no version"),
    (("rollouts", "start", "line@99", "--to", "*"), 4, "there is no version line@99"),
    (("rollouts", "start", "nothing@1", "--to", "*"), 4, "there is no version nothing@1"),
    (("rollouts", "start", "line@1", "--to", "site=="), 2, "makes no sense at character"),
    (("rollouts", "start", "line@1", "--to", "site=nowhere"), 2, "matches no device"),
    (("rollouts", "start", "line@1", "--to", "*", "--slot", "a/b"), 2, "slot name 'a/b' is not usable"),
    (("rollouts", "start", "line@1", "--to", "*", "--stages", "50%"), 2, "must ascend"),
    (("rollouts", "show", "99"), 4, "there is no rollout 99"),
    (("rollouts", "abort", "99"), 4, "there is no rollout 99"),
    (("telemetry", "line"), 2, "names no version"),
    (("models", "import", "Line", "MODEL"), 2, "model name 'Line' is not usable"),
    (("models", "import", "line", "MISSING"), 2, "cannot be read"),
    (("models", "import", "line", "TEXT"), 2, "neither an ONNX nor a TFLite model"),
    (("models", "import", "line", "HALF"), 2, "onnx"),
    (("models", "import", "line", "MODEL", "--sample", "TEXT"), 2, "text.npz"),
    (("models", "import", "line", "MODEL", "--publisher-key", "MISSING"), 4, "there is no key file"),
    (("broker", "check", "mqtt://host"), 2, "no broker address"),
    (("up", "--http", "8080"), 2, "is not HOST:PORT"),
    (("up", "--public-host", "a b"), 2, "no host name"),
]


def _audit(controller: ControllerProcess) -> bytes:
    """Everything that was changed so far."""
    token = (controller.data / "admin-token").read_text().strip()
    request = urllib.request.Request(controller.endpoints["api"] + "/audit?limit=1000", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        content: bytes = answer.read()
    return content


@pytest.mark.parametrize(("command", "code", "sentence"), BAD_INPUT, ids=[" ".join(command) for command, _, _ in BAD_INPUT])
def test_bad_input_gets_one_sentence_and_changes_nothing(
    controller: ControllerProcess,
    version: dict[str, object],
    model_file: Path,
    tmp_path: Path,
    command: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    places = {"MODEL": model_file, "MISSING": tmp_path / "missing", "TEXT": tmp_path / "text.npz", "HALF": tmp_path / "half.onnx"}
    places["TEXT"].write_text("this is no model\n")
    places["HALF"].write_bytes(model_file.read_bytes()[: model_file.stat().st_size // 2])
    before = _audit(controller)
    ended = controller.run(*(str(places.get(word, word)) for word in command))
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert sentence in ended.err and "Traceback" not in ended.err
    assert _audit(controller) == before


def test_second_controller_on_the_folder_is_refused(controller: ControllerProcess) -> None:
    ended = run_controller("up", "--data", controller.data, "--http", "127.0.0.1:0")
    assert ended.code == 5 and "another controller already runs" in ended.sentence
    assert controller.run("status").code == 0


def test_root_is_not_changed_under_a_running_controller(controller: ControllerProcess) -> None:
    ended = controller.run("root", "rotate")
    assert ended.code == 5 and "another controller already runs" in ended.sentence


def test_json_is_one_document_also_for_status(controller: ControllerProcess) -> None:
    assert json.loads(controller.run("status", "--json").out)["lab_mode"] is True
