"""Small reference models, each a task with its recipe: zoo/NAME/task.py and recipe.toml. `controller build zoo:NAME` builds one.

This module stays light: it names folders and imports no task.
"""

from __future__ import annotations

from pathlib import Path

import tomllib

from argosy.errors import NotFound
from argosy_controller.pipeline.recipes import RECIPE_FILE
from argosy_controller.pipeline.spelling import nearest

FOLDER = Path(__file__).parent
_PREFIX = "zoo:"


def names() -> list[str]:
    """The models, in the order of the alphabet."""
    return sorted(one.parent.name for one in FOLDER.glob("*/task.py"))


def summary(name: str) -> str:
    """What a model is, as its recipe says it."""
    return str(tomllib.loads((FOLDER / name / RECIPE_FILE).read_text())["summary"])


def task_folder(given: str | Path) -> Path:
    """The folder that a user meant: `zoo:NAME` is one of these, everything else a path.

    Raises:
        NotFound: there is no such model.
    """
    text = str(given)
    if not text.startswith(_PREFIX):
        return Path(given)
    name = text.removeprefix(_PREFIX)
    if name not in names():
        raise NotFound(f"there is no model {name!r:.80} in the zoo (`controller zoo` lists all){nearest(name, names())}")
    return FOLDER / name
