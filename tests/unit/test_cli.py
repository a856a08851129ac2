"""Commands of other packages: found by their entry points, and harmless when they are broken."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from edge import cli

GROUP = cli.EXTRA_COMMANDS
EXTRA = """
def greet(name: str = "nobody") -> None:
    '''Say a name.'''
    print(f"it is {name}")

def unusable(what: 'Missing') -> None: ...

number = 42
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "somebodys.py").write_text(EXTRA)
    (tmp_path / "broken.py").write_text("raise OSError('no such device')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(cli.app, "registered_commands", list(cli.app.registered_commands))


def limpid(monkeypatch: pytest.MonkeyPatch, points: dict[str, str], *arguments: str) -> int:
    found = [EntryPoint(name, value, GROUP) for name, value in points.items()]
    monkeypatch.setattr(cli, "entry_points", lambda group: found if group == GROUP else [])
    monkeypatch.setattr(sys, "argv", ["limpid", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def test_a_command_of_another_package_is_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert limpid(monkeypatch, {"greet": "somebodys:greet"}, "greet", "--name", "Limpid") == 0
    assert capsys.readouterr().out.strip() == "it is Limpid"


def test_it_stands_in_the_help_beside_our_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert limpid(monkeypatch, {"greet": "somebodys:greet"}, "--help") == 0
    shown = capsys.readouterr().out
    assert "Say a name." in shown
    assert "doctor" in shown


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("broken", "OSError: no such device"),
        ("nowhere:at_all", "ModuleNotFoundError"),
        ("somebodys:nothing", "AttributeError"),
        ("somebodys:number", "cannot be used"),
        ("somebodys:unusable", "cannot be used"),
    ],
)
def test_a_broken_one_is_named_and_the_others_still_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, said: str
) -> None:
    points = {"odd": value, "greet": "somebodys:greet"}
    assert limpid(monkeypatch, points, "--help") == 0
    shown = capsys.readouterr()
    assert "Say a name." in shown.out
    complaint = shown.err.strip()
    assert complaint.startswith(f"limpid: the command odd ({value}) cannot be used: ")
    assert said in complaint
    assert len(complaint.splitlines()) == 1


def test_one_asked_for_by_name_is_not_disturbed_by_a_broken_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limpid(monkeypatch, {"odd": "broken", "greet": "somebodys:greet"}, "greet") == 0
    assert capsys.readouterr().err == ""


def test_a_broken_one_costs_our_own_commands_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good = tmp_path / "good.toml"
    good.write_text("[live]\ndeadline_ms = 20\n")
    assert limpid(monkeypatch, {"odd": "broken"}, "config", "check", str(good)) == 0
    assert capsys.readouterr().err == ""


def test_our_own_commands_cannot_be_replaced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    points = dict.fromkeys(("doctor", "set", "config"), "somebodys:greet")
    for name in points:
        assert limpid(monkeypatch, points, name, "--help") == 0
        assert "Say a name." not in capsys.readouterr().out


def test_a_command_that_nobody_has_is_the_operators_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limpid(monkeypatch, {}, "calibrat") == 2
    assert "calibrat" in capsys.readouterr().err
