"""`make demo`: the whole loop on this machine, with four agents, in a few minutes. `make demo KEEP=1` leaves it running."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import fleet
import story
from page import page
from processes import Stuck, end_kept
from rich.table import Table
from screen import Screen
from stage import Stage
from summary import summarise

OUT = fleet.ROOT / "build" / "demo"


def main() -> int:
    """Runs the story, writes the summary and the page; 0 when everything held."""
    options = _options()
    ended = end_kept(OUT)
    if options.stop:
        print(f"ended {ended} processes of an earlier demo" if ended else "nothing was left running")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    screen = Screen(len(story.CHAPTERS))
    stage = Stage(OUT, screen, options.broker, options.mnist)
    keep = False
    try:
        whole = _tell_story(stage)
        summary = _write(stage, screen.seconds())
        _show(screen, summary)
        held = whole and all(one["held"] for one in summary["promises"])
        keep = options.keep
        return 0 if held else 1
    except KeyboardInterrupt:
        screen.tell("stopped; everything that was started is being ended")
        return 130
    finally:
        _leave(stage, keep)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--stop", action="store_true", help="only end what an earlier --keep left running")
    parser.add_argument("--broker", default="auto", help="as for controller up")
    parser.add_argument("--mnist", type=Path, help="folder with the full MNIST")
    return parser.parse_args()


def _tell_story(stage: Stage) -> bool:
    """All chapters in order; one that cannot be told ends the story, and says why."""
    with stage.screen.live():
        for number, (title, chapter) in enumerate(story.CHAPTERS):
            stage.screen.chapter(title)
            if number == 1:
                stage.start_telling_events()
            try:
                chapter(stage)
            except (Stuck, fleet.Failed, TimeoutError, OSError) as error:
                stage.promise(f"Chapter {number + 1} can be told to its end", False, str(error))
                return False
    return True


def _write(stage: Stage, seconds: float) -> dict[str, Any]:
    try:
        summary = summarise(stage, seconds)
    except OSError as error:
        stage.promise("The controller answers at the end", False, str(error))
        summary = {"schema": 1, "promises": [{"what": w, "held": h, "seen": s} for w, h, s in stage.findings.promises], "seconds": seconds}
    (OUT / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    if "load" in summary:
        (OUT / "index.html").write_text(page(summary, stage))
    return summary


def _show(screen: Screen, summary: dict[str, Any]) -> None:
    table = Table(title="\nWhat was promised, and what was seen", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in ("", "promised", "seen"):
        table.add_column(column)
    for one in summary["promises"]:
        table.add_row("[green]✓[/green]" if one["held"] else "[red]✗[/red]", one["what"], one["seen"])
    screen.console.print(table)
    held = sum(one["held"] for one in summary["promises"])
    screen.console.print(f"\n{held} of {len(summary['promises'])} held, in {summary['seconds']:.0f} s")
    for name in ("summary.json", "index.html"):
        if (OUT / name).exists():
            screen.console.print(f"  {OUT.relative_to(fleet.ROOT) / name}")


def _leave(stage: Stage, keep: bool) -> None:
    if not keep:
        stage.close()
        return
    stage.start_load()
    where = stage.controller.data.relative_to(fleet.ROOT)
    stage.screen.console.print(
        f"\nLeft running: the dashboard is at [bold]{stage.controller.endpoints['dashboard']}[/bold] (user admin, password in {where}/admin-password)"
        f"\n  look at it from here:  .venv/bin/controller devices list --data {where}"
        "\n  end it:                .venv/bin/python examples/demo --stop"
    )


if __name__ == "__main__":
    sys.exit(main())
