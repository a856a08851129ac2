"""Keys, buttons and fingers -> what is meant. Pure; used by main alone."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.frame import Box
from edge.panel.layout import Layout


class Do(enum.Enum):
    ORIGINAL = "original"
    SPLIT = "split"
    DIVIDE = "divide"  # value: where, a part of the picture's width
    CHANGES = "changes"
    WEAKER = "weaker"
    STRONGER = "stronger"
    FREEZE = "freeze"
    OLDER = "older"
    NEWER = "newer"
    SCROLL = "scroll"  # value: where, a part of the clip
    STILL = "still"
    CLIP = "clip"
    BACK = "back"
    LIGHT = "light"  # the page of brightness and contrast
    DARKER = "darker"
    BRIGHTER = "brighter"
    FLATTER = "flatter"
    STEEPER = "steeper"
    AUTO = "auto"
    RESET = "reset"
    LIGHTEN = "lighten"  # value: steps of brightness, from dragging
    SHARPEN = "sharpen"  # value: steps of contrast
    STREAM = "stream"
    DISMISS = "dismiss"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class Intent:
    do: Do
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Key:
    """A key that was pressed, by the name SDL gives it."""

    name: str
    control: bool = False


@dataclass(frozen=True, slots=True)
class Finger:
    """A finger, or the mouse, on the glass."""

    x: int
    y: int
    phase: str  # "down", "move" or "up"


KEYS = {
    "e": Do.ORIGINAL, "o": Do.ORIGINAL, "s": Do.SPLIT, "d": Do.CHANGES, "space": Do.FREEZE, "f": Do.FREEZE,
    "+": Do.STRONGER, "=": Do.STRONGER, "-": Do.WEAKER, "[+]": Do.STRONGER, "[-]": Do.WEAKER,
    "left": Do.OLDER, "right": Do.NEWER, "c": Do.STILL, "return": Do.STILL, "r": Do.CLIP, "b": Do.BACK,
    "l": Do.LIGHT, "up": Do.BRIGHTER, "down": Do.DARKER, "page up": Do.STEEPER, "page down": Do.FLATTER,
    "a": Do.AUTO, "0": Do.RESET, "tab": Do.STREAM, "escape": Do.DISMISS,
}  # fmt: skip

ALWAYS = (Do.ORIGINAL, Do.FREEZE, Do.SPLIT, Do.STILL, Do.CHANGES, Do.BACK, Do.LIGHT, Do.CLIP)
WHEN_LIVE = (Do.WEAKER, Do.STRONGER)
WHEN_FROZEN = (Do.OLDER, Do.NEWER)
ON_LIGHT_PAGE = (Do.DARKER, Do.BRIGHTER, Do.FLATTER, Do.STEEPER, Do.AUTO, Do.RESET)
DRAG_STEP = 24  # pixels of a drag for one step of brightness or contrast


def buttons(*, frozen: bool, light: bool) -> tuple[Do, ...]:
    """In the order of the slots. What matters most never moves."""
    return ALWAYS + (ON_LIGHT_PAGE if light else WHEN_FROZEN if frozen else WHEN_LIVE)


def of_key(key: Key) -> Intent | None:
    if key.control:
        return Intent(Do.QUIT) if key.name == "q" else None
    do = KEYS.get(key.name)
    return None if do is None else Intent(do)


@dataclass(frozen=True, slots=True)
class Ground:
    """What lies under the finger at this moment."""

    layout: Layout
    picture: Box | None
    buttons: Sequence[Do]
    divider: float | None = None  # while split
    scrolls: bool = False  # while frozen
    light: bool = False


class Touch:
    """Follows one finger from down to up."""

    def __init__(self) -> None:
        self._holds: Do | None = None
        self._at = (0, 0)

    def intents(self, finger: Finger, ground: Ground) -> Iterator[Intent]:
        if finger.phase == "down":
            yield from self._down(finger, ground)
        elif finger.phase == "move":
            yield from self._move(finger, ground)
        else:
            self._holds = None

    def _down(self, finger: Finger, ground: Ground) -> Iterator[Intent]:
        self._holds, self._at = None, (finger.x, finger.y)
        pressed = _button_under(finger, ground)
        if pressed is not None:
            yield Intent(pressed)
        elif _inside(ground.layout.area, finger):
            self._holds = self._grip(finger, ground)
            if self._holds is None:
                yield Intent(Do.DISMISS)
            else:
                yield from self._held(finger, ground)

    def _grip(self, finger: Finger, ground: Ground) -> Do | None:
        if ground.scrolls and _inside(ground.layout.scroll_bar, finger):
            return Do.SCROLL
        if ground.divider is not None and ground.picture is not None:
            line = ground.picture.x + ground.divider * ground.picture.width
            if abs(finger.x - line) <= ground.layout.reach:
                return Do.DIVIDE
        return Do.LIGHTEN if ground.light else None

    def _move(self, finger: Finger, ground: Ground) -> Iterator[Intent]:
        if self._holds is Do.LIGHTEN:
            dx, dy = finger.x - self._at[0], finger.y - self._at[1]
            self._at = (finger.x, finger.y)
            yield Intent(Do.LIGHTEN, -dy / DRAG_STEP)
            yield Intent(Do.SHARPEN, dx / DRAG_STEP)
        else:
            yield from self._held(finger, ground)

    def _held(self, finger: Finger, ground: Ground) -> Iterator[Intent]:
        if self._holds is Do.DIVIDE and ground.picture is not None:
            yield Intent(Do.DIVIDE, _part(finger.x, ground.picture))
        elif self._holds is Do.SCROLL:
            yield Intent(Do.SCROLL, _part(finger.x, ground.layout.scroll_bar))


def _button_under(finger: Finger, ground: Ground) -> Do | None:
    for do, box in zip(ground.buttons, ground.layout.slots, strict=False):
        if _inside(box, finger):
            return do
    return None


def _inside(box: Box, finger: Finger) -> bool:
    return box.x <= finger.x < box.x + box.width and box.y <= finger.y < box.y + box.height


def _part(x: int, box: Box) -> float:
    return min(max((x - box.x) / box.width, 0.0), 1.0)
