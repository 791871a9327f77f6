"""Windows are kept once, with every count."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_fleet import NOW, open_in, window
from sqlmodel import func, select

from argosy.histogram import Histogram, merged
from argosy.protocol.telemetry import from_sketch, to_sketch
from argosy_controller.db.tables import WindowRow
from argosy_controller.telemetry.windows import keep_windows, sketch_of


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 10**9)), max_size=20))
def test_counts_survive_any_repetition(tmp_path: Path, sent: list[tuple[int, int]]) -> None:
    database = open_in(tmp_path)
    first: dict[int, Histogram] = {}
    with database.write() as session:
        session.exec(WindowRow.__table__.delete())  # type: ignore[attr-defined]
        for sequence, nanoseconds in sent:
            histogram = Histogram()
            histogram.record(nanoseconds, 3)
            first.setdefault(sequence, histogram)
            keep_windows(session, [(window(sequence=sequence, requests=3, errors=0, latency=to_sketch(histogram)), NOW)])
    with database.read() as session:
        rows = session.exec(select(WindowRow)).all()
        assert (session.exec(select(func.sum(WindowRow.requests))).one() or 0) == 3 * len(first)
    assert merged(from_sketch(sketch_of(row.latency)) for row in rows) == merged(first[sequence] for sequence in sorted(first))
    database.close()
