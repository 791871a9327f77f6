"""The story, top to bottom. Each chapter does what an operator, or an accident, or an intruder would do, and checks what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import observe
import tampering
from broken import broken_copy
from fleet import LABEL, unreachable
from processes import wait_for
from stage import SLOT, Stage

Rollout = dict[str, Any]


def start_controller_and_devices(stage: Stage) -> None:
    """One command for the controller, one line per device."""
    stage.controller.start()
    stage.screen.tell(f"controller up: dashboard at {stage.controller.endpoints['dashboard']}")
    stage.build(1, "examples/digits", "examples/digits/recipe-baseline.toml")
    token = stage.controller.command("tokens", "create", "--label", LABEL, "--uses", str(len(stage.devices)))
    for device in stage.devices:
        device.enrol(token["line"])
        device.start()
        stage.screen.tell(f"{device.name} enrolled ({device.plan.what}); its key was made there and stays there")
    wait_for("all devices are online", lambda: _online(stage) == len(stage.devices), 60.0)
    stage.promise("Four agents enrol and connect", True, "four processes, four certificates, one token used four times")


def build_first_version(stage: Stage) -> None:
    """Trains, exports, evaluates, signs."""
    made = _built(stage, 1)
    stage.promise("A task becomes a signed version", made["version"] == 1, _described(made))
    stage.build(2, "examples/digits", "examples/digits/recipe.toml")
    stage.build(3, "examples/demo/slow", "examples/demo/slow/recipe.toml", register=False)


def roll_out_first_version(stage: Stage) -> None:
    """Onto empty slots: nothing to compare with, so it never waits for traffic."""
    rollout = _roll_out(stage, f"{SLOT}@1", ["--to", LABEL])
    everybody = rollout["counts"]["confirmed"] == len(stage.devices)
    stage.promise("Version 1 reaches every device", rollout["state"] == "finished" and everybody, _counts(rollout))
    stage.start_load()
    wait_for("clients get answers", lambda: all(stage.requests(device.name) for device in stage.devices), 20.0)
    stage.screen.tell("steady load from now on: a client per device asks over the Open Inference Protocol and counts its own failures")


def import_a_ready_model(stage: Stage) -> None:
    """A random forest from scikit-learn goes in as an ONNX file; altered in the store, no device takes it; put right, they do."""
    file, sample = _train_forest(stage.folder)
    made = stage.controller.command("models", "import", "forest", file, "--sample", sample)
    stage.promise("A ready ONNX file becomes a signed version", made["version"] == 1, _described(made))
    since = tampering.now()
    first, names = stage.devices[0].name, _onnx_devices(stage)
    arguments = ["--to", f"device in ({','.join(names)})", "--health-window", "1s"]
    with tampering.altered_artifact(stage.controller.data, made["variants"][0]["sha256"]) as path:
        stage.screen.tell(f"an intruder alters {path.name[:12]}… in the artifact store, plain and packed")
        rollout = _roll_out(stage, "forest@1", ["--to", f"device={first}"])
        _expect_refusal(stage, first, ("wrong-bytes",), since, "an artifact altered in the store")
    stage.promise("An altered artifact stops its rollout", rollout["state"] in ("aborted", "paused"), rollout["reason"])
    rollout = _roll_out(stage, "forest@1", arguments)
    stage.promise("The same rollout works once the file is put right", rollout["state"] == "finished", _counts(rollout))


def roll_out_second_version(stage: Stage) -> None:
    """In stages, with the controller killed in the middle and started again."""
    made = _built(stage, 2)
    stage.screen.tell(f"version 2 is built: {_described(made)}")
    stage.findings.swaps_began = time.time()
    ending = _roll_out_with_accident(stage)
    duplicates = _duplicate_effects(stage)
    stage.findings.killed = {"rollout_finished": ending["state"] == "finished", "duplicate_effects": duplicates}
    stage.promise("A rollout survives a controller killed in its middle", ending["state"] == "finished", _counts(ending))
    everywhere = wait_for("version 2 serves everywhere", lambda: _serving(stage) == {"2"}, 30.0)
    stage.promise("Version 2 serves on every device", everywhere, "every client hears from version 2")
    stage.promise("Nothing was done twice", duplicates == 0, "each device swapped to version 2 exactly once, by its client's own count")


def roll_out_slow_version(stage: Stage) -> None:
    """Right numbers, several times slower: the first stage's own device gate stops it."""
    _built(stage, 3)
    made = _upload(stage, stage.bundle(3))
    stage.screen.tell(f"version {made['version']} is built: {_described(made)}: right answers, several times slower")
    rollout = _roll_out(stage, f"{SLOT}@3", ["--to", LABEL, "--stages", "25%,100%"])
    saw = sorted(device.name for device in stage.devices if "3" in observe.versions_in_order(stage.requests(device.name)))
    back = wait_for("the slow version is gone everywhere", lambda: _serving(stage) == {"2"}, 30.0)
    stage.findings.slow = {"version": 3, "devices_reached": len(saw), "devices_total": len(stage.devices), "rolled_back": back}
    stage.promise("A slow version is stopped by its first stage", rollout["state"] in ("aborted", "paused"), rollout["reason"])
    stage.promise(
        "Only the first stage ever saw it",
        len(saw) == 1,
        f"{', '.join(saw) or 'nobody'} of {len(stage.devices)}; all serve version 2 again",
    )


def roll_out_broken_version(stage: Stage) -> None:
    """Wrong numbers: the probe ends it before a single request."""
    bundle = broken_copy(stage.bundle(2), stage.bundle(4))
    made = _upload(stage, bundle)
    stage.screen.tell(f"version {made['version']}: version 2 with its weights turned round; digests and signatures are right")
    rollout = _roll_out(stage, f"{SLOT}@{made['version']}", ["--to", LABEL, "--stages", "25%,100%"])
    served = sum(one.version == str(made["version"]) for device in stage.devices for one in stage.requests(device.name))
    stage.findings.broken = {"version": made["version"], "served_requests": served}
    stage.promise("A version with wrong numbers is stopped by the probe", rollout["state"] in ("aborted", "paused"), rollout["reason"])
    stage.promise("It never answered a request", served == 0, f"{served} requests were answered by it")


def forge_desired_documents(stage: Stage) -> None:
    """With the controller's own broker certificate, but without the director's key."""
    first, second = stage.devices[0].name, stage.devices[2].name
    genuine = observe.desired_envelope(stage.controller.data, first)
    old = (stage.folder / "old-envelope").read_bytes()
    forged = tampering.forged(json.dumps({"schema": 1}).encode())
    attempts: list[tuple[str, str, bytes, str]] = [
        ("a document signed with another key", first, forged, "bad-signature"),
        ("an old document, replayed", first, old, "replayed"),
        ("the document of another device, redirected", second, genuine, "wrong-device"),
    ]
    for what, device, document, code in attempts:
        since = tampering.now()
        tampering.publish_as_controller(stage.controller.data, stage.controller.endpoints, device, document)
        stage.screen.tell(f"an intruder publishes {what}, to {device}, with the controller's stolen broker certificate")
        _expect_refusal(stage, device, (code,), since, what)
    stage.promise("Devices still serve what they should", _serving(stage) == {"2"}, "version 2 on every device")


def close_the_books(stage: Stage) -> None:
    """Ends the load and compares what clients sent with what devices counted; hashes what serves, once more."""
    stage.processes.end("load", patience_s=40.0)
    sent = [one for device in stage.devices for one in stage.requests(device.name)]
    windows, requests, errors = _counted(stage, len(sent), patience_s=40.0)
    stage.findings.telemetry = {"windows": windows, "requests_counted": requests, "requests_sent": len(sent)}
    failed = sum(not one.good for one in sent)
    stage.promise(
        "No request failed", failed == 0 and errors == 0, f"{failed} of {len(sent):,} failed at the clients, {errors} on the devices"
    )
    stage.promise(
        "Telemetry counts every request", requests == len(sent), f"{requests:,} counted on devices, {len(sent):,} sent by clients"
    )
    stage.findings.devices = [_hashed_again(stage, one) for one in stage.controller.command("devices", "list", "--selector", LABEL)]
    _check_with_stock_client(stage)


CHAPTERS: list[tuple[str, Callable[[Stage], None]]] = [
    ("A controller starts, four devices enrol", start_controller_and_devices),
    ("Version 1: trained, exported, evaluated, signed", build_first_version),
    ("Version 1 to every device, and load on it", roll_out_first_version),
    ("A random forest from scikit-learn, and an intruder at the artifact store", import_a_ready_model),
    ("Version 2, compressed, in stages; the controller is killed in the middle", roll_out_second_version),
    ("Version 3: right, but slow", roll_out_slow_version),
    ("Version 4: wrong numbers", roll_out_broken_version),
    ("An intruder at the broker", forge_desired_documents),
    ("The books are closed", close_the_books),
]


# What chapters are made of


def _online(stage: Stage) -> int:
    return sum(bool(one["online"]) for one in stage.controller.get("/devices"))


def _built(stage: Stage, version: int) -> Any:
    future = stage.built[version]
    with stage.screen.bar(f"building version {version}", None):
        return future.result(timeout=240)


def _upload(stage: Stage, bundle: Path) -> Any:
    """What `controller build` does at its end."""
    from argosy_controller.cli.client import find_controller
    from argosy_controller.cli.publish import publish

    with find_controller(stage.controller.data, {}) as client:
        return publish(client, bundle, None)


def _roll_out(stage: Stage, version: str, arguments: list[str], during: Callable[[Rollout], None] | None = None) -> Rollout:
    """Runs `controller rollouts start --wait` and shows the rollout as the API tells it; returns how it ended.

    Args:
        during: called with every look at the rollout, for accidents.
    """
    known = {one["rollout"] for one in stage.controller.get("/rollouts")}
    command = stage.command("rollouts", "start", version, *arguments, "--wait", codes=(0, 3))
    with stage.screen.bar(f"{version} to devices", 1) as bar:
        while not command.done():
            time.sleep(0.2)
            rollout = _newest(stage, known)
            if rollout is not None:
                bar.at(rollout["counts"].get("confirmed", 0), max(1, rollout["devices_total"]), rollout["reason"][:60])
                if during:
                    during(rollout)
    ended: Rollout = command.result()
    return ended


def _newest(stage: Stage, known: set[int]) -> Rollout | None:
    try:
        fresh = [one for one in stage.controller.get("/rollouts") if one["rollout"] not in known]
        return stage.controller.get(f"/rollouts/{fresh[0]['rollout']}") if fresh else None
    except Exception as error:
        if not unreachable(error):
            raise
        return None


def _roll_out_with_accident(stage: Stage) -> Rollout:
    killed: list[bool] = []
    # Kept for the intruder: what is genuine now will be old then.
    (stage.folder / "old-envelope").write_bytes(observe.desired_envelope(stage.controller.data, stage.devices[0].name))

    def accident(rollout: Rollout) -> None:
        in_flight = [one for one in rollout["devices"] if one["state"] == "told"]
        if not killed and rollout["stage"] >= 2 and in_flight:
            killed.append(True)
            stage.controller.kill()
            stage.screen.tell(f"the controller is killed (SIGKILL) while {', '.join(one['device'] for one in in_flight)} update")
            time.sleep(2.0)
            stage.controller.start()
            stage.screen.tell("the controller is started again, with the same command")

    rollout = _roll_out(stage, f"{SLOT}@2", ["--to", LABEL, "--stages", "25%,50%,100%"], during=accident)
    stage.promise(
        "The controller was killed while devices updated", bool(killed), "SIGKILL in stage 2" if killed else "the rollout was too quick"
    )
    return rollout


def _duplicate_effects(stage: Stage) -> int:
    """How often something happened again that had happened: by the clients' count of changes, and by the devices' events."""
    orders = [observe.versions_in_order(stage.requests(device.name)) for device in stage.devices]
    again = sum(max(0, order.count("2") - 1) + max(0, order.count("1") - 1) for order in orders)
    swaps = [one["device"] for one in stage.events() if one["kind"] == "swapped" and f"{SLOT}@2" in one["text"]]
    return again + len(swaps) - len(set(swaps))


def _serving(stage: Stage) -> set[str]:
    """The versions that clients hear from now."""
    since = time.time() - 1.0
    return {one.version for device in stage.devices for one in stage.requests(device.name)[-80:] if one.good and one.at >= since}


def _expect_refusal(stage: Stage, device: str, codes: tuple[str, ...], since: float, what: str) -> None:
    """Waits for the event that an operator would see."""
    stage.findings.attempts += 1
    try:
        event = wait_for("a refusal is visible", lambda: tampering.refused_since(_events(stage), device, codes, since), 20.0)
    except Exception as error:
        stage.promise(f"{device} refuses {what}", False, str(error))
        return
    stage.findings.refused += 1
    stage.promise(f"{device} refuses {what}", True, f"{event['code']}: {event['text']}")


def _events(stage: Stage) -> list[dict[str, Any]]:
    try:
        return stage.events()
    except Exception as error:
        if not unreachable(error):
            raise
        return []


def _onnx_devices(stage: Stage) -> list[str]:
    return [device.name for device in stage.devices if device.plan.what == "onnxruntime"]


def _train_forest(folder: Path) -> tuple[Path, Path]:
    """A random forest on the same digits, as a file that somebody else might bring."""
    import numpy as np
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier

    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.float32)
    forest = RandomForestClassifier(n_estimators=30, max_depth=10, random_state=0).fit(images[:1200], labels[:1200])
    file, sample = folder / "forest.onnx", folder / "forest-sample.npz"
    file.write_bytes(to_onnx(forest, images[:1], options={"zipmap": False}).SerializeToString())
    np.savez(sample, X=images[1200:1264])
    return file, sample


def _counted(stage: Stage, sent: int, patience_s: float) -> tuple[int, int, int]:
    """Windows, requests and errors in the database, once they have caught up with what was sent, or patience has ended."""
    deadline = time.monotonic() + patience_s
    while True:
        found = observe.count_windows(stage.controller.data, SLOT)
        if found[1] >= sent or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def _hashed_again(stage: Stage, device: dict[str, Any]) -> dict[str, Any]:
    """A device as the API describes it, with the digest of the file that lies on its disk."""
    slot = device["slots"][SLOT]
    state = next(one.state for one in stage.devices if one.name == device["device"])
    sha256 = observe.sha256_of(observe.served_file(state, slot))
    stage.promise(f"{device['device']} holds the signed bytes", sha256 == slot["sha256"], f"{slot['variant']} {sha256[:12]}…")
    return {
        "id": device["device"],
        "runtimes": [one["name"] for one in device["runtimes"]],
        "slot": SLOT,
        "model": slot["model"],
        "version": slot["version"],
        "variant": slot["variant"],
        "sha256": sha256,
    }


def _check_with_stock_client(stage: Stage) -> None:
    root = observe.first_root(stage.devices[0].state)
    version = next(one for one in stage.controller.get(f"/models/{SLOT}")["versions"] if one["version"] == 2)
    endings = {"onnx": "model.onnx", "tflite": "model.tflite", "coreml": "model.mlpackage.zip"}
    wrong = [
        one["name"]
        for one in version["variants"]
        if observe.stock_client_gets(stage.controller.endpoints, root, f"{SLOT}/2/{one['name']}/{endings[one['format']]}") != one["sha256"]
    ]
    stage.promise(
        "A stock TUF client downloads every artifact",
        not wrong,
        f"{len(version['variants'])} of version 2" if not wrong else f"not {wrong}",
    )


def _described(made: dict[str, Any]) -> str:
    parts = ", ".join(f"{one['name']} {one['bytes'] / 1000:.0f} kB" for one in made["variants"])
    return f"{made['model']}@{made['version']}: {parts}"


def _counts(rollout: Rollout) -> str:
    return f"{rollout['state']}, {rollout['reason'] or rollout['counts']}"
