"""Daily figures: what adds up, what survives a restart, and how much of it is kept."""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.quality import FIGURE_STEP, LATENCY_STEP, Day, Spread, more_of, summary
from edge.quality_book import KEPT_DAYS, Book

TODAY = date(2026, 11, 27)


def filled(on: date = TODAY) -> Day:
    day = Day(on.isoformat(), captures=3, heat_s={"warm": 90.0})
    kind = day.kind("ultrasound")
    kind.add_frames({"clarity": 90}, {"late": 10}, {"superseded": 2})
    kind.add_latencies(n * 1_000_000 for n in range(1, 101))
    kind.noise.add(math.log10(0.02))
    kind.judged_s, kind.outside_s = 600.0, 120.0
    return day


@given(st.lists(st.floats(0.01, 5000), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_spread_knows_its_quantiles_to_within_a_bin(values: list[float], part: float) -> None:
    spread = Spread(LATENCY_STEP)
    for value in values:
        spread.add(math.log(value))
    found = spread.at(part)
    exact = float(np.quantile(values, part, method="inverted_cdf"))
    assert found is not None
    assert abs(found - math.log(exact)) <= LATENCY_STEP * 1.001


def test_what_is_no_number_is_in_no_spread() -> None:
    spread = Spread(FIGURE_STEP)
    for value in (math.nan, math.inf, -math.inf):
        spread.add(value)
    assert spread.at(0.5) is None


def test_a_day_in_words() -> None:
    told = summary(filled())
    facts = told["kinds"]["ultrasound"]
    assert (told["captures"], told["heat_minutes"]) == (3, {"warm": 1.5})
    assert facts["frames"] == {"enhanced": {"clarity": 90}, "original": {"late": 10}, "dropped": {"superseded": 2}}
    assert facts["enhanced_part"] == 0.9
    assert facts["latency_ms"]["p50"] == pytest.approx(50, rel=0.06)
    assert facts["latency_ms"]["p99"] == pytest.approx(99, rel=0.06)
    assert facts["noise_percent"] == pytest.approx(2.0, rel=0.06)
    assert (facts["judged_minutes"], facts["drift_minutes"]) == (10.0, 2.0)


def test_an_empty_day_says_nothing_rather_than_zero() -> None:
    day = Day(TODAY.isoformat())
    day.kind("fluoroscopy")
    facts = summary(day)["kinds"]["fluoroscopy"]
    assert facts["enhanced_part"] is None
    assert facts["latency_ms"] == {"p50": None, "p99": None}
    assert facts["noise_percent"] is None


def test_counts_that_grew() -> None:
    assert more_of({"a": 5, "b": 2, "c": 1}, {"a": 3, "b": 2}) == {"a": 2, "c": 1}


def test_a_day_goes_on_after_a_restart(tmp_path: Path) -> None:
    Book(tmp_path / "quality").write(filled())
    again = Book(tmp_path / "quality").day(TODAY)
    again.kind("ultrasound").add_frames({"clarity": 10}, {}, {})
    again.kind("ultrasound").add_latencies([50_000_000])
    Book(tmp_path / "quality").write(again)
    told = summary(Book(tmp_path / "quality").days()[0])
    assert told["kinds"]["ultrasound"]["frames"]["enhanced"] == {"clarity": 100}
    assert told["captures"] == 3


def test_a_year_is_kept_and_no_more(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for n in range(KEPT_DAYS + 30):
        (tmp_path / f"{TODAY - timedelta(days=n + 1)}.json").write_bytes(b'{"date": "x"}')
    book.write(filled())
    names = sorted(path.stem for path in tmp_path.iterdir())
    assert len(names) == KEPT_DAYS
    assert names[-1] == TODAY.isoformat()


def test_a_clock_that_was_wrong_for_an_hour_costs_no_year(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for n in range(20):
        book.write(filled(TODAY - timedelta(days=n)))
    book.write(filled(date(2099, 1, 1)))
    assert len(book.days()) == 21


@pytest.mark.parametrize("content", [b"", b"{", b'{"date": "2026-11-26"}', b'{"date": "2026-11-27", "format": 99}'])
def test_a_damaged_day_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{TODAY}.json").write_bytes(content)
    (tmp_path / "notes.json").write_text("{}")
    book = Book(tmp_path)
    assert book.days() == []
    assert book.day(TODAY).kinds == {}
