"""`controller up`."""

from __future__ import annotations

from pathlib import Path

import click


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
@click.option("--debug", is_flag=True, help="Show tracebacks and a verbose log.")
def up(data: Path, http: str, public_host: str | None, devices_port: int | None, mqtt_port: int | None, broker: str, debug: bool) -> int:
    """Run the controller: broker, database, artifact store, API and dashboard.

    One command, nothing to install beside it. It stays in the foreground; Ctrl-C or SIGTERM ends it and all it started.
    """
    from argosy_controller.app import serve
    from argosy_controller.cli.banner import Banner
    from argosy_controller.settings import Settings, check_public_host, parse_address

    host, port = parse_address(http)
    free = 0 if port == 0 else None
    settings = Settings(
        data=data,
        http_host=host,
        http_port=port,
        public_host=check_public_host(public_host),
        devices_port=free if devices_port is None else devices_port,
        mqtt_port=free if mqtt_port is None else mqtt_port,
        broker=broker,
    )
    serve(settings, Banner(), verbose=debug)
    return 0
