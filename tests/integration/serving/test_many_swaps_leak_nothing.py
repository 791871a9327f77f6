"""A thousand swaps in a row leave the worker as large as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from argosy_agent.messages import Collect

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_thousand_swaps_leak_nothing(start_worker, constants):
    worker = start_worker()
    sizes = []
    for number in range(1100):
        worker.serve("digits", *constants[1 + number % 2])
        if number % 100 == 99:
            worker.ask(Collect())
            sizes.append(int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1]) * 4096)
    assert sizes[-1] - sizes[0] < 4 << 20, sizes  # 4 kB a swap: allocators keep a little
