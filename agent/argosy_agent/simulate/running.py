"""`agent simulate` from beginning to end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from argosy.protocol.enrolment import TokenLine
from argosy_agent.simulate.crowd import Crowd, summary
from argosy_agent.simulate.joining import join, names


def simulate(
    line: TokenLine, root: Path, count: int, prefix: str, rounds: int, timeout_s: float, stopping: Callable[[], bool]
) -> tuple[str, bool]:
    """Enrols, connects and plays `count` devices.

    Returns:
        The summary as JSON, and whether every device confirmed `rounds` generations.

    Raises:
        NotAllowed, Unavailable: as `join` and `Crowd.connect`.
    """
    began = time.monotonic()
    folders = join(line, root, names(count, prefix))
    enrolled = time.monotonic()
    crowd = Crowd(folders)
    try:
        crowd.connect()
        connected = time.monotonic()
        print("ready", file=sys.stderr, flush=True)
        crowd.run(rounds, timeout_s, stopping)
    finally:
        crowd.goodbye()
    complete = all(len(player.confirmed) >= rounds for player in crowd.players)
    found = summary(crowd.players, enrolled - began, connected - enrolled, time.monotonic() - began)
    return json.dumps(found), complete
