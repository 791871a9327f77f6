"""Enrols simulated devices through the real API, a few at a time; those that are enrolled already are kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from argosy.protocol.enrolment import TokenLine
from argosy_agent.enrol import enrol
from argosy_agent.folder import StateFolder

_AT_ONCE = 4


def names(count: int, prefix: str) -> list[str]:
    """`count` device names."""
    return [f"{prefix}{number:05d}" for number in range(count)]


def join(line: TokenLine, root: Path, wanted: list[str]) -> list[StateFolder]:
    """A STATE folder per name below `root`.

    Raises:
        NotAllowed: the token does not have as many uses left as are needed.
        Unavailable: the controller does not answer.
    """
    folders = [StateFolder(root / name) for name in wanted]
    missing = [folder for folder in folders if not folder.identity.exists()]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="enrol") as pool:
        for _ in pool.map(lambda folder: enrol(line, folder, folder.root.name), missing):
            pass
    return folders
