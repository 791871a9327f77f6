"""Progress bars, always on stderr; without a terminal one line per stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argosy_controller.pipeline.messages import Progress


@contextmanager
def following(title: str) -> Iterator[Callable[[Progress], None]]:
    """Shows a job's progress messages; gives the function that takes them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, int] = {}
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        console.print(title, style="bold")

        def on_progress(message: Progress) -> None:
            if message.stage not in tasks:
                tasks[message.stage] = int(bars.add_task(message.stage, total=message.total))
                if not console.is_terminal:
                    console.print(f"  {message.stage}")
            from rich.progress import TaskID

            bars.update(TaskID(tasks[message.stage]), completed=message.done, total=message.total)

        yield on_progress


@contextmanager
def sending(total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Shows an upload; gives the function that hears how many more bytes were sent."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn(f"{'upload':<28}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("upload", total=total_bytes)
        yield lambda count: bars.advance(task, count)
