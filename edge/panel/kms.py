"""What the bare console (KMS/DRM) needs before SDL can open it, looked up without opening anything.

SDL tells all of it in one word, "not available": here is which part it is, and what to do. Used by the panel when it
cannot open, and by the doctor beforehand.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Loaded by SDL when it opens the console, and missed by nobody before: buffers, EGL, and one of OpenGL and GLES.
LIBRARIES: tuple[tuple[str, ...], ...] = (
    ("libdrm.so.2",), ("libgbm.so.1",), ("libEGL.so.1",), ("libGLESv2.so.2", "libGL.so.1", "libOpenGL.so.0"),
)  # fmt: skip
PACKAGES = "libgbm1 libegl1 libgles2 libgl1-mesa-dri"  # Debian's names; libdrm2 comes with them


@dataclass(frozen=True, slots=True)
class Obstacle:
    what: str
    remedy: str


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Console:
    """The machine's graphics cards, as the kernel shows them."""

    nodes: Path = Path("/dev/dri")
    classes: Path = Path("/sys/class/drm")
    loads: Callable[[str], bool] = _loads

    @property
    def cards(self) -> list[Path]:
        return sorted(self.nodes.glob("card[0-9]*"))

    def obstacles(self) -> list[Obstacle]:
        """What stands in the way; none: SDL will most likely open it."""
        if not self.cards:
            return [Obstacle(f"there is no {self.nodes}/card*", "a graphics card whose driver does KMS")]
        found: list[Obstacle] = []
        if missing := [names for names in LIBRARIES if not any(map(self.loads, names))]:
            what = ", ".join(" or ".join(names) for names in missing)
            found.append(Obstacle(f"{what} cannot be loaded", f"install the screen's libraries: {PACKAGES}"))
        if not any(os.access(card, os.R_OK | os.W_OK) for card in self.cards):
            names = ", ".join(map(str, self.cards))
            found.append(Obstacle(f"{names}: no right to open", "put the user into the groups video, render and input"))
        if not self._connected():
            found.append(Obstacle("no screen is plugged in", "plug one in, or see whether its driver knows it"))
        return found

    def _connected(self) -> bool:
        """True as well where the kernel does not tell."""
        states = [_word(state) for card in self.cards for state in self.classes.glob(f"{card.name}-*/status")]
        return not states or any(state != "disconnected" for state in states)

    def described(self) -> str:
        """`card0 (i915)`, and whether anything but the CPU draws."""
        names = [f"{card.name} ({self._driver(card)})" for card in self.cards]
        drawn = "" if any(self.nodes.glob("renderD*")) else ", drawn by the CPU: no GPU"
        return ", ".join(names) + drawn

    def _driver(self, card: Path) -> str:
        driver = self.classes / card.name / "device" / "driver"
        return driver.resolve().name if driver.exists() else "driver not known"


def _word(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
