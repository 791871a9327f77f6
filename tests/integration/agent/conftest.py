"""A fleet that an agent can be tried against, and agents as real processes."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from agent_fixtures import broker, fleet, start_agent

__all__ = ["broker", "fleet", "start_agent"]
