"""The page in a browser with everything behind it, for the tests that use it as a person does. Not a test itself."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.archives import until
from tests.system.browser import Page, chromium
from tests.system.console_scene import Console, NumberedScanner, Scene, configured, console_of
from tests.system.process import ROOT

# What is tested here is the page, and on a busy machine too: an engine may take as long as it likes.
UNHURRIED = """
[live]
deadline_ms = 900
max_age_ms = 5000
[engines]
ultrasound = "handbuilt"
fluoroscopy = "handbuilt"
rungs = ["small", "classical", "original"]
"""
NUMBERS = """
const canvas = document.querySelector(".glass canvas");
if (!canvas) return null;
const { data, width } = canvas.getContext("2d").getImageData(0, 8, canvas.width, 24);
const bit = (x) => (data[4 * (12 * width + x)] > 35 ? 1 : 0);
const bits = (left) => Array.from({ length: 8 }, (_, n) => bit(left + 24 * n + 12) << n);
const number = (left) => bits(left).reduce((sum, one) => sum | one, 0);
return { left: number(8), right: number(440), ...canvas.dataset };
"""
LEVELS = """
const canvas = document.querySelector(".glass canvas");
const { data } = canvas.getContext("2d").getImageData(...arguments);
return Array.from({ length: data.length / 4 }, (_, n) => data[4 * n]);
"""


@dataclass(frozen=True)
class Glass:
    """What stands on the screen: the number of the frame on the left and on the right half, and what the page says."""

    left: int
    right: int
    seq: int
    looked: str
    treatment: str


@dataclass
class Stage:
    page: Page
    scene: Scene
    scanner: NumberedScanner
    console: Console
    daemon: ExitStack = field(default_factory=ExitStack)

    def start_daemon(self) -> None:
        self.daemon.enter_context(self.scene.live())

    def end_daemon(self) -> None:
        self.daemon.close()

    def glass(self) -> Glass | None:
        told: dict[str, Any] | None = self.page.run(NUMBERS)
        if not told or "seq" not in told:
            return None
        return Glass(told["left"], told["right"], int(told["seq"]), told["looked"], told["treatment"])

    def levels(self, x: int, y: int, width: int, height: int) -> list[int]:
        """Grey levels of a part of what stands on the screen."""
        return self.page.run(LEVELS, x, y, width, height)

    def seen(self) -> Glass:
        """The next picture that is drawn."""
        before, after = self.glass(), []

        def drawn() -> bool:
            now = self.glass()
            after[:] = [now] if now else []
            return now is not None and now != before

        self.page.until(drawn, "another picture")
        return after[0]

    def until_enhanced(self) -> None:
        self.page.find('.strip[data-kind="enhanced"]')
        self.page.until(lambda: (now := self.glass()) and now.treatment == "enhanced", "an enhanced picture")

    def live(self) -> None:
        self.page.open("live")
        self.until_enhanced()

    def freeze(self, press: Callable[[], None] | None = None) -> Glass:
        """On an enhanced picture, and confirmed in time: what was late on a busy machine is let go again."""
        frozen: list[Glass] = []

        def held() -> bool:
            (press or (lambda: self.page.press("Freeze")))()
            self.page.until(lambda: self.status()["frozen"], "the device is frozen")
            self.page.find(".tag.frozen", "FROZEN")
            frozen[:] = [self.settled()]
            if frozen[0].treatment == "enhanced" and self.page.text(".tag.frozen") == "FROZEN":
                return True
            self.page.press("Live")
            self.page.until(lambda: not self.status()["frozen"], "the device runs on")
            self.until_enhanced()
            return False

        self.page.until(held, "an enhanced picture that is frozen")
        return frozen[0]

    def settled(self) -> Glass:
        """The last pictures may still be on their way when the device says that it is frozen."""
        glass: list[Glass] = []

        def stands() -> bool:
            now = self.glass()
            same = bool(glass) and now == glass[0]
            glass[:] = [now] if now else []
            time.sleep(0.3)
            return same

        self.page.until(stands, "a picture that stands still")
        return glass[0]

    def rest(self) -> None:
        """As it was at the beginning, whatever a test before has left."""
        self.scanner.pause.clear()
        self.console.post("picture", {"frozen": False, "strength_percent": 80, "view": "enhanced"})

    def status(self) -> dict[str, Any]:
        """Of the only stream."""
        return next(iter(self.console.get("status")["streams"].values()), {})


@contextlib.contextmanager
def staged(home: Path, more: str = "") -> Iterator[Stage]:
    scene = configured(home, f"{UNHURRIED}{more}")
    with ExitStack() as stack:
        daemon = stack.enter_context(ExitStack())
        daemon.enter_context(scene.live())
        console = stack.enter_context(console_of(scene))
        page = stack.enter_context(chromium(console.url))
        scanner = NumberedScanner(f"ipc://{home}/frames")
        scanner.start()
        stack.callback(scanner.end)
        until(lambda: console.get("status")["streams"], "the scanner is heard", 60)
        yield Stage(page, scene, scanner, console, daemon)


def add_user(home: Path, name: str, role: str, password: str, config: str = "limpid.toml") -> None:
    line = [sys.executable, "-m", "edge", "console", "user", "add", name, "--role", role, "--stdin"]
    subprocess.run(
        [*line, "--config", str(home / config)], cwd=ROOT, input=f"{password}\n".encode(), check=True, timeout=60
    )
