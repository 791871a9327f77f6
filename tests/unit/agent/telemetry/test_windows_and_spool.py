"""Counts become windows and windows wait in the spool; whatever happens to them, the sums hold."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from argosy.histogram import Histogram
from argosy.protocol.codec import from_msgpack, to_msgpack
from argosy.protocol.desired import SlotContent
from argosy.protocol.telemetry import Resources, Window, from_sketch, to_sketch
from argosy.topics import Channel
from argosy_agent.messages import Counts
from argosy_agent.spool import Spool, merge_windows
from argosy_agent.telemetry import Telemetry, dropped_counts


def content(version: int) -> SlotContent:
    return SlotContent(model="m", version=version, variant="onnx-fp32", sha256="0" * 64, length=1)


def counts(version: int, good: int, errors: int = 0, start: float = 0.0, nanoseconds: int = 1_000_000) -> Counts:
    histogram = Histogram()
    if good:
        histogram.record(nanoseconds, good)
    return Counts(
        slot="s", content=content(version), start=start, duration_s=1.0, requests=good + errors, errors=errors, latency=to_sketch(histogram)
    )


def window(sequence: int, good: int = 10, version: int = 1) -> Window:
    telemetry = Telemetry("dev", "boot")
    telemetry.add([counts(version, good, errors=1, start=float(sequence), nanoseconds=1000 + sequence)])
    [closed] = telemetry.close(Resources(cpu_s=1.0))
    return Window(**{**{name: getattr(closed, name) for name in Window.__struct_fields__}, "sequence": sequence})


COUNTS = st.builds(counts, st.integers(1, 3), st.integers(0, 50), st.integers(0, 5), st.floats(0, 100), st.integers(1, 10**9))


@given(st.lists(st.one_of(COUNTS, st.none()), max_size=30))
def test_every_count_is_in_exactly_one_window(happened: list[Counts | None]) -> None:
    telemetry, windows = Telemetry("dev", "boot"), []
    for one in [*happened, None]:
        if one is None:
            windows += telemetry.close(Resources())
        else:
            telemetry.add([one])
    given_counts = [one for one in happened if one]
    for version in (1, 2, 3):
        sent = sum(one.requests for one in given_counts if one.content.version == version)
        assert sum(w.requests for w in windows if w.version == version) == sent
    assert sum(from_sketch(w.latency).count + w.errors for w in windows) == sum(one.requests for one in given_counts)
    assert len({w.sequence for w in windows}) == len(windows)


def test_resources_are_not_counted_twice() -> None:
    telemetry = Telemetry("dev", "boot")
    telemetry.add([counts(1, 5), counts(2, 5)])
    assert sum(w.resources.cpu_s for w in telemetry.close(Resources(cpu_s=3.0))) == 3.0


def test_counts_that_do_not_add_up_are_dropped() -> None:
    telemetry = Telemetry("dev", "boot")
    good = counts(1, 5)
    telemetry.add([Counts(**{**{n: getattr(good, n) for n in Counts.__struct_fields__}, "errors": 99})])
    assert telemetry.close(Resources()) == []


def test_health_window_begins_at_nothing_and_sees_only_its_content() -> None:
    telemetry = Telemetry("dev", "boot")
    telemetry.add([counts(1, 5), counts(2, 5)])
    telemetry.watch("s", content(2), 1.0)
    telemetry.add([counts(1, 5), counts(2, 7, errors=1)])
    telemetry.watch("s", content(2), 1.0)
    seen = telemetry.seen("s", content(2))
    assert (seen.requests, seen.errors, seen.latency.count) == (8, 1, 7)
    telemetry.watch("s", content(2), 2.0)
    assert telemetry.seen("s", content(2)).requests == 0


def test_before_is_the_last_minute_of_the_content_itself() -> None:
    telemetry = Telemetry("dev", "boot")
    telemetry.add([counts(1, 5, start=0.0), counts(1, 7, start=100.0), counts(2, 9, start=101.0)])
    assert telemetry.before("s", content(1)).count == 7


def test_dropped_files_are_read_once_and_rubbish_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.mp").write_bytes(to_msgpack(counts(1, 5)))
    (tmp_path / "b.mp").write_bytes(b"rubbish")
    (tmp_path / "c.tmp").write_bytes(b"not yet renamed")
    assert [one.requests for one in dropped_counts(tmp_path)] == [5]
    assert dropped_counts(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["c.tmp"]


def test_spool_keeps_order_over_a_restart_and_forgets_what_was_acknowledged(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(5):
        spool.add(Channel.EVENT, b"%d" % number)
    first, second = spool.take(2)
    spool.done(first)
    assert second.read() == b"1"
    again = Spool(tmp_path)
    assert [spooled.read() for spooled in again.take(10)] == [b"1", b"2", b"3", b"4"]
    again.again()
    assert [spooled.read() for spooled in again.take(10)] == [b"1", b"2", b"3", b"4"]


@given(st.integers(12, 60), st.integers(0, 8))
def test_full_spool_loses_resolution_and_never_counts(total: int, sent: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), limit=10)
        for sequence in range(sent):
            spool.add(Channel.TELEMETRY, to_msgpack(window(sequence)))
        taken = spool.take(sent)
        for sequence in range(sent, total):
            spool.add(Channel.TELEMETRY, to_msgpack(window(sequence)))
        spool.again()
        windows = [from_msgpack(Window, spooled.read() or b"") for spooled in Spool(Path(folder)).take(1000)]
        assert sum(w.requests for w in windows) == 11 * total
        assert sum(from_sketch(w.latency).count for w in windows) == 10 * total
        assert sum(w.resources.cpu_s for w in windows) == total
        kept = {w.sequence: w.requests for w in windows}
        assert all(kept[sequence] == 11 for sequence in range(len(taken))), "what may have arrived is never merged"
        assert len(windows) <= 11 + sent


def test_merged_windows_cover_both() -> None:
    joined = merge_windows(window(1), window(4))
    assert (joined.start, joined.start + joined.duration_s, joined.sequence) == (1.0, 5.0, 4)
