"""Chromium goes through the jobs of the console's page, with the daemon, the worklist and an Orthanc behind it."""

from __future__ import annotations

import contextlib
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
    frozen = stage.freeze(lambda: stage.page.key(" "))
    stage.page.find(".cine")
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


# ------------------------------------------------ when the line fails

HANGS = """
const real = window.fetch;
window.fetch = (path, how) => (String(path).endsWith(arguments[0])
  ? new Promise((_, no) => how.signal?.addEventListener("abort", () => no(how.signal.reason))) : real(path, how));
"""
IMPATIENT = """
AbortSignal.timeout = () => {
  const end = new AbortController();
  setTimeout(() => end.abort(), 300);
  return end.signal;
};
"""
# Lines that the test can cut, and pictures that it can look into.
OVERHEARD = """
const W = window.WebSocket;
window.lines = [];
window.heads = [];
window.WebSocket = class extends W {
  constructor(...a) { super(...a); window.lines.push(this); }
  get isDeaf() { return window.deaf && this.url.endsWith("/events"); }
  set onmessage(hear) {
    super.onmessage = (event) => {
      if (this.isDeaf) return;
      if (event.data instanceof ArrayBuffer) {
        const length = new DataView(event.data).getUint32(0, true);
        const head = JSON.parse(new TextDecoder().decode(new Uint8Array(event.data, 4, length)));
        window.heads.push({ ...head, line: window.lines.indexOf(this) });
      }
      hear(event);
    };
  }
};
"""


FIRST_ONES = """
const first = new Map();
for (const { line, images } of heads) {
  if (images.length && !first.has(line)) first.set(line, images.map(({ name }) => name));
}
return [...first.values()];
"""


@contextlib.contextmanager
def overheard(stage: Stage) -> Iterator[None]:
    """For the pages that are loaded from now on."""
    driver = stage.page.driver
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": OVERHEARD})
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_a_capture_that_nobody_answers_is_not_confirmed_and_can_be_pressed_again(stage: Stage) -> None:
    stage.live()
    stage.page.run(HANGS, "/capture/still")
    stage.page.run(IMPATIENT)
    stage.page.press("Still")
    stage.page.find(".notice.bad", "NOT CONFIRMED: check whether it was stored")
    stage.page.until(lambda: stage.page.find(".captures button").is_enabled(), "a still again")


def test_without_the_devices_word_only_this_page_stands_still_and_says_so(stage: Stage) -> None:
    stage.live()
    stage.page.run(HANGS, "/picture")
    stage.page.press("Freeze")
    stage.page.find(".tag.frozen", "FROZEN HERE")
    stage.page.find(".notice.bad", "Frozen on this page only")
    frozen, kept = stage.settled(), stage.page.find(".cine input").get_attribute("max")
    sent = stage.scanner.number
    stage.page.until(lambda: stage.scanner.number > sent + 15, "frames that are not shown")
    assert stage.glass() == frozen
    assert stage.page.find(".cine input").get_attribute("max") == kept, "nor kept"
    assert not stage.page.find(".captures button").is_enabled(), "a still would be another picture"
    assert not stage.status()["frozen"]
    stage.page.press("Live")
    stage.page.until(lambda: (now := stage.glass()) and now.seq > frozen.seq, "the picture moves")


def test_frozen_it_is_told_that_nothing_would_come(stage: Stage) -> None:
    stage.live()
    frozen = stage.freeze()
    assert not stage.page.is_there(".not-live")
    stage.scanner.pause.set()
    stage.page.find(".not-live", "No frames come from the scanner")
    assert stage.glass() == frozen
    stage.scanner.pause.clear()
    stage.page.until(lambda: not stage.page.is_there(".not-live"), "frames come")
    stage.page.press("Live")


def test_the_patient_is_not_known_while_nothing_is_heard_and_right_again_afterwards(stage: Stage) -> None:
    """A line that is open and says nothing: an exam is opened elsewhere meanwhile."""
    if stage.console.get("exam")["exam"]:
        stage.console.post("exam/close", {})
    stage.console.post("exam", {"patient": {"name": "PHANTOM^ONE", "id": "PH-0001"}})
    with overheard(stage):
        stage.live()
    stage.page.find(".patient", "PHANTOM, ONE")
    stage.page.run("window.deaf = true")
    stage.page.find(".patient", "Patient not known now")
    assert not stage.page.find(".strength input").is_enabled()
    stage.console.post("exam/close", {})
    stage.console.post("exam", {"patient": {"name": "PHANTOM^TWO", "id": "PH-2"}})
    stage.page.run("window.deaf = false")
    stage.page.find(".patient", "PHANTOM, TWO")
    stage.console.post("exam/correct", {"exam": "", "patient": {"name": "PHANTOM^THREE", "id": "PH-3"}})
    stage.page.find(".patient", "PHANTOM, THREE")
    stage.console.post("exam/discard", {"captures_too": True})


def test_after_a_line_came_back_the_first_picture_has_its_original(stage: Stage) -> None:
    address = f"ws://127.0.0.1:{stage.console.port}/api/v1/live/probe-1"
    other = websocket.create_connection(address, timeout=20, origin=stage.console.url)
    try:  # somebody else looks: the console has a picture at hand, and sends it at once
        with overheard(stage):
            stage.live()
        stage.page.press("Original")
        stage.page.find(".badge .title", "ORIGINAL")
        for times in range(1, 6):
            stage.page.run("for (const line of lines) if (line.url.includes('/live/')) line.close()")
            stage.page.until(lambda times=times: len(stage.page.run(FIRST_ONES)) > times, "a picture")
    finally:
        other.close()
    assert {tuple(names) for names in stage.page.run(FIRST_ONES)} == {("picture", "original")}


def test_a_scanner_that_somebody_chose_stays_chosen(stage: Stage) -> None:
    stage.page.open("live/probe-9")
    stage.page.find(".tag.stream", "probe-9")
    stage.page.find(".not-live", "No scanner has sent a frame yet")
    sent = stage.scanner.number
    stage.page.until(lambda: stage.scanner.number > sent + 20, "the other scanner sends")
    assert stage.page.text(".tag.stream") == "probe-9"
    stage.page.press("More…")
    stage.page.find("dialog select").send_keys("probe-1")
    stage.page.press("Close", "dialog")
    stage.until_enhanced()
    assert not stage.page.is_there(".tag.stream"), "where there is only one it needs no name"
    stage.page.go("captures")
    stage.page.go("live")
    stage.until_enhanced()


def test_no_picture_stands_while_another_view_comes_and_one_that_does_not_come_is_told(stage: Stage) -> None:
    driver = stage.page.driver
    stage.live()
    driver.execute_cdp_cmd("Fetch.enable", {"patterns": [{"urlPattern": "*/js/health/*"}]})
    stage.page.go("health")
    assert not stage.page.all("canvas"), "nobody keeps it current"
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/js/engines/*"]})
    driver.execute_cdp_cmd("Fetch.disable", {})
    stage.page.find('[data-card="machine"]')
    stage.page.go("engines")
    stage.page.find(".wrong", "This view did not come")
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    driver.execute_cdp_cmd("Network.disable", {})
    stage.page.press("Load the page anew")
    stage.page.find("article")
    stage.page.complaints()  # of what was blocked here


def test_health_says_that_nothing_is_heard_only_as_long_as_it_is_so_and_asks_by_itself(stage: Stage) -> None:
    stage.page.open("health")
    stage.page.find('[data-card="machine"]')
    stage.page.run(
        "const real = fetch; window.asked = []; window.fetch = (path, how) => { window.asked.push([path, how.headers]);"
        " return window.dead ? Promise.reject(new TypeError()) : real(path, how); }; window.dead = true;"
    )
    stage.page.find(".page > .wrong", "The appliance does not answer")
    stage.page.run("window.dead = false")
    stage.page.until(lambda: not stage.page.is_there(".page > .wrong", "The appliance"), "it answers")
    asked = stage.page.run("return asked")
    assert asked
    assert all(headers.get("X-By-Itself") for _, headers in asked), "it keeps nobody logged in"


def test_who_finds_too_many_looking_is_told_so(stage: Stage) -> None:
    stage.page.open("captures")
    stage.page.find("#view .page")
    address = f"ws://127.0.0.1:{stage.console.port}/api/v1/live/probe-1"
    others = [websocket.create_connection(address, timeout=20, origin=stage.console.url) for _ in range(16)]
    try:
        stage.page.until(lambda: stage.console.get("status")["console"]["watching"] >= 16, "as many as may look")
        stage.page.go("live")
        stage.page.find(".not-live", "Too many pages look at this picture")
    finally:
        for other in others:
            other.close()
    stage.until_enhanced()


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


def test_a_worklist_that_is_not_of_now_says_so_also_where_it_is_confirmed(stage: Stage) -> None:
    if stage.console.get("exam")["exam"]:
        stage.console.post("exam/close", {})
    stage.page.open("exam")
    stage.page.find(".name", "PHANTOM, ONE")
    assert not stage.page.is_there(".notice", "NOT OF NOW")
    stage.page.run(
        """const real = fetch; window.fetch = async (path, how) => {
          const answer = await real(path, how);
          if (!String(path).endsWith("/worklist")) return answer;
          const stale = { asked: "2026-11-28T02:00:00+00:00", age_minutes: 1120, why: "ris: connection refused" };
          return new Response(JSON.stringify({ ...await answer.json(), stale }), { headers: answer.headers });
        };"""
    )
    stage.page.press("Search")
    stage.page.find(".notice.bad", "NOT OF NOW")
    stage.page.find(".notice.bad", "19 hours ago")
    stage.page.find("li button", "PHANTOM, ONE").click()
    stage.page.find(".warn-text", "NOT OF NOW")


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
    stage.page.run("document.getElementById('notices').replaceChildren()")  # which may still lie over the buttons
    shown = stage.page.find(".player img")
    frame = shown.get_attribute("data-frame")
    stage.page.press("Original", ".player")
    stage.page.until(lambda: shown.get_attribute("data-role") == "original", "the original of it")
    assert shown.get_attribute("data-frame") == frame
    assert "original" in (shown.get_attribute("data-object") or "")
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
