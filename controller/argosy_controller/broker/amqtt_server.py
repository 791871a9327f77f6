"""The embedded broker's process: `python -m argosy_controller.broker.amqtt_server CONFIG.json`.

CONFIG.json holds `host`, `port` and the PEM paths `ca`, `certificate`, `key`, `crl` (or null). On standard input a line `revoke` means:
read the CRL again and end the sessions of revoked certificates; the answer on standard output is one JSON line, `{"error": null}` or
a sentence. The end of standard input ends the broker: its controller is gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from cryptography import x509

from argosy_controller.broker.amqtt_hardened import HardBroker, server_context


def revoked_serials(crl: Path | None, ca: Path) -> frozenset[int]:
    """The serial numbers on the list.

    Raises:
        OSError: a file cannot be read.
        ValueError: it is no list of revoked certificates, or not signed by `ca`.
    """
    if crl is None:
        return frozenset()
    listed = x509.load_pem_x509_crl(crl.read_bytes())
    authority = x509.load_pem_x509_certificate(ca.read_bytes())
    if not listed.is_signature_valid(authority.public_key()):  # type: ignore[arg-type]
        raise ValueError(f"{crl} is not signed by {ca}")
    return frozenset(entry.serial_number for entry in listed)


async def serve(config: dict[str, Any]) -> None:
    """Runs the broker until SIGTERM, or until standard input ends."""
    ca, crl = Path(config["ca"]), Path(config["crl"]) if config["crl"] else None
    context = server_context(config["ca"], config["certificate"], config["key"])
    broker = HardBroker(config["host"], config["port"], context, revoked_serials(crl, ca))
    await broker.start()
    loop = asyncio.get_running_loop()
    orders = loop.create_task(_take_orders(broker, crl, ca))
    loop.add_signal_handler(signal.SIGTERM, orders.cancel)
    await asyncio.wait([orders])
    logging.disable()  # No farewell to clients: nothing is stored, and they find out at once when the process ends.


async def _take_orders(broker: HardBroker, crl: Path | None, ca: Path) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line.strip() == b"revoke":
            print(json.dumps({"error": await _revoke(broker, crl, ca)}), flush=True)


async def _revoke(broker: HardBroker, crl: Path | None, ca: Path) -> str | None:
    try:
        await broker.revoke(revoked_serials(crl, ca))
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        return f"{error or type(error).__name__}"
    return None


def main(path: str) -> None:
    """Reads the configuration and serves."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(serve(json.loads(Path(path).read_text())))


if __name__ == "__main__":
    main(sys.argv[1])
