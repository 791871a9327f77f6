"""The units in deploy/systemd are sound and hardened; skipped where systemd-analyze is missing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).resolve().parents[3] / "deploy" / "systemd").glob("*.service"))
pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture(params=UNITS, ids=lambda path: path.name)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit with a program that exists on this machine, since `verify` looks for it."""
    copy = tmp_path / request.param.name
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", request.param.read_text(), flags=re.MULTILINE))
    return copy


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=30, check=False)


def test_unit_has_no_unknown_key_or_missing_part(unit: Path) -> None:
    # It exits 0 on an unknown key, so silence is the proof.
    answer = analyze("verify", str(unit))
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


def test_unit_is_hardened(unit: Path) -> None:
    answer = analyze("security", "--offline=true", "--threshold=20", str(unit))
    assert answer.returncode == 0, answer.stdout.splitlines()[-1]


def test_the_lint_sees_an_unknown_key(unit: Path) -> None:
    unit.write_text(unit.read_text() + "\n[Service]\nNoSuchKey=1\n")
    assert "NoSuchKey" in analyze("verify", str(unit)).stderr


def test_both_services_have_a_unit_that_runs_their_command() -> None:
    commands = {path.stem: re.search(r"^ExecStart=(\S+) (\S+)", path.read_text(), re.MULTILINE) for path in UNITS}
    found = {name: (Path(match[1]).name, match[2]) for name, match in commands.items() if match}
    assert found == {"agent": ("agent", "run"), "controller": ("controller", "up")}
