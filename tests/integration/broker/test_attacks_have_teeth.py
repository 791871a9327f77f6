"""The attacks succeed where a broker is open: a check that always says "held" proves nothing."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from broker_site import Authority, free_port, wait_until

from argosy.names import CONTROLLER
from argosy_controller.broker.attacks import ATTACK_NAMES, check_broker
from argosy_controller.broker.child import answers
from argosy_controller.broker.mosquitto import find_mosquitto

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[tuple[str, int]]:
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: answers(("127.0.0.1", port), 0.5))
        yield "127.0.0.1", port
    finally:
        process.kill()
        process.wait()


def broken_by(address: tuple[str, int], authority: Authority, only: Collection[str] = ATTACK_NAMES) -> set[str]:
    found = check_broker(address, authority.ca, authority.issue, authority.issue(CONTROLLER), patience_s=3, only=only)
    return {each.attack for each in found if not each.held}


def test_an_open_mosquitto_falls_to_every_attack_that_concerns_it(authority: Authority, tmp_path: Path) -> None:
    executable = find_mosquitto()
    if executable is None:
        pytest.skip("mosquitto is not installed")
    port, tls = free_port(), authority.tls()
    lines = [f"listener {port} 127.0.0.1", f"cafile {tls.ca}", f"certfile {tls.certificate}", f"keyfile {tls.key}", "allow_anonymous true"]
    (tmp_path / "open.conf").write_text("\n".join([*lines, "user root", ""]))
    with running([str(executable), "-c", "open.conf"], port, tmp_path) as address:
        # mosquitto itself never delivers a retained message to whom has not subscribed
        assert broken_by(address, authority) == set(ATTACK_NAMES) - {"legitimate-device-is-served", "retained-messages-of-others"}


SHIPPED_HOLES: tuple[set[str], ...] = (
    {"retained-messages-of-others"},
    {"last-will-on-anothers-topic"},
    {"oversized-packet"},
    {"endless-packet", "half-open-connection"},
    {"anothers-session-resumed"},
    {"stored-session-destroyed-by-a-stranger"},
)


def test_amqtt_as_shipped_falls_to_the_attacks_that_the_overrides_stop(authority: Authority) -> None:
    port, tls = free_port(), authority.tls()
    config = {"port": port, "ca": str(tls.ca), "certificate": str(tls.certificate), "key": str(tls.key)}
    command = [sys.executable, "-W", "ignore", "shipped_amqtt.py", json.dumps(config)]
    with running(command, port, Path(__file__).parent) as address:
        # one by one: a broken broker that is attacked from all sides shows too little of each
        for attacks in SHIPPED_HOLES:
            assert broken_by(address, authority, attacks) == attacks
