"""Who may do what on the console's page, by a real Chromium; and whether people can read, reach and touch it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archives import free_port
from tests.system.browser import CHROMIUM, DRIVER, Keys, Page, need
from tests.system.console_scene import Console, started
from tests.system.console_stage import Stage, add_user, staged
from tests.system.eyesight import SCROLLS, faults

pytestmark = pytest.mark.timeout(180)
SIZES = ((800, 480), (1280, 800), (1920, 1080))
PASSWORD = "correct horse battery"
VIEWS = {
    "live": ".glass canvas", "exam": ".tabs, .exam-open", "captures": ".captured, .empty", "engines": "article",
    "health": ".bars", "audit": "td.mono, .empty", "settings": ".tree .card",
}  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    need(CHROMIUM, DRIVER)
    home = tmp_path_factory.mktemp("home")
    with staged(home) as made:
        made.console.post("capture/still", {})
        yield made


@pytest.fixture(scope="module")
def guarded(stage: Stage) -> Iterator[Console]:
    """A second console on the same daemon: one where everybody has to log in."""
    home, port = stage.scene.home / "guarded", free_port()
    home.mkdir()
    text = (stage.scene.home / "limpid.toml").read_text()
    before, _, after = text.partition("[console]")
    rest = after[after.index("[sockets]") :]
    (home / "limpid.toml").write_text(f'{before}[console]\nport = {port}\nfolder = "{home}/console"\n{rest}')
    for name, role in (("vera", "view"), ("olga", "operate"), ("ada", "administer")):
        add_user(home, name, role, PASSWORD)
    console = Console(home, port)
    with started(home, "console"):
        stage.page.until(console.is_up, "the console with users")
        yield console


def log_in(stage: Stage, console: Console, user: str, password: str = PASSWORD) -> Page:
    page = Page(stage.page.driver, console.url)
    page.driver.delete_all_cookies()
    page.open("live")
    page.type('input[name="user"]', user)
    page.type('input[name="password"]', password)
    page.press("Log in")
    return page


def views(page: Page) -> list[str]:
    page.find("#bar nav a")
    return [one.text for one in page.all("#bar nav a")]


# ------------------------------------------------ who may do what


def test_a_wrong_password_says_so_and_opens_nothing(stage: Stage, guarded: Console) -> None:
    page = log_in(stage, guarded, "vera", "not the right one")
    page.find(".wrong", "wrong")
    assert not page.all("#bar nav a")
    assert not page.all("canvas")


def test_who_may_look_sees_the_picture_and_can_change_nothing(stage: Stage, guarded: Console) -> None:
    page = log_in(stage, guarded, "vera")
    assert views(page) == ["Live", "Exam", "Captures", "Engines", "Health"]
    page.find(".glass canvas[data-seq]")
    page.until(lambda: all(not one.is_enabled() for one in page.all(".captures button")), "no capture")
    assert not page.find(".strength input").is_enabled()
    page.press("Freeze")
    page.find(".tag.frozen", "FROZEN HERE")
    assert not stage.status()["frozen"], "only this page is held"
    page.press("Live")
    page.go("exam")
    page.until(lambda: page.is_there(".empty, .card"), "the exam")
    assert not page.all("#view button")


def test_who_may_operate_captures_and_does_not_administer(stage: Stage, guarded: Console) -> None:
    page = log_in(stage, guarded, "olga")
    assert "Audit" not in views(page)
    assert "Settings" not in views(page)
    page.find(".glass canvas[data-seq]")
    page.press("Still")
    page.find(".notice", "Stored")
    page.go("captures")
    page.find("a.captured").click()
    page.find(".way, .detail")
    assert not page.is_there("button", "Discard")


def test_who_administers_sees_everything_and_what_was_done_by_whom(stage: Stage, guarded: Console) -> None:
    page = log_in(stage, guarded, "ada")
    assert views(page)[-2:] == ["Audit", "Settings"]
    page.go("audit")
    page.find("td", "ada")
    page.press("Verify the chains")
    page.find(".verdict.good", "whole")


def test_logged_out_the_page_shows_nothing_any_more(stage: Stage, guarded: Console) -> None:
    page = log_in(stage, guarded, "vera")
    page.find(".glass canvas")
    page.press("vera: who is logged in")
    page.press("Log out", "dialog")
    page.find('input[name="password"]')
    assert not page.all("canvas")
    page.open("captures")
    page.find('input[name="password"]')
    page.driver.delete_all_cookies()


# ------------------------------------------------ settings


def test_a_wrong_key_of_the_settings_is_named_with_its_line(stage: Stage) -> None:
    page = stage.page
    page.open("settings")
    page.find(".tree .card")
    area = page.find("textarea.code")
    area.send_keys(Keys.CONTROL, Keys.END)
    area.send_keys("\n[station]\nnme = 'X'\n")
    page.find(".verdict.bad", "station.nme")
    line = (area.get_attribute("value") or "").split("\n").index("nme = 'X'") + 1
    page.find(".verdict.bad", f"line {line}")
    assert not page.find("button.first").is_enabled()
    page.press("Undo")
    page.find(".verdict.good", "Nothing is changed")


def test_a_change_is_told_key_by_key_and_written(stage: Stage) -> None:
    page, file = stage.page, Path(stage.scene.home / "limpid.toml")
    page.open("settings")
    page.find(".tree .card")
    page.find("textarea.code").send_keys(Keys.CONTROL, Keys.END)
    page.find("textarea.code").send_keys("\n[station]\nname = 'BED7'\n")
    page.find('.verdict.good [data-key="station.name"]', "BED7")
    page.press("Write")
    page.press("Write", "dialog")
    page.find(".notice", "Written")
    assert "BED7" in file.read_text()


# ------------------------------------------------ eyes, fingers, keys


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_can_be_read_and_touched_at_every_size(stage: Stage, view: str) -> None:
    stage.page.open(view)
    stage.page.find(VIEWS[view])
    for width, height in SIZES:
        stage.page.size(width, height)
        stage.page.until(lambda width=width: stage.page.run("return innerWidth") == width, "the size")
        assert faults(stage.page) == {}, f"{view} at {width}x{height}"
    stage.page.size(1280, 800)


@pytest.mark.parametrize("state", ["live", "split", "frozen"])
def test_the_live_view_needs_no_scrolling_on_the_smallest_screen(stage: Stage, state: str) -> None:
    stage.page.size(800, 480)
    stage.live()
    if state == "split":
        stage.page.press("Split")
        stage.page.find(".divider")
    if state == "frozen":
        stage.page.press("Freeze")
        stage.page.find(".cine")
    try:
        assert stage.page.run(SCROLLS) == []
        assert faults(stage.page) == {}
    finally:
        stage.rest()
        stage.page.size(1280, 800)


def test_what_cannot_be_read_touched_or_named_is_found(stage: Stage) -> None:
    """The measure itself: a page made worse on purpose is told as such."""
    stage.live()
    stage.page.run(
        "document.documentElement.style.setProperty('--dim', '#444');"
        "const one = document.querySelector('.freeze'); one.style.minHeight = one.style.height = '20px';"
        "const other = document.querySelector('.captures button');"
        "document.querySelector('.controls').append(document.createElement('button'));"
        "document.querySelector('.glass canvas').style.height = '120%';"
        "other.style.position = 'fixed'; other.style.top = '200px';"
    )
    assert set(faults(stage.page)) == {"contrast", "touch", "name", "crowded", "cut"}


def test_what_a_finger_has_just_pressed_can_still_be_read(stage: Stage) -> None:
    """On a touch screen it looks touched until something else is."""
    if stage.console.get("exam")["exam"]:
        stage.console.post("exam/close", {})
    for view, names in {"exam": ("Type in", "Emergency", "Worklist"), "live": ("Split", "Changes", "Original")}.items():
        stage.page.open(view)
        stage.page.find(VIEWS[view])
        for name in names:
            stage.page.press(name)
            stage.page.find(':is([aria-selected="true"], [aria-pressed="true"]):hover', name)
            assert "contrast" not in faults(stage.page), name


def test_everything_is_reached_by_the_keyboard_and_the_focus_is_seen(stage: Stage) -> None:
    stage.live()
    stage.page.until(lambda: stage.page.find(".strength input").is_enabled(), "the strength can be set")
    stage.page.run("document.activeElement.blur()")
    reached = set()
    for _ in range(30):
        stage.page.key(Keys.TAB)
        name, outline = stage.page.run(
            "const one = document.activeElement; return [one.getAttribute('aria-label') || one.textContent,"
            " getComputedStyle(one).outlineStyle]"
        )
        if name and name not in reached and stage.page.run("return document.activeElement !== document.body"):
            assert outline == "solid", name
            reached.add(name)
    assert {"Exam", "Original", "Split", "Freeze", "Still", "Clip", "Burst", "Strength"} <= reached
