"""Words that are not ours are shown as they were written: square brackets in them are no mark-up."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from edge.access.curve import new_pair
from edge.access.homes import Home
from edge.commands import engine_plans, engine_view, exam, keys, outbox_view, watch

HOSTILE = ["[red] DOE", "x [/opt]"]  # the one loses its word, the other ends the command with a traceback


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def drawn(what: Any) -> str:
    shown = io.StringIO()
    Console(file=shown, width=300, highlight=False).print(what)
    return shown.getvalue()


@pytest.mark.parametrize("word", [*HOSTILE, "A:x:B"])
def test_a_worklists_words(
    word: str, wide: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    item = {
        "key": "k", "patient": {"name": word, "id": f"1 {word}", "birth_date": ""},
        "order": {"scheduled": "", "procedure": f"2 {word}", "step": "", "accession": f"3 {word}"},
    }  # fmt: skip
    monkeypatch.setattr(exam.Control, "ask", lambda *_, **__: {"items": [item], "stale": None})
    exam.worklist("ipc:///nowhere", "", "", as_json=False)
    assert capsys.readouterr().out.count(word) == 4


@pytest.mark.parametrize("word", HOSTILE)
def test_a_daemons_words(word: str) -> None:
    stream = {
        "frames": {"in": 1, "enhanced": {}, "original": {f"1 {word}": 1}, "dropped": {f"2 {word}": 1}},
        "latency_ms": {}, "frozen": False, "live": True, "view": "enhanced", "rung": "original", "why": f"3 {word}",
    }  # fmt: skip
    engine = {"name": f"4 {word}", "sha256": "ab" * 32, "backend": f"5 {word}"}
    enhanced = {
        **stream, "rung": "small", "engine": engine, "strength_percent": 80.0,
        "drift": {"state": "outside", "by": [f"6 {word}"]},
    }  # fmt: skip
    heat = {"known": True, "step": "warm", "zone": f"7 {word}", "celsius": 60.0, "margin": 5.0}
    status = {
        "version": f"8 {word}", "backend": "", "rss_mb": 1, "streams": {f"9 {word}": stream, "other": enhanced},
        "health": {"heat": heat},
    }  # fmt: skip
    shown = drawn(watch.table(status))
    assert [number for number in range(1, 10) if f"{number} {word}" not in shown] == []
    unknown = {"known": False, "step": "normal", "trouble": word}
    assert word in drawn(watch.heat({"health": {"heat": unknown}}))


@pytest.mark.parametrize("word", HOSTILE)
def test_an_engines_words(word: str, wide: None, capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "name": f"1 {word}", "version": f"2 {word}", "sha256": "", "judged": "no", "state": "active", "trial": "",
        "precision": f"3 {word}", "plans": [], "signed_by": "",
    }  # fmt: skip
    desk: Any = SimpleNamespace(
        config=SimpleNamespace(engines=SimpleNamespace(backend="a backend")),
        store=SimpleNamespace(root=Path(f"/opt/4 {word}")),
    )
    shown = drawn(engine_view._table(desk, [row]))
    assert [number for number in range(1, 5) if f"{number} {word}" not in shown] == []
    plan = {
        "engine": f"1 {word}", "precision": "int8", "shape": "640x480", "gpu": f"2 {word}", "cached": True, "bytes": 1,
    }  # fmt: skip
    engine_plans._show_built(
        {"built": [plan], "refused": [{**plan, "reason": word}], "runtime": "TensorRT", "plans": ""}
    )
    shown = capsys.readouterr().out
    assert [shown.count(f"{number} {word}") for number in (1, 2)] == [2, 2]


@pytest.mark.parametrize("word", HOSTILE)
def test_a_clients_streams(word: str, wide: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path)
    home.register.enrol("room-3", new_pair().public, "scanner", "2026-11-20T10:00:00+00:00", (word,))
    assert keys.list_(keys.Desk(home, as_json=False)) == 0
    assert word in capsys.readouterr().out


@pytest.mark.parametrize("word", HOSTILE)
def test_the_names_of_files_in_the_outbox(word: str) -> None:
    capture: Any = SimpleNamespace(held=False, damaged={word})
    assert word in drawn(outbox_view._note(capture))
