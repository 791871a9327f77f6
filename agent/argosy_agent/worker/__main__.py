"""python -m argosy_agent.worker --fd N --endpoint HOST:PORT [--threads N] [--request-threads N]

Exit codes: 0 stopped or the supervisor is gone, 2 wrong arguments, 5 the endpoint cannot listen (after a NotReady message).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
from collections.abc import Sequence

from argosy.errors import ArgosyError, InvalidInput
from argosy_agent.children import Limits, confine
from argosy_agent.messages import Channel, Collect, NotReady, Order, Ready
from argosy_agent.serving.endpoint import Endpoint, parse_endpoint
from argosy_agent.serving.oip import Application
from argosy_agent.worker.slots import Slots

#: How long requests in flight may take once the end was asked for, in seconds; the agent as a whole has five.
_PATIENCE_S = 1.5


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until told to stop, or until the channel closes."""
    arguments = _arguments(argv)
    confine(Limits())
    try:
        channel = Channel(socket.socket(fileno=arguments.fd), Order)
        host, port = parse_endpoint(arguments.endpoint)
    except (OSError, InvalidInput) as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    slots = Slots(channel.send, threads=arguments.threads, copies=arguments.copies)
    try:
        endpoint = Endpoint(Application(slots.handles), host, port, arguments.request_threads)
    except ArgosyError as error:
        channel.send(NotReady(text=str(error)))
        return 5
    endpoint.start()
    slots.start()
    channel.send(Ready(endpoint=endpoint.url, pid=os.getpid()))
    serve(channel, slots)
    endpoint.stop(_PATIENCE_S)
    with contextlib.suppress(OSError):  # the supervisor is gone, and nobody counts any more
        slots.obey(Collect())
    return 0


def serve(channel: Channel, slots: Slots) -> None:
    """Obeys orders until Stop, the end of the channel, or bytes on it that make no sense."""
    try:
        while (order := channel.receive()) is not None and slots.obey(order):
            pass
    except OSError:
        pass  # the supervisor is gone, as at the end of the channel
    except InvalidInput as error:
        print(f"worker: {error}: ending, so that the supervisor starts me again", file=sys.stderr)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("argosy_agent.worker", description="The agent's serving worker, started by its supervisor.")
    parser.add_argument("--fd", type=int, required=True, metavar="N", help="inherited end of the channel to the supervisor")
    parser.add_argument("--endpoint", required=True, metavar="HOST:PORT", help="where to serve; port 0 takes a free one")
    parser.add_argument("--threads", type=int, default=1, help="threads of one model run, default 1")
    parser.add_argument("--copies", type=int, default=1, help="TFLite interpreters per model, default 1")
    parser.add_argument("--request-threads", type=int, default=4, metavar="N", help="requests worked on at once, default 4")
    return parser.parse_args(argv)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a load may be going on in a daemon thread, inside a runtime that must not meet a dying interpreter
