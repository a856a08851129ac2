"""A real X server without a screen (Xvfb), what is on it, and fingers and keys (xdotool). Not a test itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

XVFB, XDOTOOL = shutil.which("Xvfb"), shutil.which("xdotool")
MISSING = [name for name, found in {"xvfb": XVFB, "xdotool": XDOTOOL}.items() if not found]


def needed() -> None:
    """Skips without the programs; where CI is, they must be there."""
    if not MISSING:
        return
    reason = f"not installed: {', '.join(MISSING)}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Screen:
    display: str
    dump: Path  # the server's memory, as an XWD file
    size: tuple[int, int]

    @property
    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if k not in ("WAYLAND_DISPLAY", "SDL_VIDEODRIVER")}
        return {**inherited, "DISPLAY": self.display}

    def look(self) -> np.ndarray:
        """What is on the screen now: (height, width), 0x00RRGGBB a pixel."""
        data = self.dump.read_bytes()
        header = struct.unpack(">25I", data[:100])
        start, width, height, row, colours = header[0], header[4], header[5], header[12], header[19]
        assert header[11] == 32, "bits a pixel"
        pixels = np.frombuffer(data, "<u4", row * height // 4, start + 12 * colours)
        return pixels.reshape(height, row // 4)[:, :width] & 0xFFFFFF

    def key(self, *names: str) -> None:
        self._do("key", *names)

    def point(self, x: int, y: int) -> None:
        """The pointer is part of what is on the screen."""
        self._do("mousemove", str(x), str(y))

    def touch(self, x: int, y: int) -> None:
        self._do("mousemove", str(x), str(y), "click", "1")

    def drag(self, x: int, y: int, to_x: int, to_y: int) -> None:
        self._do("mousemove", str(x), str(y), "mousedown", "1")
        self._do("mousemove", str((x + to_x) // 2), str((y + to_y) // 2))
        self._do("mousemove", str(to_x), str(to_y), "mouseup", "1")

    def _do(self, *words: str) -> None:
        assert XDOTOOL is not None
        subprocess.run([XDOTOOL, *words], env=self.environment, check=True, timeout=30)


def has(look: np.ndarray, colour: tuple[int, int, int], least: int = 400) -> bool:
    """As many pixels of exactly this colour (red first)."""
    red, green, blue = colour
    return int(np.count_nonzero(look == (red << 16 | green << 8 | blue))) >= least


@contextlib.contextmanager
def screen(home: Path, size: tuple[int, int] = (800, 480)) -> Iterator[Screen]:
    needed()
    assert XVFB is not None
    hear, tell = os.pipe()
    line = [XVFB, "-displayfd", str(tell), "-screen", "0", f"{size[0]}x{size[1]}x24", "-fbdir", str(home)]
    with (home / "xvfb.log").open("wb") as log:
        process = subprocess.Popen([*line, "-nolisten", "tcp"], stdout=log, stderr=log, pass_fds=[tell])
    os.close(tell)
    try:
        with os.fdopen(hear) as told:
            number = told.readline().strip()
        assert number, (home / "xvfb.log").read_text()
        yield Screen(f":{number}", home / "Xvfb_screen0", size)
    finally:
        process.terminate()
        process.wait(20)
