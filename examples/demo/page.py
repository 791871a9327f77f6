"""build/demo/index.html: one page to look at, with everything in it."""

from __future__ import annotations

from html import escape
from typing import Any

import observe
from stage import Stage

WIDTH, HEIGHT, LEFT = 1000, 120, 50
#: Microseconds at the bottom and at the top of a strip; the axis is logarithmic.
LOW, HIGH = 100.0, 100_000.0
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #66707c; --paper: #fff; --line: #d9dee4; --good: #1a7f45; --bad: #c02b2b }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebef; --soft: #98a2ad; --paper: #14171b; --line: #30363d; --good: #4cc07d; --bad: #ff7b72 }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1060px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem } .soft { color: var(--soft) }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line) }
.n { text-align: right; font-variant-numeric: tabular-nums } .good { color: var(--good) } .bad { color: var(--bad) }
svg { width: 100%; min-width: 640px; height: auto; display: block } .table { min-width: 560px } svg text { fill: var(--soft); font: 11px system-ui, sans-serif }
.grid { stroke: var(--line) } .v1 { fill: #8a94a0 } .v2 { fill: #1f7ae0 } .v3 { fill: #e08a1f } .v4 { fill: #c02b2b }
.key { white-space: nowrap; margin-left: 1em } .key span { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .3em }
"""


def page(summary: dict[str, Any], stage: Stage) -> str:
    """The page as HTML; it asks no other host for anything."""
    held = sum(one["held"] for one in summary["promises"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Argosy demo</title>
<style>{STYLE}</style></head><body>
<h1>Argosy: the whole loop on one machine</h1>
<p class="soft">{held} of {len(summary["promises"])} promises held, {summary["seconds"]:.0f} s, {escape(summary["data"])}</p>
<h2>What clients saw</h2>
<p class="soft">Each dot is the median of a tenth of a second, from a client's request to its answer over loopback HTTP.
{"".join(f'<span class="key"><span style="background:{c}"></span>version {v}</span>' for v, c in _COLOURS)}</p>
<div class="wide">{"".join(_strip(device.name, stage.requests(device.name), *_span(stage)) for device in stage.devices)}</div>
{_load_table(summary["load"])}
<h2>What was promised, and what was seen</h2>
<div class="wide"><table>{"".join(_promise(one) for one in summary["promises"])}</table></div>
<h2>Version 2, compressed</h2>
<div class="wide"><table class="table"><tr><th>variant<th>precision<th class="n">bytes<th class="n">accuracy<th>95 % interval<th class="n">latency p50</tr>
{"".join(_variant(one) for one in summary["variants"])}</table></div>
<h2>What devices serve at the end</h2>
<div class="wide"><table class="table"><tr><th>device<th>runtimes<th>serves<th>sha256 of the file on its disk</tr>
{"".join(_device(one) for one in summary["devices"])}</table></div>
</body></html>
"""


_COLOURS = (("1", "#8a94a0"), ("2", "#1f7ae0"), ("3", "#e08a1f"))


def _span(stage: Stage) -> tuple[float, float]:
    times = [one.at for device in stage.devices for one in stage.requests(device.name)]
    return (min(times), max(times)) if times else (0.0, 1.0)


def _strip(name: str, requests: list[observe.Request], start: float, end: float) -> str:
    """A device's latencies over time, coloured by the version that answered."""
    dots = "".join(_dot(tenth, start, end) for tenth in _tenths(requests))
    lines = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{_y(us):.0f}" y2="{_y(us):.0f}"/><text x="0" y="{_y(us) + 4:.0f}">{label}</text>'
        for us, label in ((100, "0.1 ms"), (1000, "1 ms"), (10_000, "10 ms"), (100_000, "0.1 s"))
    )
    return (
        f'<p style="margin:.8rem 0 0">{escape(name)}</p><svg viewBox="0 -8 {WIDTH} {HEIGHT + 16}" role="img" '
        f'aria-label="latency of {escape(name)} over time">{lines}{dots}</svg>'
    )


def _tenths(requests: list[observe.Request]) -> list[list[observe.Request]]:
    groups: dict[tuple[int, str], list[observe.Request]] = {}
    for one in requests:
        if one.good:
            groups.setdefault((int(one.at * 10), one.version), []).append(one)
    return list(groups.values())


def _dot(tenth: list[observe.Request], start: float, end: float) -> str:
    middle = sorted(one.took_us for one in tenth)[len(tenth) // 2]
    x = LEFT + (WIDTH - LEFT - 4) * (tenth[0].at - start) / max(1.0, end - start)
    return f'<circle class="v{escape(tenth[0].version)}" cx="{x:.1f}" cy="{_y(middle):.1f}" r="1.6"/>'


def _y(microseconds: float) -> float:
    from math import log10

    share = (log10(min(max(microseconds, LOW), HIGH)) - log10(LOW)) / (log10(HIGH) - log10(LOW))
    return HEIGHT * (1 - share)


def _load_table(load: dict[str, Any]) -> str:
    return (
        f"<p>{load['requests']:,} requests, {load['failed']} failed. Steady: half within {_ms(load['p50_us_steady'])}, "
        f"99 % within {_ms(load['p99_us_steady'])}; around swaps, with proving and loading beside: 99 % within {_ms(load['p99_us_swapping'])}.</p>"
    )


def _promise(one: dict[str, Any]) -> str:
    mark = '<td class="good">held' if one["held"] else '<td class="bad">did not hold'
    return f"<tr>{mark}<td>{escape(one['what'])}<td class='soft'>{escape(one['seen'])}</tr>"


def _variant(one: dict[str, Any]) -> str:
    accuracy = "–" if one["accuracy"] is None else f"{one['accuracy']:.2%}"
    interval = "no engine for it here" if one["accuracy"] is None else f"{one['accuracy_low']:.2%} to {one['accuracy_high']:.2%}"
    latency = "–" if one["latency_us_p50"] is None else f"{one['latency_us_p50']:.1f} µs"
    return (
        f"<tr><td>{escape(one['name'])}<td>{escape(one['precision'])}<td class='n'>{one['bytes']:,}<td class='n'>{accuracy}"
        f"<td>{interval}<td class='n'>{latency}</tr>"
    )


def _device(one: dict[str, Any]) -> str:
    serves = f"{one['model']}@{one['version']} {one['variant']}"
    return f"<tr><td>{escape(one['id'])}<td>{escape(', '.join(one['runtimes']))}<td>{escape(serves)}<td><code>{one['sha256'][:24]}…</code></tr>"


def _ms(microseconds: float | None) -> str:
    return "–" if microseconds is None else f"{microseconds / 1000:.2f} ms"
