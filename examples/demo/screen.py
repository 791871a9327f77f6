"""What the demo shows while it runs: chapters, what happens in them, and bars; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Screen:
    """One for the whole demo; its methods may be called from any thread."""

    def __init__(self, chapters: int) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=140)
        self._began = time.monotonic()
        self._chapters = chapters
        self._chapter = 0
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
        self._bars = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self._whole: TaskID | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        """Shows the bars until the end of the block."""
        with self._bars:
            self._whole = self._bars.add_task("the whole demo", total=self._chapters, note="")
            yield

    def chapter(self, title: str) -> None:
        """Begins the next chapter."""
        self._chapter += 1
        if self._whole is not None:
            self._bars.update(self._whole, completed=self._chapter - 1, note=f"{self._chapter} of {self._chapters}")
        self.console.print(f"\n[bold cyan]{self._chapter}. {escape(title)}[/bold cyan]")

    def tell(self, text: str) -> None:
        """A sentence about what happens now."""
        self.console.print(f"[dim]{self.clock()}[/dim] {escape(text)}")

    def held(self, text: str) -> None:
        """Something that was promised and held."""
        self.console.print(f"[dim]{self.clock()}[/dim] [green]✓[/green] {escape(text)}")

    def broke(self, text: str) -> None:
        """Something that was promised and did not hold."""
        self.console.print(f"[dim]{self.clock()}[/dim] [red]✗ {escape(text)}[/red]")

    def event(self, device: str, kind: str, text: str, bad: bool) -> None:
        """An event as the controller lists it."""
        colour = "yellow" if bad else "dim"
        self.console.print(
            f"[dim]{self.clock()}[/dim]   [{colour}]{escape(device or 'controller'):<12} {escape(kind):<12} {escape(text)}[/{colour}]"
        )

    def clock(self) -> str:
        """Time since the demo began, m:ss."""
        seconds = int(time.monotonic() - self._began)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def seconds(self) -> float:
        """Time since the demo began."""
        return time.monotonic() - self._began

    @contextmanager
    def bar(self, title: str, total: float | None) -> Iterator[Bar]:
        """A bar for something that takes a while."""
        task = self._bars.add_task(title, total=total, note="")
        try:
            yield Bar(self._bars, task)
        finally:
            self._bars.remove_task(task)


class Bar:
    """One bar; `at` moves it."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def at(self, completed: float, total: float | None, note: str) -> None:
        """How far it is, and a word about it."""
        self._bars.update(self._task, completed=completed, total=total, note=note)
