"""Clients that know nothing of Argosy: they ask a device's endpoint for predictions, steadily, and write down what they saw.

    python load.py --out FOLDER --rate 40 --samples samples.json camera-1=127.0.0.1:40001 gateway=127.0.0.1:40002

One thread and one kept-alive connection per device speak the Open Inference Protocol in plain JSON. Each answered or failed request is
one line in FOLDER/NAME.csv: when it began (seconds since 1970), how long it took (microseconds), 1 if it was answered well,
and the version that answered. SIGTERM ends it: the request under way is finished and written down first.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import threading
import time
from pathlib import Path
from typing import TextIO

TIMEOUT_S = 30.0


class Client:
    """One client of one device."""

    def __init__(self, address: str, slot: str, bodies: list[bytes]) -> None:
        host, _, port = address.rpartition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
        self._path = f"/v2/models/{slot}/infer"
        self._bodies = bodies

    def ask(self, number: int) -> tuple[bool, str]:
        """One prediction: whether it was answered well, and the version that answered."""
        try:
            self._connection.request("POST", self._path, self._bodies[number % len(self._bodies)], {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            answer = json.loads(response.read())
            good = response.status == 200 and all(len(output["data"]) > 0 for output in answer["outputs"])
            return good, str(answer.get("model_version", ""))
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            self._connection.close()
            return False, ""


def run(client: Client, rate: float, log: TextIO, stop: threading.Event) -> None:
    """Asks `rate` times a second until told to stop; after a slow answer it goes on from now, without a burst."""
    number, due = 0, time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        at, begun = time.time(), time.perf_counter()
        good, version = client.ask(number)
        log.write(f"{at:.6f},{(time.perf_counter() - begun) * 1e6:.0f},{int(good)},{version}\n")
        number, due = number + 1, max(due + 1 / rate, time.monotonic() - 1 / rate)


def requests_of(samples: dict[str, dict[str, object]], count: int) -> list[bytes]:
    """The bodies to send, one per sample. `samples` maps an input's name to its datatype, its shape and `count` flat arrays."""
    return [
        json.dumps(
            {"inputs": [{"name": n, "datatype": s["datatype"], "shape": s["shape"], "data": s["rows"][i]} for n, s in samples.items()]}  # type: ignore[index]
        ).encode()
        for i in range(count)
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--slot", default="digits")
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("targets", nargs="+")
    options = parser.parse_args()
    document = json.loads(options.samples.read_text())
    bodies = requests_of(document["inputs"], document["count"])
    options.out.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threads, logs = [], []
    for target in options.targets:
        name, _, address = target.partition("=")
        logs.append((options.out / f"{name}.csv").open("a", buffering=1))
        client = Client(address, options.slot, bodies)
        threads.append(threading.Thread(target=run, args=(client, options.rate, logs[-1], stop), name=f"load-{name}"))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        log.close()


if __name__ == "__main__":
    main()
