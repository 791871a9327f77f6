"""Where the files of builds lie, below DATA/builds.

NUMBER/in/task/NAME/...  the uploaded task      NUMBER/in/recipe/FILE  its recipe, when it is not in the task's folder
NUMBER/home/             working directory and home of the child       NUMBER/log.txt  what it printed
NUMBER/out/              report.json, report.html, variants; there only when complete
cache/                   results by content, of all builds
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

REPORT_FILE = "report.json"
PAGE_FILE = "report.html"
VARIANTS_FOLDER = "variants"


@dataclass(frozen=True)
class Place:
    """Paths of one build."""

    root: Path

    @property
    def inputs(self) -> Path:
        """What was uploaded."""
        return self.root / "in"

    @property
    def home(self) -> Path:
        """Where the child lives."""
        return self.root / "home"

    @property
    def out(self) -> Path:
        """The result."""
        return self.root / "out"

    @property
    def log(self) -> Path:
        """What the child printed."""
        return self.root / "log.txt"

    @property
    def report(self) -> Path:
        """report.json, there for builds that came to an end of their own."""
        return self.out / REPORT_FILE

    @property
    def page(self) -> Path:
        """report.html, as `report`."""
        return self.out / PAGE_FILE

    @property
    def variants(self) -> Path:
        """There until they are registered."""
        return self.out / VARIANTS_FOLDER

    @property
    def complete(self) -> bool:
        """Whether the result is there: the controller may have ended between the build and its registration."""
        return self.report.is_file() and self.variants.is_dir()

    def begin(self) -> None:
        """Removes what an earlier start left, but for a complete result, and makes the folders for the next one."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for one in self.root.iterdir():
            if one not in (self.inputs, self.log) and not (one == self.out and self.complete):
                _remove(one)
        self.home.mkdir(mode=0o700)

    def end(self, keep_variants: bool) -> None:
        """Removes what nobody needs after the end: inputs and working files, and variants that were registered."""
        for one in (self.inputs, self.home, *self.root.glob(".out-*"), *(() if keep_variants else (self.variants,))):
            _remove(one)


@dataclass(frozen=True)
class Places:
    """Paths of all builds. `root` is DATA/builds."""

    root: Path

    @property
    def cache(self) -> Path:
        """Results by content."""
        return self.root / "cache"

    def of(self, number: int) -> Place:
        """One build's."""
        return Place(self.root / str(number))

    def forget(self, number: int) -> None:
        """Removes everything of a build."""
        _remove(self.of(number).root)

    def strays(self, known: set[int]) -> list[int]:
        """Numbers of folders that no build in the database has: an upload that was cut off, a build that was forgotten."""
        return [int(one.name) for one in self.root.iterdir() if one.name.isdigit() and int(one.name) not in known]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
