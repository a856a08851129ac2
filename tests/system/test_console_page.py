"""Chromium goes through the jobs of the console's page, with the daemon, the worklist and an Orthanc behind it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
import websocket  # pyright: ignore[reportMissingTypeStubs]

from tests.archives import Orthanc, free_port, orthanc
from tests.system.browser import CHROMIUM, DRIVER, Keys, need
from tests.system.console_scene import started
from tests.system.console_stage import Stage, staged
from tests.system.services import Scheduled, worklist

pytestmark = pytest.mark.timeout(180)
TODAY = f"{datetime.now().astimezone():%Y%m%d}"
NASTY = "<script>alert(1)</script>^<b>"
LIST = [
    Scheduled("PHANTOM^ONE", "PH-0001", "19700203", "ACC-4711", "1.2.826.0.1.3680043.10.1.1", TODAY),
    Scheduled(NASTY, "PH-<i>2", "19810405", "ACC-4712", "1.2.826.0.1.3680043.10.1.2", TODAY, "STEP2"),
    Scheduled(
        "Yamada^Tarou=山田^太郎=やまだ^たろう", "PH-3", "19920607", "A3", "1.2.826.0.1.3680043.10.1.3", TODAY, "S3"
    ),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, int]]:
    need(CHROMIUM, DRIVER)
    report_port = free_port()
    with orthanc(tmp_path_factory.mktemp("orthanc"), report_port=report_port) as running:
        yield running, report_port


@pytest.fixture(scope="module")
def stage(archive: tuple[Orthanc, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    running, report_port = archive
    home = tmp_path_factory.mktemp("home")
    with worklist(tmp_path_factory.mktemp("ris"), LIST) as ris:
        more = f"""
[worklist]
host = "127.0.0.1"
port = {ris}
called = "RIS"
[destination.pacs]
ask_every_s = 0.5
[destination.pacs.dimse]
host = "127.0.0.1"
port = {running.dicom}
called = "ORTHANC"
listen = "127.0.0.1:{report_port}"
"""
        with staged(home, more) as made, started(home, "forward"):
            yield made


@pytest.fixture(autouse=True)
def _nothing_is_wrong_in_the_browser(stage: Stage) -> Iterator[None]:
    """No script that throws, nothing that the content policy had to stop."""
    stage.rest()
    stage.page.complaints()
    yield
    complaints = [line for line in stage.page.complaints() if "WebSocket connection" not in line]
    assert not complaints


# ------------------------------------------------ the picture


def test_the_live_picture_moves_and_says_what_it_is(stage: Stage) -> None:
    stage.live()
    first = stage.seen()
    stage.page.until(lambda: (now := stage.glass()) and now.seq > first.seq + 5, "the picture moves")
    stage.page.find(".badge .title", "ENHANCED")
    stage.page.find(".badge .detail", "80 %")
    assert stage.page.text(".age").endswith("s")


def test_the_number_on_the_picture_is_the_number_that_the_page_says(stage: Stage) -> None:
    stage.live()
    for _ in range(8):
        now = stage.seen()
        assert now.left == now.right == now.seq % 256


def test_both_halves_of_the_split_are_of_the_same_frame(stage: Stage) -> None:
    stage.live()
    stage.page.press("Split")
    stage.page.find(".divider")
    stage.page.until(lambda: (now := stage.glass()) and now.looked == "split", "the split")
    for _ in range(12):
        now = stage.seen()
        assert now.left == now.right == now.seq % 256
    stage.page.find(".badge .title", "ORIGINAL | ENHANCED")


def test_toggle_split_and_divider_show_the_one_frozen_frame(stage: Stage) -> None:
    stage.live()
    frozen = stage.freeze()
    left, right = (160, 200, 60, 8), (420, 200, 60, 8)
    enhanced = [stage.levels(*left), stage.levels(*right)]
    stage.page.key("o")
    stage.page.until(lambda: (now := stage.glass()) and now.looked == "original", "the original")
    original = [stage.levels(*left), stage.levels(*right)]
    assert stage.page.text(".badge .title") == "ORIGINAL"
    assert original[0] != enhanced[0]
    assert original[1] != enhanced[1]
    stage.page.press("Split")
    stage.page.until(lambda: (now := stage.glass()) and now.looked == "split", "the split")
    assert [stage.levels(*left), stage.levels(*right)] == [original[0], enhanced[1]]
    divider = stage.page.find(".divider")
    divider.send_keys(Keys.END)
    assert [stage.levels(*left), stage.levels(*right)] == original
    stage.page.drag(".glass canvas", 0.1)
    assert [stage.levels(*left), stage.levels(*right)] == enhanced
    assert int(divider.get_attribute("aria-valuenow") or "") < 20
    now = stage.glass()
    assert now is not None
    assert now.seq == frozen.seq
    stage.page.press("Live")
    stage.page.until(lambda: not stage.status()["frozen"], "the device runs on")


def test_the_change_map_lies_over_the_same_frame(stage: Stage) -> None:
    stage.live()
    stage.page.press("Changes")
    stage.page.until(lambda: stage.page.find(".glass canvas").get_attribute("data-change") == "true", "the change map")
    colours = """
    const canvas = document.querySelector(".glass canvas");
    const { data } = canvas.getContext("2d").getImageData(100, 100, 400, 200);
    let coloured = 0;
    for (let at = 0; at < data.length; at += 4) coloured += Math.abs(data[at] - data[at + 2]) > 12;
    return coloured / (data.length / 4);
    """
    stage.page.until(lambda: stage.page.run(colours) > 0.02, "colours on the picture")
    stage.page.press("Changes")
    stage.page.until(lambda: stage.page.run(colours) == 0, "no colours any more")


def test_brightness_and_contrast_are_seen_and_told_and_leave_the_picture_as_it_came(stage: Stage) -> None:
    stage.live()
    stage.freeze()
    before, levels = stage.page.light(".glass canvas"), stage.levels(200, 150, 40, 8)
    stage.page.press("More…")
    for _ in range(4):
        stage.page.find('dialog input[name="brightness"]').send_keys(Keys.ARROW_RIGHT)
    stage.page.press("Close", "dialog")
    stage.page.find(".plates", "Brightness +40 %, contrast 100 %")
    stage.page.until(lambda: stage.page.light(".glass canvas") > before + 20, "a brighter picture")
    assert stage.levels(200, 150, 40, 8) == levels, "what is drawn is what came"
    stage.page.key("0")
    stage.page.until(lambda: abs(stage.page.light(".glass canvas") - before) < 2, "as it came")
    assert not stage.page.is_there(".plates p")
    stage.page.press("Live")


def test_the_strength_is_changed_and_told(stage: Stage) -> None:
    stage.live()
    stage.page.press("Less")
    stage.page.until(lambda: stage.status()["strength_percent"] == 70, "70 %")
    stage.page.until(lambda: "70 %" in stage.page.text(".badge .detail"), "70 % on the picture")
    for _ in range(7):
        stage.page.press("Less")
    stage.page.until(lambda: stage.page.text(".badge .title") == "ORIGINAL", "the original at 0 %")
    stage.page.find(".badge .detail", "strength is 0 %")
    stage.page.run(
        "const s = document.querySelector('.strength input'); s.value = 80; s.dispatchEvent(new Event('input'))"
    )
    stage.page.until(lambda: stage.status()["strength_percent"] == 80, "80 %")


def test_frozen_it_scrolls_back_over_the_last_seconds_and_on_again(stage: Stage) -> None:
    stage.live()
    start = stage.seen()
    stage.page.until(lambda: (now := stage.glass()) and now.seq > start.seq + 15, "something to scroll through")
    stage.page.key(" ")
    stage.page.until(lambda: stage.status()["frozen"], "the device is frozen")
    stage.page.find(".cine")
    frozen = stage.settled()
    for _ in range(4):
        stage.page.key(Keys.ARROW_LEFT)
    stage.page.until(lambda: (now := stage.glass()) and now.seq < frozen.seq, "an earlier picture")
    earlier = stage.glass()
    assert earlier is not None
    assert earlier.left == earlier.seq % 256
    assert "before" in stage.page.text(".cine output")
    assert not stage.page.find(".captures button").is_enabled(), "a still would not be the picture that is seen"
    stage.page.find(".cine input").send_keys(Keys.END)
    stage.page.until(lambda: (now := stage.glass()) and now.seq == frozen.seq, "the frozen picture")
    stage.page.until(lambda: stage.page.find(".captures button").is_enabled(), "a still again")
    stage.page.press("Live")
    stage.page.until(lambda: (now := stage.glass()) and now.seq > frozen.seq, "the picture moves")


def test_a_scanner_that_falls_silent_is_not_live_and_comes_back(stage: Stage) -> None:
    stage.live()
    stage.scanner.pause.set()
    stage.page.find(".not-live strong", "NOT LIVE")
    stage.scanner.pause.clear()
    stage.page.until(lambda: not stage.page.is_there(".not-live"), "live again")


def test_a_client_that_stalls_takes_nothing_from_another(stage: Stage) -> None:
    stage.live()
    address = f"ws://127.0.0.1:{stage.console.port}/api/v1/live/probe-1"
    stalled = websocket.create_connection(address, timeout=20, origin=stage.console.url)
    try:
        stalled.send('{"view": "pair"}')
        for _ in range(3):
            stalled.recv()  # and never says "got"
        first = stage.seen()
        stage.page.until(lambda: (now := stage.glass()) and now.seq > first.seq + 20, "the picture moves on")
        assert not stage.page.is_there(".not-live")
        behind = stage.scanner.number - stage.seen().seq
        assert behind < 60, "what the page shows is the newest, not a backlog"
    finally:
        stalled.close()


# ------------------------------------------------ the exam and captures


def test_a_patient_is_picked_from_the_worklist_and_names_are_only_text(stage: Stage) -> None:
    stage.page.open("exam")
    stage.page.find(".name", "<script>alert(1)</script>")
    stage.page.find(".name", "Yamada, Tarou (山田, 太郎, やまだ, たろう)")
    assert not stage.page.all("#view script, #view b, #view i")
    stage.page.find("li button", "<script>").click()
    stage.page.press("Open for <b>".replace("<b>", "<script>alert(1)</script>, <b>"))
    stage.page.find(".exam-open .name", "<script>alert(1)</script>")
    stage.page.press("Discard the exam")
    stage.page.press("Discard the exam", "dialog")
    stage.page.find("li button", "PHANTOM, ONE").click()
    stage.page.press("Open for PHANTOM, ONE")
    stage.page.find(".exam-open .name", "PHANTOM, ONE")
    stage.page.go("live")
    stage.page.find(".patient", "PHANTOM, ONE")


def test_a_still_is_stored_and_arrives_in_the_archive(stage: Stage, archive: tuple[Orthanc, int]) -> None:
    if stage.console.get("exam")["exam"] is None:
        stage.console.post("exam", {"patient": {"name": "PHANTOM^ONE", "id": "PH-0001"}})
    before = set(archive[0].instances())
    stage.live()
    stage.page.press("Still")
    stage.page.find(".notice", "Stored: the picture")
    stage.page.go("captures")
    stage.page.find(".captured img")
    stage.page.find("a.captured").click()
    stage.page.find(".exam, .name", "PHANTOM, ONE")
    for role in ("original", "enhanced"):
        stage.page.find(f'.way li.good[data-role="{role}"]', "The archive has it safe")
    assert len(set(archive[0].instances()) - before) == 2


def test_a_still_while_frozen_is_the_very_frame_on_the_screen(stage: Stage) -> None:
    stage.live()
    frozen = stage.freeze()
    stage.page.press("Still")
    stage.page.find(".notice", "Stored: the picture")
    assert stage.scene.daemon is not None
    stored = [event for event in stage.scene.daemon.events() if event["event"] == "capture.stored"][-1]
    assert stored["first_seq"] == stored["last_seq"] == frozen.seq
    stage.page.press("Live")


def test_the_last_seconds_are_played_as_original_and_as_enhanced(stage: Stage) -> None:
    stage.live()
    stage.page.press("Last 10 s")
    stage.page.find(".notice", "pictures")
    stage.page.go("captures")
    stage.page.find(".captured", "clip").find_element("css selector", "img").click()
    stage.page.find('.player img[data-role="enhanced"]')
    stage.page.find(".story", "replaced by darkroom")  # with other files, the player begins anew
    stage.page.press("Play")
    stage.page.until(lambda: int(stage.page.find(".player img").get_attribute("data-frame") or 0) > 3, "it plays")
    stage.page.press("Pause")
    shown = stage.page.find(".player img")
    frame = shown.get_attribute("data-frame")
    stage.page.press("Original", ".player")
    stage.page.until(lambda: shown.get_attribute("data-role") == "original", "the original of it")
    assert shown.get_attribute("data-frame") == frame
    assert "original" in (shown.get_attribute("src") or "")
    assert stage.page.run("return arguments[0].naturalWidth", shown) == 640


def test_a_clip_is_recorded_and_stopped(stage: Stage) -> None:
    stage.live()
    stage.page.press("Clip")
    stage.page.find(".tag.recording")
    first = stage.seen()
    stage.page.until(lambda: (now := stage.glass()) and now.seq > first.seq + 10, "some pictures")
    stage.page.press("Stop clip")
    stage.page.find(".notice", "pictures")
    stage.page.until(lambda: not stage.page.is_there(".tag.recording"), "nothing is recorded any more")


def test_an_emergency_is_opened_corrected_and_closed(stage: Stage) -> None:
    if stage.console.get("exam")["exam"]:
        stage.console.post("exam/close", {})
    stage.page.open("exam")
    stage.page.press("Emergency")
    stage.page.press("Open an emergency exam")
    stage.page.find(".exam-open.provisional")
    stage.page.press("Correct the patient")
    stage.page.press("Type in")
    stage.page.type('input[name="family"]', "山田")
    stage.page.type('input[name="given"]', "太郎")
    stage.page.type('input[name="id"]', "PH-0009")
    stage.page.press("This is the patient")
    stage.page.find(".exam-open .name", "山田, 太郎")
    stage.page.press("Close the exam")
    stage.page.find(".notice", "closed")
    assert stage.console.get("exam")["exam"] is None


# ------------------------------------------------ engines, and the daemon's restart


def test_another_engine_is_taken_and_the_way_back_too(stage: Stage) -> None:
    stage.live()
    for family in ("ultrasound-clarity", "handbuilt"):
        stage.page.go("engines")
        stage.page.press(f"Use {family}")
        stage.page.find(".notice", family)
        stage.page.go("live")
        stage.page.until(lambda name=family: name in stage.page.text(".badge .detail"), f"enhanced by {family}", 75)


def test_the_page_says_not_live_while_the_daemon_is_gone_and_finds_it_again(stage: Stage) -> None:
    stage.live()
    session = stage.page.run("return performance.timeOrigin")
    stage.end_daemon()
    stage.page.find(".not-live strong", "NOT LIVE")
    stage.page.find(".not-live", "The imaging process does not answer")
    stage.start_daemon()
    stage.page.until(lambda: not stage.page.is_there(".not-live"), "live again")
    before = stage.seen()
    stage.page.until(lambda: (now := stage.glass()) and now.seq > before.seq + 5, "the picture moves")
    assert stage.page.run("return performance.timeOrigin") == session, "without being loaded anew"
