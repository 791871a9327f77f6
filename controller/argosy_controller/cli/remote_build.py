"""Sends a task and its recipe to the controller, which builds it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from argosy.errors import InvalidInput, NotFound
from argosy_controller.cli.shell import Session
from argosy_controller.jobs.intake import MAX_TASK_BYTES, MAX_TASK_FILES, REQUEST_FILE, UPLOAD_NAMES, BuildWish

if TYPE_CHECKING:
    from argosy_controller.cli.build import Wish


def send(session: Session, wish: Wish) -> Any:
    """Uploads and queues a build; returns what `controller builds show --json` prints.

    Raises:
        NotFound, InvalidInput: task or recipe are missing or wrong; nothing was sent.
        Forbidden: the account is no administrator.
    """
    from argosy_controller.cli.progress import sending
    from argosy_controller.pipeline.recipes.recipe import read_recipe

    read_recipe(wish.recipe)
    files = task_files(wish.task)
    recipe = _recipe_name(wish, files)
    asked = BuildWish(
        task=wish.task.resolve().name,
        recipe=recipe,
        model=wish.model or "",
        settings=wish.settings,
        seed=wish.seed,
        cached=wish.cached,
    )
    with tempfile.TemporaryDirectory(prefix="argosy-request-") as temporary, session.client() as client:
        request = Path(temporary) / REQUEST_FILE
        request.write_bytes(msgspec.json.encode(asked))
        parts = {REQUEST_FILE: request, **files} if recipe in files else {REQUEST_FILE: request, recipe: wish.recipe, **files}
        with sending(sum(one.stat().st_size for one in parts.values())) as on_bytes:
            return client.upload("/builds", parts, on_bytes)


def _recipe_name(wish: Wish, files: dict[str, Path]) -> str:
    """The recipe's place in the upload: in the task's folder, so that files which it names are found beside it, or by itself."""
    inside = [name for name, path in files.items() if path.resolve() == wish.recipe.resolve()]
    name = inside[0] if inside else f"recipe/{wish.recipe.name}"
    if not UPLOAD_NAMES.fullmatch(name):
        raise InvalidInput(f"recipe {wish.recipe.name!r:.120} has a name that cannot be sent: use letters, digits and ._+@-")
    return name


def task_files(folder: Path) -> dict[str, Path]:
    """What is sent of a task's folder, by its name in the upload: plain files, without hidden ones, caches and bundles.

    Raises:
        NotFound: it holds no task.py.
        InvalidInput: there is a link or a name that cannot be sent, or it is too much.
    """
    if not (folder / "task.py").is_file():
        raise NotFound(f"there is no task.py in {folder}: name the folder of a task")
    files: dict[str, Path] = {}
    total = 0
    for path in _walk(folder):
        name = f"task/{path.relative_to(folder)}"
        if path.is_symlink() or not path.is_file():
            raise InvalidInput(f"{path} is a link or no plain file: put the file itself into the task's folder")
        if not UPLOAD_NAMES.fullmatch(name):
            raise InvalidInput(f"{path} has a name that cannot be sent: use letters, digits and ._+@-, at most 100, in at most 15 folders")
        files[name] = path
        total += path.stat().st_size
        if len(files) > MAX_TASK_FILES or total > MAX_TASK_BYTES:
            limits = f"{MAX_TASK_FILES} files and {MAX_TASK_BYTES >> 20} MiB"
            raise InvalidInput(f"folder {folder} holds more than {limits}: keep data elsewhere, and name its place with --set")
    return files


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        here = Path(place)
        links = [one for one in folders if (here / one).is_symlink()]
        folders[:] = sorted(one for one in folders if _is_sent(one) and one not in links and not (here / one / "report.json").exists())
        yield from (here / one for one in sorted([*names, *links]) if _is_sent(one))


def _is_sent(name: str) -> bool:
    return not name.startswith(".") and name != "__pycache__"
