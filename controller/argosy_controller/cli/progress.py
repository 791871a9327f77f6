"""Progress bars with the time left, always on stderr; without a terminal one line per stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

    from argosy_controller.pipeline.processes.messages import Progress


@contextmanager
def following(title: str) -> Iterator[Callable[[Progress], None]]:
    """Shows a job's progress messages; gives the function that takes them."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    console.print(title, style="bold")
    if not console.is_terminal:
        yield _LinePerStage(console)
        return
    with _bars(console) as bars:
        yield _BarPerStage(bars)


class _LinePerStage:
    """For pipes and files."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""

    def __call__(self, message: Progress) -> None:
        if message.stage != self._stage:
            self._stage = message.stage
            self._console.print(f"  {message.stage}", markup=False)


class _BarPerStage:
    """A bar for each stage; one that begins again (a pass that the recipe names twice) gets another bar."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._stage = ""

    def __call__(self, message: Progress) -> None:
        from rich.markup import escape

        if message.stage != self._stage:
            self._stage = message.stage
            self._task = self._bars.add_task(escape(message.stage), total=message.total)
        self._bars.update(self._task, completed=message.done, total=message.total)


def _bars(console: Console) -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    # While a stage runs this is the time left, afterwards how long it took.
    left = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
    return Bars(TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), left, console=console)


@contextmanager
def sending(total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Shows an upload; gives the function that hears how many more bytes were sent."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn(f"{'upload':<28}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(compact=True))
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("upload", total=total_bytes)
        yield lambda count: bars.advance(task, count)
