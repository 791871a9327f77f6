"""What "the same build" means, as keys of the cache: everything that decides about the bytes goes into them.

Into every key: Argosy's own sources, all packages, processor and threads, the user's code with its settings and
hyperparameters, all data, the seed, and the untrained model's weights (a ready checkpoint is part of them, wherever it lies).
The key of a later model adds each pass with its options, and the files that those name.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path

import msgspec
import torch
from torch import nn

import argosy
from argosy.errors import ArgosyError
from argosy_controller.pipeline.caching.cache import Cache
from argosy_controller.pipeline.lineage import fingerprint, machine, packages
from argosy_controller.pipeline.processes.messages import BuildRequest
from argosy_controller.pipeline.recipes import recipe as recipes
from argosy_controller.pipeline.report import REPORT_FILE
from argosy_controller.pipeline.task import Data, Task

#: Larger files of a task are known by size and time of change.
_HASHED_BYTES = 64 << 20
_MOST_FILES = 10_000


@dataclass
class Memory:
    """The cache as one build uses it.

    Attributes:
        base: digest of what does not change within the build: sources, packages, machine, the task's files and settings.
        recipe_folder: files that a recipe names are found from here.
    """

    cache: Cache
    base: str
    recipe_folder: Path
    _data: dict[int, tuple[Data, str]] = field(default_factory=dict)

    def first(self, task: Task, data: Data, seed: int, untrained: nn.Module, *, given: bool = False) -> str:
        """The key of the model after its first training; `given`: it came trained, and stays as it is."""
        hyperparameters = msgspec.json.encode(task.hyperparameters(), order="sorted").decode()
        return _digest(self.base, hyperparameters, *task.outputs, self._fingerprint(data), str(seed), str(given), state_digest(untrained))

    def after(self, key: str, step: recipes.Step, seed: int) -> str:
        """The key of the model that a pass makes of the model with this key."""
        options = msgspec.json.encode(step.config, order="sorted").decode()
        return _digest(key, step.use, options, str(seed), *self._named_files(msgspec.structs.asdict(step.config)))

    def whole(self, request: BuildRequest, model: str, recipe: recipes.Recipe, first: str) -> str:
        """The key of the finished bundle; `first` is the key of the model after its first training."""
        path = Path(request.recipe)
        configs = [*(one.config for one in recipe.steps), *(one.config for one in recipe.variants)]
        named = [line for one in configs for line in self._named_files(msgspec.structs.asdict(one))]
        return _digest("build", first, path.read_text(), path.name, Path(request.task).name, model, *named)

    def _fingerprint(self, data: Data) -> str:
        if id(data) not in self._data:
            also = () if data.validation is None else (*data.validation.inputs.values(), data.validation.targets)
            digest = _digest(fingerprint(data), *(hashlib.sha256(one.tobytes()).hexdigest() for one in also))
            self._data[id(data)] = (data, digest)  # the data stay alive, so that their id is not given to others
        return self._data[id(data)][1]

    def _named_files(self, options: Mapping[str, object]) -> Iterator[str]:
        """A teacher or a checkpoint is named by a path; what lies there decides."""
        for name, value in sorted(options.items()):
            path = self.recipe_folder / value if isinstance(value, str) and value else None
            if path is not None and (path.is_file() or path.is_dir()):
                yield f"{name}: {_content(path)}"


def remembering(request: BuildRequest, task: Task, threads: int) -> Memory | None:
    """The memory of a build, after its task and data were loaded; None without a cache.

    Raises:
        InvalidInput: the cache cannot be used.
    """
    if not request.cache:
        return None
    recipe = Path(request.recipe)
    base = _digest(
        own_sources(),
        *(f"{name} {version}" for name, version in packages().items()),
        *_distributions(),
        *(f"{name} {value}" for name, value in machine(threads).items()),
        _processor(),
        *_files_of(Path(request.task), recipe),
        *_loaded_sources(),
        *(f"{name}={value} {_content(Path(value)) if value else ''}" for name, value in sorted(task.given.items())),
    )
    return Memory(Cache(Path(request.cache)), base, recipe.parent)


def take_bundle(memory: Memory, key: str, out: Path) -> bool:
    """Copies a finished bundle into the empty folder `out`, if it is there and whole."""
    from argosy_controller.registry.bundle import read_bundle

    if not memory.cache.read_folder(key, out):
        return False
    try:
        read_bundle(out)
    except ArgosyError:
        memory.cache.drop_folder(key)
        _empty(out)
        return False
    return True


def state_digest(model: nn.Module) -> str:
    """A digest of a model's structure and of all its weights and buffers."""
    digest = hashlib.sha256(str(model).encode())
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


@cache
def own_sources() -> str:
    """A digest of Argosy's pipeline, zoo and protocol: another version may make other bytes of the same inputs."""
    roots = (Path(__file__).parents[1], Path(__file__).parents[2] / "zoo", Path(argosy.__file__).parent)
    return _digest(*(_content(path) for root in roots for path in sorted(root.rglob("*.py"))))


def _distributions() -> list[str]:
    return sorted({f"{one.name} {one.version}" for one in metadata.distributions()})


def _processor() -> str:
    """Kernels are chosen by what the processor can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.split("\t")[0].strip() in ("model name", "flags", "Features", "CPU part")}))


def _files_of(folder: Path, recipe: Path) -> Iterator[str]:
    """The files of a task's folder, but for the recipe, what is hidden, and bundles that lie there."""
    for path in _walk(folder):
        if path != recipe:
            yield f"{path.relative_to(folder)} {_content_of_file(path)}"


def _walk(folder: Path) -> Iterator[Path]:
    """Plain files below a folder, in order, without hidden ones and bundles; a folder without end is looked at in part."""
    count = 0
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(one for one in folders if not one.startswith((".", "__pycache__")) and not (here / one / REPORT_FILE).exists())
        for path in (here / name for name in sorted(files) if not name.startswith(".")):
            count += 1
            if count > _MOST_FILES:
                return
            if path.is_file():
                yield path


def _loaded_sources() -> Iterator[str]:
    """The user's modules that were imported, wherever they lie: not of a library, and not Argosy's own."""
    libraries = (sys.prefix, sys.base_prefix)
    own = ("argosy.", "argosy_controller.")
    for name, module in sorted(sys.modules.items()):
        source = getattr(module, "__file__", None)
        if not isinstance(source, str) or source.startswith(libraries) or f"{name}.".startswith(own) or name in ("__main__", "__mp_main__"):
            continue
        if Path(source).is_file():
            yield _content(Path(source))


def _content(path: Path) -> str:
    """What lies at a path: the bytes of a file, names, sizes and times of a folder's files; empty for nothing."""
    try:
        if path.is_file():
            return _content_of_file(path)
        return _digest(*(f"{one.relative_to(path)} {_size_and_time(one)}" for one in _walk(path))) if path.is_dir() else ""
    except OSError:  # too long to be a path, or not for us to read: then it is not for the task either
        return ""


def _content_of_file(path: Path) -> str:
    try:
        if path.stat().st_size > _HASHED_BYTES:
            return _size_and_time(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _size_and_time(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} bytes of {found.st_mtime_ns}"


def _digest(*parts: str) -> str:
    """Of the list of texts: each is marked with its length, so that no two lists run together."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogateescape")
        digest.update(f"{len(raw)}:".encode() + raw)
    return digest.hexdigest()


def _empty(folder: Path) -> None:
    import shutil

    for one in folder.iterdir():
        shutil.rmtree(one) if one.is_dir() else one.unlink()
