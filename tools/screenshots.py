"""Pictures of the console's page in every view and state, taken by a real Chromium: to be looked at by a person.

    python -m tools.screenshots                                   # all of them, into out/console/
    python -m tools.screenshots --only live,captures --size 800x480
    python -m tools.screenshots --readme docs/images/console.png  # the one of the README alone

Behind the page are a phantom scanner, the daemon with its own engines, the forwarder with a folder and an archive that
is not there, and the console, all as real processes.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from tests.archives import free_port, until
from tests.system.browser import Keys, Page, chromium
from tests.system.console_scene import Console, Scene, configured, console_of, started
from tests.system.console_stage import add_user

SIZES = ("800x480", "1280x800", "1920x1080")
LARGEST_KB = 300
PATIENT = {"name": "PHANTOM^ONE", "id": "PH-0001", "birth_date": "19700203", "sex": "F"}
ORDER = {"accession": "ACC-4711", "procedure": "Ultrasound of the phantom"}


@dataclass
class Studio:
    """The page, what is behind it, and where the pictures go."""

    page: Page
    scene: Scene
    scanner: subprocess.Popen[bytes]
    out: Path
    sizes: tuple[str, ...]
    taken: list[Path] = field(default_factory=list)

    def shoot(self, name: str) -> None:
        for size in self.sizes:
            width, height = (int(side) for side in size.split("x"))
            self.page.size(width, height)
            time.sleep(0.6)  # a person needs the layout at rest; nothing tells when it is
            self.taken.append(self.out / f"{name}-{size}.png")
            self.page.picture(self.taken[-1])
        self.page.size(1280, 800)

    def see(self, view: str) -> None:
        self.page.open(view)
        self.page.find("#view > *")

    def live(self) -> None:
        self.see("live")
        self.page.find('.strip[data-kind="enhanced"]')


def live(studio: Studio) -> None:
    studio.live()
    studio.shoot("live")


def live_original(studio: Studio) -> None:
    studio.live()
    studio.page.press("Original")
    studio.page.find('.strip[data-kind="original"]')
    studio.shoot("live-original")


def live_split(studio: Studio) -> None:
    studio.live()
    studio.page.press("Split")
    studio.page.find(".divider")
    studio.shoot("live-split")


def live_changes(studio: Studio) -> None:
    studio.live()
    studio.page.press("Changes")
    studio.shoot("live-changes")


def live_frozen(studio: Studio) -> None:
    studio.live()
    time.sleep(3)  # something to scroll back through
    studio.page.press("Freeze")
    studio.page.find(".cine")
    for _ in range(9):
        studio.page.key(Keys.ARROW_LEFT)
    studio.shoot("live-frozen")
    studio.page.press("Live")
    studio.page.until(lambda: not studio.page.is_there(".cine"), "live again")


def live_captured(studio: Studio) -> None:
    studio.live()
    studio.page.press("Still")
    studio.page.find(".notice", "Stored")
    studio.shoot("live-captured")


def live_more(studio: Studio) -> None:
    studio.live()
    studio.page.press("More…")
    studio.page.find('dialog select[name="engine"]')
    studio.shoot("live-more")


def not_live(studio: Studio) -> None:
    """The last of all: the scanner is gone after it."""
    studio.live()
    studio.scanner.terminate()
    studio.page.find(".not-live", "NOT LIVE")
    studio.shoot("live-not-live")


def exam(studio: Studio) -> None:
    console = studio.scene.console
    if console.get("exam")["exam"]:
        console.post("exam/close", {})
    studio.see("exam")
    studio.page.press("Type in")
    studio.shoot("exam-typed")
    studio.page.press("Emergency")
    studio.shoot("exam-emergency-way")
    console.post("exam", {})
    studio.see("exam")
    studio.page.find(".exam-open.provisional")
    studio.shoot("exam-emergency")
    console.post("exam/correct", {"exam": "", "patient": PATIENT, "order": ORDER})
    studio.see("exam")
    studio.page.find(".exam-open", "PHANTOM")
    studio.shoot("exam-open")
    studio.page.press("Discard the exam")
    studio.page.find("dialog")
    studio.shoot("exam-discard")


def captures(studio: Studio) -> None:
    studio.see("captures")
    studio.page.find(".captured img")
    studio.shoot("captures")
    studio.page.find("a.captured").click()
    studio.page.find(".player img")
    studio.page.find(".way li")
    studio.shoot("capture")
    studio.see("captures")
    studio.page.find(".captured", "clip").find_element("css selector", "img").click()
    studio.page.press("Original", ".player")
    studio.page.find('.player img[data-role="original"]')
    studio.shoot("capture-clip")


def view(name: str, shown: str) -> Callable[[Studio], None]:
    def shoot(studio: Studio) -> None:
        studio.see(name)
        studio.page.find(shown)
        time.sleep(3 if name == "health" else 0)  # a chart needs some seconds of history
        studio.shoot(name)

    return shoot


def login(studio: Studio) -> None:
    """From a second console on the same daemon: one where everybody has to log in."""
    home, port = studio.scene.home / "guarded", free_port()
    home.mkdir()
    before, _, after = (studio.scene.home / "limpid.toml").read_text().partition("[console]")
    rest = after[after.index("[sockets]") :]
    (home / "limpid.toml").write_text(f'{before}[console]\nport = {port}\nfolder = "{home}/console"\n{rest}')
    add_user(home, "vera", "view", "correct horse battery")
    console = Console(home, port)
    with started(home, "console"):
        until(console.is_up, "the console with users")
        page = studio.page
        studio.page = Page(page.driver, console.url)
        studio.page.open("live")
        studio.page.type('input[name="user"]', "vera")
        studio.page.type('input[name="password"]', "not this one")
        studio.page.press("Log in")
        studio.page.find(".wrong", "wrong")
        studio.shoot("login")
        studio.page.complaints()  # that of the refused log-in is the point
        studio.page = page


def settings_wrong(studio: Studio) -> None:
    studio.see("settings")
    studio.page.find(".tree .card")
    studio.page.find("textarea").send_keys("\n[station]\nnme = 20\n")
    studio.page.find(".verdict.bad")
    studio.shoot("settings-wrong")


SHOTS: dict[str, Callable[[Studio], None]] = {
    "live": live, "live-original": live_original, "live-split": live_split,
    "live-changes": live_changes, "live-frozen": live_frozen, "live-captured": live_captured,
    "live-more": live_more, "exam": exam, "captures": captures,
    "engines": view("engines", "article"), "health": view("health", ".bars"), "audit": view("audit", "td.mono"),
    "settings": view("settings", ".tree .card"), "settings-wrong": settings_wrong, "login": login,
    "live-not-live": not_live,
}  # fmt: skip


@contextlib.contextmanager
def studio_of(home: Path, out: Path, sizes: tuple[str, ...], modality: str) -> Generator[Studio]:
    (home / "stick").mkdir(parents=True)
    scene = configured(
        home,
        f"""
[live]
deadline_ms = 300
max_age_ms = 900
[engines]
rungs = ["medium", "small", "original"]
ultrasound = "ultrasound-clarity"
[destination.stick]
trust = true
[destination.stick.folder]
path = "{home}/stick"
[destination.pacs.dimse]
host = "127.0.0.1"
port = {free_port()}
""",
    )
    send = ["send", "phantom", "-s", f"modality={modality}", "-s", "fps=10", "--to", f"ipc://{home}/frames"]
    with scene.live(), started(home, "forward"), console_of(scene), chromium(scene.console.url) as page:
        until(lambda: (home / "frames").exists(), "the daemon listens")
        scanner = subprocess.Popen([sys.executable, "-m", "edge", *send], stdout=subprocess.DEVNULL)
        try:
            until(lambda: _is_enhanced(scene), "an enhanced picture", 90)
            yield Studio(page, scene, scanner, out, sizes)
        finally:
            scanner.terminate()
            scanner.wait(10)


def _is_enhanced(scene: Scene) -> bool:
    streams = scene.console.get("status")["streams"]
    return any(stream.get("engine") and not stream.get("why") for stream in streams.values())


def _captured(studio: Studio) -> None:
    """Some captures to look at, the last of an exam that is still open."""
    console = studio.scene.console
    console.post("exam", {"patient": PATIENT, "order": ORDER})
    console.post("capture/burst", {"count": 3, "every_ms": 100})  # first: what was shown before the exam is not its
    console.post("capture/back", {"seconds": 3})
    console.post("capture/still", {})


def readme(studio: Studio, file: Path) -> None:
    """The split view at 1280x800, as few bytes as a picture of grey grain can be."""
    studio.live()
    studio.page.press("Split")
    studio.page.find(".divider")
    studio.page.find(".patient", "PHANTOM")
    time.sleep(1)
    studio.page.picture(file)
    picture = cv2.imread(str(file))
    assert picture is not None
    for share in (1.0, 0.85, 0.75, 0.65, 0.5):
        small = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(file), small, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        if file.stat().st_size <= LARGEST_KB * 1000:
            return


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description="Pictures of the page.")
    parser.add_argument("--out", type=Path, default=Path("out/console"))
    parser.add_argument("--only", default=",".join(SHOTS), help="names, with commas")
    parser.add_argument("--size", default=",".join(SIZES), help="as 800x480, with commas")
    parser.add_argument("--modality", default="ultrasound", choices=["ultrasound", "fluoroscopy"])
    parser.add_argument("--readme", type=Path, help="only this one picture")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.only.split(",")) - set(SHOTS)
    if unknown:
        parser.error(f"no view {', '.join(sorted(unknown))}; there are: {', '.join(SHOTS)}")
    with (
        tempfile.TemporaryDirectory(prefix="limpid-") as home,
        studio_of(Path(home), chosen.out, tuple(chosen.size.split(",")), chosen.modality) as studio,
    ):
        _captured(studio)
        if chosen.readme:
            readme(studio, chosen.readme)
            print(chosen.readme)
            return 0
        for name in (name for name in SHOTS if name in chosen.only.split(",")):
            SHOTS[name](studio)
        complaints = studio.page.complaints()
    print(*studio.taken, sep="\n")
    print(*complaints, sep="\n", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
