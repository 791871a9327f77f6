"""`controller up`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from argosy_controller.cli.arguments import Duration, Size


@click.command(
    epilog="\b\nExamples:\n  controller up --data ./fleet\n  controller up --data ./fleet --public-host fleet.example.org --http 127.0.0.1:0"
)
@click.option(
    "--data", type=click.Path(path_type=Path), envvar="ARGOSY_DATA", default="fleet", show_default=True, help="Folder for all state."
)
@click.option(
    "--http", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="Dashboard and API; port 0 takes free ports."
)
@click.option("--public-host", metavar="NAME", help="Name or address under which devices reach this machine; without it, loopback only.")
@click.option("--devices-port", type=click.IntRange(0, 65535), help="Device HTTPS port [default: the one kept in DATA, else 8443].")
@click.option("--mqtt-port", type=click.IntRange(0, 65535), help="MQTT port [default: the one kept in DATA, else 8883].")
@click.option("--broker", default="auto", show_default=True, metavar="KIND", help="auto, amqtt, mosquitto, or mqtts://HOST:PORT.")
@click.option(
    "--builds", type=click.IntRange(0, 64), default=1, show_default=True, metavar="N", help="Builds that run here at the same time."
)
@click.option("--build-memory", type=Size(), metavar="SIZE", help="Memory (addresses) for one build here, 0 for no limit [default: 16GiB].")
@click.option("--build-time", type=Duration(), metavar="TIME", help="The longest that one build may take here [default: 6h].")
@click.option("--debug", is_flag=True, help="Show tracebacks and a verbose log.")
def up(
    data: Path,
    http: str,
    public_host: str | None,
    devices_port: int | None,
    mqtt_port: int | None,
    broker: str,
    builds: int,
    build_memory: int | None,
    build_time: float | None,
    debug: bool,
) -> int:
    """Run the controller: broker, database, artifact store, API and dashboard.

    One command, nothing to install beside it. It stays in the foreground; Ctrl-C or SIGTERM ends it and all it started.
    """
    from argosy_controller.app import serve
    from argosy_controller.cli.banner import Banner
    from argosy_controller.settings import Settings, check_public_host, parse_address

    host, port = parse_address(http)
    given: dict[str, Any] = {}
    if build_memory is not None:
        given["build_memory_bytes"] = build_memory
    if build_time is not None:
        given["build_wall_s"] = build_time
    free = 0 if port == 0 else None
    settings = Settings(
        data=data,
        http_host=host,
        http_port=port,
        public_host=check_public_host(public_host),
        devices_port=free if devices_port is None else devices_port,
        mqtt_port=free if mqtt_port is None else mqtt_port,
        broker=broker,
        builds_at_once=builds,
        **given,
    )
    serve(settings, Banner(), verbose=debug)
    return 0
