"""Estimators of every family, and the tables of scikit-learn that they are fitted on."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[4] / "support"))
