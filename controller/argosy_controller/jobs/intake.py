"""A task on its way in: what an upload may hold, and how it becomes the inputs of a build. Nothing of it is run here.

request.json            who wants what (BuildWish)
task/PATH               the files of the task's folder
recipe/FILE             the recipe, when it is not in the task's folder
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from argosy.errors import InvalidInput
from argosy.names import check_name
from argosy_controller.jobs.places import Place

MAX_TASK_FILES = 1500
MAX_TASK_BYTES = 1 << 30
REQUEST_FILE = "request.json"
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._+@ -]{0,99}"
#: Names decide where bytes are written: no hidden files, no `..`, nothing absolute, at most 16 folders deep.
UPLOAD_NAMES = re.compile(rf"request\.json|recipe/{_SEGMENT}|task(?:/{_SEGMENT}){{1,16}}")
UPLOAD_EXPECTED = "request.json, recipe/FILE and task/PATH (letters, digits and ._+@- in names, none hidden)"
_MAX_REQUEST_BYTES = 64 << 10
_Text = Annotated[str, Meta(max_length=1000)]


class BuildWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be built.

    Attributes:
        task: name of the task's folder, for people.
        recipe: `task/PATH` or `recipe/FILE`, among the files that came with it.
        model: name to build under; empty takes the task's own.
        settings: of the task; paths among them are of the controller's machine.
        cached: whether results that were computed before may be used.
    """

    task: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9._+@ -]{0,99}\Z")]
    recipe: Annotated[str, Meta(max_length=2000)]
    model: _Text = ""
    settings: Annotated[dict[_Text, _Text], Meta(max_length=100)] = {}
    seed: Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)] = 0
    cached: bool = True


def read_wish(upload: Path) -> BuildWish:
    """Checks an upload that lies in a folder.

    Raises:
        InvalidInput: a part is missing or wrong; the recipe's mistakes are told with their lines.
    """
    from argosy_controller.pipeline.recipes.recipe import read_recipe

    wish = _decoded(upload / REQUEST_FILE)
    if wish.model:
        check_name("model", wish.model)
    if not (upload / "task" / "task.py").is_file():
        raise InvalidInput("the upload holds no task/task.py: name the folder of a task")
    if not UPLOAD_NAMES.fullmatch(wish.recipe) or not (upload / wish.recipe).is_file():
        raise InvalidInput(f"the upload holds no recipe {wish.recipe!r:.120}: send it as recipe/FILE, or name a file of the task's folder")
    read_recipe(upload / wish.recipe)
    return wish


def _decoded(path: Path) -> BuildWish:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_REQUEST_BYTES), type=BuildWish)
    except FileNotFoundError as error:
        raise InvalidInput("the upload holds no request.json: use 'controller build --on-controller'") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"request.json of the upload is wrong: {str(error).lower()}") from error


def move_in(upload: Path, wish: BuildWish, place: Place) -> None:
    """Makes an upload the inputs of a build; the task's folder gets its name back, which reports show."""
    (place.inputs / "task").mkdir(mode=0o700, parents=True)
    (upload / "task").rename(task_folder(place, wish.task))
    if (upload / "recipe").is_dir():
        (upload / "recipe").rename(place.inputs / "recipe")


def task_folder(place: Place, task: str) -> Path:
    """Where a build's task lies."""
    return place.inputs / "task" / task


def recipe_file(place: Place, task: str, recipe: str) -> Path:
    """Where a build's recipe lies; `recipe` as in BuildWish."""
    kind, _, rest = recipe.partition("/")
    return (task_folder(place, task) if kind == "task" else place.inputs / "recipe") / rest
