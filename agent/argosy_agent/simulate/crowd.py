"""The simulator's loop: one thread, one selector, every device's socket; and the summary of what was seen."""

from __future__ import annotations

import resource
import selectors
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt

from argosy.errors import ArgosyError, Unavailable
from argosy.protocol.card import MODEL_FILES, target_folder
from argosy.protocol.refusals import Refusal
from argosy.protocol.reported import Capabilities, Runtime
from argosy.trust import Refused
from argosy_agent.clock import Clock
from argosy_agent.fetch.metadata import Repository
from argosy_agent.fetch.trusted import Trusted
from argosy_agent.folder import StateFolder
from argosy_agent.http import DeviceHttp
from argosy_agent.identity import load_identity
from argosy_agent.link import wait_before
from argosy_agent.simulate.player import Player
from argosy_agent.timers import Every
from argosy_agent.updater.state import FetchFailed, SlotEvent, StartFetch

#: What simulated devices say they can run; nothing is loaded. They tell neither an opset nor memory, so nothing is refused for these.
CAPABILITIES = Capabilities(
    runtimes=[
        Runtime(name="onnxruntime", version="simulated", formats=["onnx"]),
        Runtime(name="ai-edge-litert", version="simulated", formats=["tflite"]),
    ],
    machine="simulated",
)
_TICK_S = 0.5
_HOUSEKEEPING_S = 1.0
_REFRESH_EVERY_S = 0.1


class Crowd:
    """Simulated devices.

    Args:
        folders: enrolled STATE folders; the first one's identity fetches the metadata for all.
    """

    def __init__(self, folders: list[StateFolder]) -> None:
        _allow_sockets(len(folders))
        first = load_identity(folders[0])
        clock = Clock(folders[0].floor)
        self._repository = Repository(first, folders[0], DeviceHttp(first, folders[0], clock), clock)
        self._asking: list[Player] = []
        self._refresh_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._events: dict[Player, int] = {}
        self._lost: dict[Player, float] = {}
        self.players = [self._player(folder) for folder in folders]

    def _player(self, folder: StateFolder) -> Player:
        player = Player(folder, CAPABILITIES, lambda: self._asking.append(player), self._refused)
        return player

    def connect(self) -> None:
        """Connects every device, one after the other, and waits until the broker accepted them all.

        Raises:
            Unavailable: one could not connect.
        """
        keep_alive = Every(_HOUSEKEEPING_S, self._keep_alive, at_once=False)
        for player in self.players:
            self._connect(player)
            self.turn(0.0)
            keep_alive.turn(time.monotonic())
            self._reconnect()
        deadline = time.monotonic() + 60
        while not all(player.connected for player in self.players):
            self.turn(0.1)
            keep_alive.turn(time.monotonic())
            self._reconnect()
            if time.monotonic() > deadline:
                raise Unavailable("not every device was accepted by the broker within 60 s: look at the controller's log")

    def _connect(self, player: Player) -> None:
        try:
            player.connect()
        except (OSError, ValueError) as error:
            raise Unavailable(f"device {player.device.facts.name} cannot connect to the broker ({error})") from error
        self._selector.register(_socket(player), selectors.EVENT_READ | selectors.EVENT_WRITE, player)

    def _reconnect(self) -> None:
        """Connects those again whose time has come, as the real link would; one that fails waits for its next turn."""
        now = time.monotonic()
        for player in [player for player, due in self._lost.items() if due <= now]:
            try:
                self._connect(player)
                del self._lost[player]
            except Unavailable:
                self._lost[player] = now + wait_before(player.device.facts.name, player.attempts)

    def run(self, rounds: int, timeout_s: float, stopping: Callable[[], bool]) -> None:
        """Plays until every device has confirmed `rounds` generations, or the time is over, or `stopping` says so."""
        deadline = time.monotonic() + timeout_s
        timers = [Every(_TICK_S, self._tick), Every(_HOUSEKEEPING_S, self._keep_alive), Every(_HOUSEKEEPING_S, self._reconnect)]
        while time.monotonic() < deadline and not stopping():
            self.turn(0.1)
            for timer in timers:
                timer.turn(time.monotonic())
            if all(len(player.confirmed) >= rounds for player in self.players):
                return

    def turn(self, timeout_s: float) -> None:
        """Serves the sockets that are ready, for at most about `timeout_s` seconds of waiting."""
        for key, ready in self._selector.select(timeout_s):
            self._serve(key.data, ready)
        self._answer_refreshes()

    def goodbye(self) -> None:
        """Disconnects every device in good order."""
        for player in self.players:
            player.goodbye()
        for player in self.players:
            while player.connection.client.want_write() and player.connection.client.loop_write() == mqtt.MQTT_ERR_SUCCESS:
                pass

    # --- sockets -----------------------------------------------------------------------------------------------------

    def _serve(self, player: Player, ready: int) -> None:
        self._with(player, lambda: _exchange(player, ready))

    def _with(self, player: Player, act: Callable[[], None]) -> None:
        """Lets a device act; what it wrote, or that it lost its socket over it, is then known to the selector."""
        sock = _socket(player)
        act()
        if sock is not None:
            self._rearm(player, sock)

    def _rearm(self, player: Player, sock: Any) -> None:
        if _socket(player) is None:
            self._selector.unregister(sock)
            self._events.pop(player, None)
            self._lost[player] = time.monotonic() + wait_before(player.device.facts.name, 0)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if player.connection.client.want_write() else 0)
        if self._events.get(player) != wanted:
            self._events[player] = wanted
            self._selector.modify(sock, wanted, player)

    def _tick(self) -> None:
        for player in self.players:
            self._with(player, player.tick)

    def _keep_alive(self) -> None:
        for player in self.players:
            if _socket(player) is not None:
                self._with(player, lambda client=player.connection.client: client.loop_misc())  # type: ignore[misc]

    # --- trust -------------------------------------------------------------------------------------------------------

    def _answer_refreshes(self) -> None:
        """One refresh answers everybody who asked before it began; devices that connect one by one would ask a thousand times."""
        if not self._asking or time.monotonic() < self._refresh_at:
            return
        asking, self._asking = self._asking, []
        try:
            trusted = self._repository.refresh()
        except ArgosyError as error:
            refusal = error.refusal if isinstance(error, Refused) else None
            self._refresh_at = time.monotonic() + _REFRESH_EVERY_S
            for player in asking:
                player.perform(player.device.on_metadata_failed(refusal, str(error), None, player.times()))
            return
        self._refresh_at = time.monotonic() + _REFRESH_EVERY_S
        for player in asking:
            self._with(player, lambda player=player: _tell_metadata(player, trusted))  # type: ignore[misc]

    def _refused(self, effect: StartFetch) -> SlotEvent | None:
        """The check that a fetch begins with: is what the document names what a publisher signed?"""
        content = effect.target.content
        base = target_folder(content.model, content.version, content.variant)
        try:
            found = self._repository.find([f"{base}/{name}" for name in MODEL_FILES.values()])
        except ArgosyError as error:
            return FetchFailed(job=effect.job, refusal=Refusal.DOWNLOAD_FAILED, text=str(error))
        if any(one is not None and one.hashes.get("sha256") == content.sha256 for one in found.values()):
            return None
        return FetchFailed(job=effect.job, refusal=Refusal.UNKNOWN_TARGET, text=base)


def _socket(player: Player) -> Any:
    """The TLS socket of the connection; None once it is closed."""
    return player.connection.client.socket()


def _exchange(player: Player, ready: int) -> None:
    client, sock = player.connection.client, _socket(player)
    if ready & selectors.EVENT_READ:
        while client.loop_read() == mqtt.MQTT_ERR_SUCCESS and sock is not None and sock.pending():
            pass  # what TLS has decrypted already, no selector tells
    player.work()
    if client.want_write():
        client.loop_write()


def _tell_metadata(player: Player, trusted: Trusted) -> None:
    player.perform(player.device.on_metadata(trusted, player.times()))
    player.work()


def _allow_sockets(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count * 2 + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def summary(players: list[Player], enrol_s: float, connect_s: float, seconds: float) -> dict[str, Any]:
    """What was seen, per generation: how many devices were told and confirmed, and how the moments lie.

    Times are seconds after the first device was told of the generation.
    """
    generations = sorted({generation for player in players for generation in player.told})
    return {
        "schema": 1,
        "devices": len(players),
        "enrol_s": round(enrol_s, 3),
        "connect_s": round(connect_s, 3),
        "seconds": round(seconds, 3),
        "refusals": sum(len(player.device.refusals) for player in players),
        "generations": [_generation(players, generation) for generation in generations],
    }


def _generation(players: list[Player], generation: int) -> dict[str, Any]:
    told = sorted(player.told[generation] for player in players if generation in player.told)
    confirmed = sorted(player.confirmed[generation] for player in players if generation in player.confirmed)
    return {
        "generation": generation,
        "told": len(told),
        "confirmed": len(confirmed),
        "told_s": _spread(told, told[0]),
        "confirmed_s": _spread(confirmed, told[0]),
    }


def _spread(moments: list[float], zero: float) -> dict[str, float] | None:
    if not moments:
        return None
    return {
        "first": round(moments[0] - zero, 4),
        "median": round(moments[len(moments) // 2] - zero, 4),
        "last": round(moments[-1] - zero, 4),
    }
