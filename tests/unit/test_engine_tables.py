"""What the pages say of the engines is what their judgements say."""

from __future__ import annotations

import pytest

from tools import engine_tables
from tools.engine_tables import PAGES, PLACE, TABLES, judgements, renewed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_tell_what_was_judged(page: object) -> None:
    assert page in PAGES
    text = page.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert {place[2] for place in PLACE.finditer(text)} >= {"figures", "missed-targets"}
    assert renewed(text, judgements()) == text, "python -m tools.engine_tables"


def test_another_figure_makes_another_page() -> None:
    judged = judgements()
    place = "<!-- engines: figures -->\n\nwhat was there before\n\n<!-- end -->\nand all else"
    page = renewed(place, judged)
    assert page.endswith("\n\n<!-- end -->\nand all else")
    assert all(f"| {name} |" in page for name in judged)
    judged["superres-2x"]["psnr_db"] = 12.34
    assert "→ 12.3 (" in renewed(page, judged)
    assert renewed(page, judged) != page


def test_every_table_has_rows_and_each_row_all_columns() -> None:
    for name, table in TABLES.items():
        lines = table(judgements()).splitlines()
        assert len(lines) > 4, name
        assert len({line.count("|") for line in lines}) == 1, name


def test_a_target_is_told_with_those_who_miss_it_and_by_how_much() -> None:
    judged = judgements()
    missed = engine_tables.missed_targets(judged)
    for name, told in judged.items():
        count = missed.count(name.replace("-clarity-", " ") + ":")
        assert count == len(told["targets_missed"]), name


def test_peers_stand_with_the_nearest_to_the_truth_first() -> None:
    rows = [line.split("|") for line in TABLES["fluoroscopy-peers"](judgements()).splitlines()[2:]]
    told = [float(row[2]) for row in rows]
    assert told == sorted(told, reverse=True)
    assert sum("**" in row[1] for row in rows) == 1
