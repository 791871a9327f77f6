"""What the command line promises before it talks to anybody: help, arguments, numbers, where the controller is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidInput, NotAllowed, Unavailable
from argosy_controller.cli import COMMANDS, SUMMARIES, controller
from argosy_controller.cli.broker_check import parse_broker_url
from argosy_controller.cli.client import find_controller
from argosy_controller.cli.shell import run
from argosy_controller.texts import parse_duration, parse_stages
from argosy_controller.views.format import as_age, as_bytes, as_duration, as_latency


def _leaves(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        return [(path, command)]
    context = click.Context(command)
    below = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [leaf for name, one in below if one is not None for leaf in _leaves(one, (*path, name))]


LEAVES = _leaves(controller)


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_in_the_overview_is_the_commands_own(name: str) -> None:
    command = controller.get_command(click.Context(controller), name)
    assert command is not None and command.help is not None
    assert command.help.strip().splitlines()[0] == SUMMARIES[name]


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_every_help_has_an_example(path: tuple[str, ...], command: click.Command) -> None:
    shown = CliRunner().invoke(controller, [*path, "--help"])
    assert shown.exit_code == 0
    assert f"controller {' '.join(path)}" in shown.output.split("Example", 1)[-1]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from argosy_controller.cli import controller;"
        "controller.main(['--help'], standalone_mode=False);"
        "print(sorted(m for m in ('torch', 'numpy', 'fastapi', 'sqlmodel', 'rich', 'httpx', 'tuf') if m in sys.modules), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stderr.strip() == "[]"


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("1.5m", 90), ("24h", 86400), ("7d", 604800)])
def test_times_parse(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "0s", "1w", "1e3s", "9999999d", "10 s x", "٣s"])
def test_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidInput, match="no time"):
        parse_duration(text)


def test_stages_parse() -> None:
    assert parse_stages("25%, 50%,100%") == [0.25, 0.5, 1.0]


@pytest.mark.parametrize("text", ["", "50%", "100%,50%", "50%,50%,100%", "0%,100%", "25,100", "25%,,100%", "25%;100%", "150%"])
def test_refuses_stages_that_do_not_ascend_to_all(text: str) -> None:
    with pytest.raises(InvalidInput, match="stages"):
        parse_stages(text)


@given(st.lists(st.integers(1, 99), unique=True, max_size=10))
def test_ascending_shares_are_accepted(shares: list[int]) -> None:
    text = ",".join(f"{share}%" for share in [*sorted(shares), 100])
    assert parse_stages(text)[-1] == 1.0


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (as_bytes(999), "999 B"),
        (as_bytes(51_300), "51.3 kB"),
        (as_bytes(184_331), "184 kB"),
        (as_latency(812_000), "812 µs"),
        (as_latency(4_100_000), "4.10 ms"),
        (as_latency(None), "–"),
        (as_duration(119), "119 s"),
        (as_duration(180), "3 min"),
        (as_age(0, 5), "never"),
        (as_age(10, 22), "12 s ago"),
    ],
)
def test_numbers_carry_their_unit(written: str, text: str) -> None:
    assert written == text


@pytest.mark.parametrize("url", ["", "mqtt://host:1883", "host:8883", "mqtts://", "mqtts://host:99999", "http://host"])
def test_refuses_what_is_no_broker_address(url: str) -> None:
    with pytest.raises(InvalidInput, match="no broker address"):
        parse_broker_url(url)


def _folder(tmp_path: Path, name: str, pid: int) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    keys = ("api", "dashboard", "device_api", "mqtt", "tuf_metadata", "tuf_targets")
    (folder / "endpoints.json").write_text(
        json.dumps({"schema": 1, "pid": pid, **{key: f"http://127.0.0.1:1/{name}/{key}" for key in keys}})
    )
    (folder / "admin-token").write_text("secret\n")
    return folder


def test_finds_the_controller_in_the_promised_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    option, variable, _ = (_folder(tmp_path, name, os.getpid()) for name in ("option", "variable", "fleet"))
    remote = {"ARGOSY_URL": "http://far:8080", "ARGOSY_TOKEN": "t"}
    cases = [
        (option, {"ARGOSY_DATA": str(variable), **remote}, "/option/"),
        (None, {"ARGOSY_DATA": str(variable), **remote}, "/variable/"),
        (None, remote, "far:8080"),
        (None, {}, "/fleet/"),
    ]
    for data, environment, where in cases:
        with find_controller(data, environment) as client:
            assert where in client.where


def test_says_that_no_controller_runs(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for folder in (tmp_path / "none", _folder(tmp_path, "stale", ended.pid)):
        with pytest.raises(Unavailable, match="no controller runs on folder"):
            find_controller(folder, {})


def test_asks_for_the_token_of_a_remote_controller() -> None:
    with pytest.raises(NotAllowed, match="ARGOSY_TOKEN"):
        find_controller(None, {"ARGOSY_URL": "http://far:8080"})


def test_an_error_is_one_sentence_and_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(controller, ["devices", "list", "--data", str(tmp_path / "none"), "--json"])
    said = capsys.readouterr()
    assert (code, said.out) == (Unavailable.exit_code, "")
    assert said.err.count("\n") == 1 and "Traceback" not in said.err


def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(controller, ["rollouts", "start"]) == 2
    assert "Traceback" not in capsys.readouterr().err
