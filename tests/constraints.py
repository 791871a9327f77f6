"""Writes constraints.txt and constraints-device.txt: the exact versions in the two environments, as `pip freeze` says.

Addresses and paths are left out, and so is a local build tag (`+cpu`), so that the files hold on every machine.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Exact versions that were tested together; 'make constraints' writes this file.\n"


def pinned(freeze: str) -> list[str]:
    """The `name==version` lines of a `pip freeze`, without local build tags."""
    lines = [line.split("+")[0].strip() for line in freeze.splitlines()]
    return sorted((line for line in lines if "==" in line and not line.startswith(("#", "-", "argosy=="))), key=str.lower)


def main() -> None:
    """Rewrites both files."""
    for environment, name in ((".venv", "constraints.txt"), (".venv-device", "constraints-device.txt")):
        command = [str(ROOT / environment / "bin" / "pip"), "freeze", "--exclude-editable"]
        freeze = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        (ROOT / name).write_text(HEADER + "\n".join(pinned(freeze)) + "\n")


if __name__ == "__main__":
    main()
