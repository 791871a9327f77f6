"""How commands end and speak: exit codes, one sentence for an error, one JSON document or something for people."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from argosy.errors import ArgosyError

if TYPE_CHECKING:
    from rich.console import Console

    from argosy_controller.cli.client import Client

INTERRUPTED = 130
_WIDTH = 200
F = TypeVar("F", bound=Callable[..., Any])


def run(command: click.Command, arguments: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code; a user's mistake never shows a traceback."""
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        result = command.main(arguments, prog_name="controller", standalone_mode=False)
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ArgosyError as error:
        if debug:
            raise
        click.echo(f"controller: {error}", err=True)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        click.echo(
            f"controller: this should not have happened ({type(error).__name__}: {error}); run it again with --debug and report it",
            err=True,
        )
        return ArgosyError.exit_code
    return result if isinstance(result, int) else 0


class Session:
    """What a command is run with: which controller, and how to speak.

    Attributes:
        data: the folder named by --data, None when it was not given.
        json: stdout carries exactly one JSON document.
    """

    def __init__(self, data: Path | None, json: bool) -> None:
        self.data = data
        self.json = json

    def client(self) -> Client:
        """A connection to the controller's API.

        Raises:
            Unavailable: none is found.
        """
        from argosy_controller.cli.client import find_controller

        return find_controller(self.data, os.environ)

    @property
    def console(self) -> Console:
        """For people: stdout, or stderr when stdout carries JSON."""
        from rich.console import Console

        console = Console(stderr=self.json, highlight=False, soft_wrap=True)
        # In a pipe or a file nobody's lines end at column 80.
        return console if console.is_terminal else Console(stderr=self.json, highlight=False, soft_wrap=True, width=_WIDTH)

    def show(self, document: Any, for_people: Callable[[Console], None]) -> None:
        """Prints the document as JSON, or lets `for_people` draw it."""
        if self.json:
            click.echo(msgspec.json.encode(document).decode())
        else:
            for_people(self.console)


def plain(text: str) -> str:
    """Text from elsewhere as nothing but text: a device must not colour, move or retitle an operator's terminal."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "�" for c in text))


def controller_options(function: F) -> F:
    """Adds --data, --json and --debug to a command, which gets a Session as its first argument."""

    @click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Data folder of the controller.")
    @click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document.")
    @click.option("--debug", is_flag=True, help="Show tracebacks.")
    @wraps(function)
    def command(*, data: Path | None, as_json: bool, debug: bool, **rest: Any) -> Any:
        return function(Session(data, as_json), **rest)

    return command  # type: ignore[return-value]
