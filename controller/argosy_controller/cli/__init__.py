"""The command line. This module stays light: a command's own module is imported when the command is asked for."""

from __future__ import annotations

from importlib import import_module

import click

from argosy import __version__

#: Command name to `module:attribute`, in the order in which help lists them.
COMMANDS = {
    "up": "up:up",
    "status": "status:status",
    "tokens": "tokens:tokens",
    "devices": "devices:devices",
    "models": "models:models",
    "build": "build:build",
    "builds": "builds:builds",
    "recipes": "recipes:recipes",
    "zoo": "zoo:zoo",
    "rollouts": "rollouts:rollouts",
    "telemetry": "telemetry:telemetry",
    "events": "events:events",
    "broker": "broker:broker",
    "root": "root:root",
}
#: Help without importing any command: one sentence each, checked against the commands' own by a test.
SUMMARIES = {
    "up": "Run the controller: broker, database, artifact store, API and dashboard.",
    "status": "Show whether a controller runs and how its fleet is.",
    "tokens": "Make lines with which devices enrol.",
    "devices": "List, show and revoke devices, or let one in again.",
    "models": "List, show and import models.",
    "build": "Build a model's variants from a task, and register them as a version.",
    "recipes": "List passes and variants with their options, and suggest a recipe for a task.",
    "zoo": "List the reference models that can be built by name.",
    "builds": "List, show, follow and cancel builds that run on the controller.",
    "rollouts": "Bring a version to devices, in stages.",
    "telemetry": "Show latency percentiles as devices measured them.",
    "events": "Show what happened, newest last.",
    "broker": "Check how a broker is secured.",
    "root": "Change the keys that everything hangs on.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported one at a time, so that help answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists SUMMARIES, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="controller")
def controller() -> None:
    """Carries machine-learning models to a fleet of devices.

    \b
    Begin with:
      controller up --data ./fleet
      controller tokens create --label site=lab

    Other commands find the controller by --data, else ARGOSY_DATA, else ARGOSY_URL with ARGOSY_TOKEN, else ./fleet.

    \b
    Exit codes: 0 done, 1 internal, 2 bad input, 3 rollout paused or aborted, 4 not found, 5 conflict,
    6 not allowed, 7 unavailable, 8 untrusted, 9 incompatible data, 10 goals not met, 130 interrupted.
    """


def main() -> None:
    """The console script `controller`."""
    from argosy_controller.cli.shell import run

    raise SystemExit(run(controller))
