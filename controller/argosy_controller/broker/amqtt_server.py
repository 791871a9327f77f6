"""The embedded broker's process: `python -m argosy_controller.broker.amqtt_server CONFIG.json`.

CONFIG.json holds `host`, `port` and the PEM paths `ca`, `certificate`, `key`, `crl` (or null). On standard input a line `revoke` means:
read certificates and CRL again and end the sessions of revoked certificates; the answer on standard output is one JSON line, `{"error": null}` or
a sentence. The end of standard input ends the broker: its controller is gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from asyncio import sslproto
from collections.abc import Callable
from pathlib import Path
from typing import Any

from argosy.errors import InvalidInput
from argosy_controller.broker.amqtt_hardened import HardBroker, server_context
from argosy_controller.broker.revocations import revoked_serials

#: asyncio holds one receive buffer for each TLS connection, 256 KiB unless told: two thirds of what a device would cost here.
_RECEIVE_BUFFER_BYTES = 32 << 10


async def serve(config: dict[str, Any]) -> None:
    """Runs the broker until SIGTERM, or until standard input ends."""
    ca, crl = Path(config["ca"]), Path(config["crl"]) if config["crl"] else None
    context = server_context()

    def load() -> frozenset[int]:
        context.load_verify_locations(ca)
        context.load_cert_chain(config["certificate"], config["key"])
        return revoked_serials(crl, ca) if crl else frozenset()

    broker = HardBroker(config["host"], config["port"], context, load())
    await broker.start()
    loop = asyncio.get_running_loop()
    orders = loop.create_task(_take_orders(broker, load))
    loop.add_signal_handler(signal.SIGTERM, orders.cancel)
    await asyncio.wait([orders])
    logging.disable()  # No farewell to clients: nothing is stored, and they find out at once when the process ends.


async def _take_orders(broker: HardBroker, load: Callable[[], frozenset[int]]) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line.strip() == b"revoke":
            print(json.dumps({"error": await _revoke(broker, load)}), flush=True)


async def _revoke(broker: HardBroker, load: Callable[[], frozenset[int]]) -> str | None:
    try:
        await broker.revoke(load())
    except (OSError, InvalidInput, asyncio.TimeoutError) as error:
        return f"{error or type(error).__name__}"
    return None


def main(path: str) -> None:
    """Reads the configuration and serves."""
    sslproto.SSLProtocol.max_size = _RECEIVE_BUFFER_BYTES
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(serve(json.loads(Path(path).read_text())))


if __name__ == "__main__":
    main(sys.argv[1])
