"""Lets tests import the matrix's own modules, which lie beside its program in tests/zoo."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "zoo"))
