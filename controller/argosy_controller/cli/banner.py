"""What `controller up` prints for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

if TYPE_CHECKING:
    from argosy_controller.folder import Endpoints, Folder


class Banner:
    """Start-up output, on stderr: nothing parses it, endpoints.json is for programs."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """While parts are started."""
        with self._console.status("starting: database, keys, broker, listeners"):
            yield

    def listening(self, endpoints: Endpoints, folder: Folder, broker: str, lab_mode: bool, public: bool) -> None:
        """Everything answers."""
        table = Table.grid(padding=(0, 2))
        table.add_row("[bold]Dashboard[/bold]", f"{endpoints.dashboard}   user admin, password in {folder.admin_password}")
        table.add_row("API", f"{endpoints.api}   token in {folder.admin_token}")
        table.add_row("Devices", f"{endpoints.device_api}   {endpoints.mqtt} ({broker})")
        if not public:
            table.add_row("", "[dim]reachable from this machine only: give --public-host NAME for devices elsewhere[/dim]")
        if lab_mode:
            table.add_row("[yellow]Lab mode[/yellow]", f"publisher keys lie in {folder.keys}: this controller can sign models by itself")
        if folder.offline_keys.exists():
            table.add_row("[yellow]Root keys[/yellow]", f"move {folder.offline_keys} to a safe place; only a change of root needs it")
        table.add_row("Next", f"controller tokens create --data {folder.root} --label site=lab")
        self._console.print(Panel(table, title="Argosy controller", title_align="left", border_style="cyan", expand=False))

    def stopping(self) -> None:
        """A signal came."""
        self._console.print("stopping")
