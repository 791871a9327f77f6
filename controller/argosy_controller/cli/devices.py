"""`controller devices`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from argosy_controller.cli.shell import Session, controller_options, plain
from argosy_controller.views.format import as_age, as_labels

if TYPE_CHECKING:
    from rich.console import Console


@click.group()
def devices() -> None:
    """List, show and revoke devices, or let one in again.

    \b
    Example:
      controller devices list --selector site=lab
    """


@devices.command("list", epilog="\b\nExample:\n  controller devices list --selector 'site=lab,!retired'")
@click.option("--selector", default="*", show_default=True, help="Only these devices.")
@controller_options
def list_devices(session: Session, selector: str) -> None:
    """List devices, their labels, and what their slots serve."""
    with session.client() as client:
        found = client.get("/devices", selector=selector)
    session.show(found, lambda console: _draw_list(console, found))


@devices.command(epilog="\b\nExample:\n  controller devices show pi-7")
@click.argument("device")
@controller_options
def show(session: Session, device: str) -> None:
    """Show one device: slots, runtimes, refusals."""
    with session.client() as client:
        found = client.get(f"/devices/{device}")
    session.show(found, lambda console: _draw_one(console, found))


@devices.command(epilog="\b\nExample:\n  controller devices revoke pi-7 --yes")
@click.argument("device")
@click.option("--yes", is_flag=True, help="Do not ask.")
@controller_options
def revoke(session: Session, device: str, yes: bool) -> None:
    """Shut a device out: its certificate is revoked and its connections end."""
    if not yes and not session.json:
        click.confirm(
            f"Revoke {device}? It comes back only under a new name, or after 'controller devices allow-new-key'", abort=True, err=True
        )
    with session.client() as client:
        done = client.post(f"/devices/{device}/revoke")
    session.show(done, lambda console: console.print(f"{device} is revoked. {done['note']}".strip()))


@devices.command("allow-new-key", epilog="\b\nExample:\n  controller devices allow-new-key pi-7")
@click.argument("device")
@controller_options
def allow_new_key(session: Session, device: str) -> None:
    """Let a device that lost its key, or was revoked, enrol once more under its name."""
    with session.client() as client:
        found = client.post(f"/devices/{device}/allow-new-key")
    told = f"{device} may enrol once with a new key: give it a line from 'controller tokens create'"
    session.show(found, lambda console: console.print(told))


def _draw_list(console: Console, found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not found:
        console.print("No device. Make a line with 'controller tokens create' and give it to 'agent enrol'.")
        return
    table = Table("device", "state", "seen", "labels", "serves", box=None, header_style="bold", pad_edge=False)
    for one in found:
        state = "revoked" if one["revoked"] else "online" if one["online"] else "offline"
        table.add_row(one["device"], state, as_age(one["last_seen"], time.time()), as_labels(one["labels"]), serves(one["slots"]))
    console.print(table)


def _draw_one(console: Console, one: dict[str, Any]) -> None:
    from rich.table import Table

    runtimes = ", ".join(plain(f"{r['name']} {r['version']}") for r in one["runtimes"]) or "–"
    facts = Table.grid(padding=(0, 2))
    facts.add_row("device", one["device"])
    facts.add_row("state", "revoked" if one["revoked"] else "online" if one["online"] else "offline")
    facts.add_row("seen", as_age(one["last_seen"], time.time()))
    facts.add_row("labels", as_labels(one["labels"]))
    facts.add_row("runtimes", runtimes)
    facts.add_row("serves", serves(one["slots"]))
    for refusal in one["refusals"][-5:]:
        facts.add_row("refused", plain(f"{refusal['code']}: {refusal['text']}"))
    console.print(facts)


def serves(slots: dict[str, dict[str, Any]]) -> str:
    """For example `digits: digits@2 onnx-int8 serving`."""
    texts = (
        f"{slot}: {s['model']}@{s['version']} {s['variant']} {s['state']}" if s["model"] else f"{slot}: {s['state']}"
        for slot, s in slots.items()
    )
    return plain("; ".join(texts)) or "–"
