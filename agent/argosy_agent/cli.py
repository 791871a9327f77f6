"""The command `agent`: each command parses, calls one function, prints. `--json` gives one document on stdout."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Any

import click

import argosy
from argosy.errors import ArgosyError
from argosy_agent.folder import StateFolder

_STATE = click.option(
    "--state", "state", required=True, envvar="ARGOSY_STATE", type=click.Path(path_type=Path, file_okay=False), help="The device's folder."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
#: `agent status` when the agent does not run.
NOT_RUNNING = 7


def main() -> None:
    """Entry point: an error is one sentence on stderr and the exit code of its kind."""
    try:
        result = cli(standalone_mode=False)
        sys.exit(result if isinstance(result, int) else 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except ArgosyError as error:
        click.echo(f"agent: {error}", err=True)
        sys.exit(error.exit_code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(argosy.__version__, prog_name="agent")
def cli() -> None:
    """Runs signed models on this device and keeps them up to date."""


@cli.command()
@click.argument("line")
@_STATE
@click.option("--name", help="Name of the device; default: the host's name.")
def enrol(line: str, state: Path, name: str | None) -> None:
    """Joins a fleet. LINE is what 'controller tokens create' printed, a file that holds it, or - for standard input."""
    from argosy_agent import enrol as joining

    enrolled = joining.enrol(joining.read_token(line), StateFolder(state), name or joining.default_name())
    click.echo(f"device {enrolled.device} is enrolled in {state}: start it with 'agent run --state {state}'")


@cli.command()
@_STATE
@click.option("--endpoint", help="HOST:PORT where models are served; port 0 takes a free one. Default 127.0.0.1:0.")
@click.option("--runtimes", help="Runtimes to use, in order of preference, with commas between. Default: all that are installed.")
@click.option("--precisions", help="Accepted precisions, with commas between. Default: any.")
@click.option("--telemetry-interval", help="Length of a telemetry window, for example 10s.")
@click.option("--poll-interval", help="How often the desired document is also read over HTTPS, for example 15m.")
@click.option("--spread", help="Updates start within this time by a share fixed per device; 0s: at once. Default 2s.")
@click.option("--probe-timeout", help="How long a new version may take to be proved. Default 120s.")
@click.option("--worker-python", help="Interpreter of the serving worker, for runtimes that need another one.")
@click.option("-v", "--verbose", is_flag=True, help="Say more.")
def run(state: Path, verbose: bool, **given: str | None) -> None:
    """Runs the agent until SIGTERM; this is what agent.service starts. Options go before STATE/agent.toml."""
    from argosy_agent.settings import load_settings
    from argosy_agent.supervisor import run_agent

    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for noisy in ("urllib3", "tuf"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    folder = StateFolder(state)
    settings = load_settings(folder.settings, _overrides(given))
    stop = _StopSignal()
    run_agent(folder, settings, stop.came)


class _StopSignal:
    """Remembers SIGTERM and SIGINT. The handler only sets a flag: taking a lock there could meet its own holder."""

    def __init__(self) -> None:
        self._came = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        self._came = True

    def came(self) -> bool:
        return self._came


def _overrides(given: dict[str, str | None]) -> dict[str, Any]:
    from argosy_agent.settings import parse_duration

    lists = {name: _split(given[name]) for name in ("runtimes", "precisions")}
    texts = {name: given[name] for name in ("endpoint", "worker_python")}
    durations = {
        f"{name}_s": _seconds(given[name], parse_duration) for name in ("telemetry_interval", "poll_interval", "spread", "probe_timeout")
    }
    return {**lists, **texts, **durations}


def _split(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _seconds(text: str | None, parse: Any) -> float | None:
    return None if text is None else parse(text)


@cli.command()
@_STATE
@_JSON
def status(state: Path, as_json: bool) -> int:
    """Shows what serves, what is under way, and what was refused."""
    from argosy.protocol.codec import to_json
    from argosy_agent.status import describe, read_status

    found = read_status(StateFolder(state))
    click.echo(to_json(found).decode() if as_json else describe(found))
    if not found.running:
        click.echo(f"agent: the agent does not run; this is its last state: start it with 'agent run --state {state}'", err=True)
        return NOT_RUNNING
    return 0


@cli.command()
@click.argument("slot")
@click.option("--input", "source", required=True, type=click.Path(path_type=Path, dir_okay=False), help="An .npz with an array per input.")
@_STATE
@_JSON
def predict(slot: str, source: Path, state: Path, as_json: bool) -> None:
    """Sends one request to the running agent's endpoint and prints the outputs."""
    from argosy_agent import asking

    click.echo(asking.predict(StateFolder(state), slot, source, as_json=as_json))


@cli.command()
@click.argument("line")
@_STATE
@click.option("--devices", type=click.IntRange(1, 5000), required=True, help="How many; the token needs as many uses.")
@click.option("--prefix", default="sim-", show_default=True, help="Of the devices' names.")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True, help="End when every device confirmed so many generations.")
@click.option("--timeout", default="10m", show_default=True, help="End after this time at the latest.")
def simulate(line: str, state: Path, devices: int, prefix: str, rounds: int, timeout: str) -> int:
    """Plays many devices in one process, for measuring a fleet; prints one JSON summary.

    Real are enrolment, TLS, MQTT, signatures, TUF and the updater; downloads, probe and worker are simulated. Once every
    device is connected, a line 'ready' goes to stderr.
    """
    from argosy_agent.enrol import read_token
    from argosy_agent.settings import parse_duration
    from argosy_agent.simulate.running import simulate as play

    stop = _StopSignal()
    found, complete = play(read_token(line), state, devices, prefix, rounds, parse_duration(timeout), stop.came)
    click.echo(found)
    return 0 if complete else 3


if __name__ == "__main__":
    main()
