"""A panel on a manual clock, and every state it can be in. Not a test itself.

python -m tests.unit.panel.scenes out/panel      # each scene at three sizes, as PNGs to look at
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.clock import MS, SECOND, ManualClock
from edge.config import Panel as Settings
from edge.frame import EngineId, Modality, PixelFormat, Pixels, Timings, Treatment, Why
from edge.panel.cine import Cine
from edge.panel.face import Face, Painter
from edge.panel.keys import Do, Intent
from edge.panel.layout import Layout
from edge.panel.news import News, Reply
from edge.panel.picture import Composer
from edge.panel.screen import Screen
from edge.panel.state import State
from edge.panel.tray import Figures
from edge.panel.watch import Dater, Seen
from edge.wire import Flag, Report

SIZES = [(800, 480), (1280, 800), (1920, 1080)]
PERIOD = SECOND // 30
NAME = "ultrasound-clarity-medium"


def grey(bits: int = 8, shape: tuple[int, int] = (480, 640), seed: int = 3) -> Pixels:
    """A soft disc with grain: something to see, and to tell apart."""
    high, wide = shape
    y, x = np.mgrid[0:high, 0:wide]
    disc = np.hypot(x - wide / 2, y - high / 2) < high / 3
    noise = np.random.default_rng(seed).normal(0, 0.06, shape)
    level = np.clip(0.25 + 0.4 * disc + noise, 0, 1) * ((1 << bits) - 1)
    return level.astype(np.uint8 if bits == 8 else np.uint16)


def smooth(pixels: Pixels) -> Pixels:
    return cv2.GaussianBlur(pixels, (7, 7), 0)  # type: ignore[return-value]


def report(seq: int, published_ns: int, **more: Any) -> Report:
    """Enhanced, 8 bit, 12 ms old when it left the daemon."""
    original = more.pop("original", None)
    original = grey() if original is None else original
    facts: dict[str, Any] = {
        "stream": "probe-1", "session": 7, "seq": seq, "stamped_ns": 0, "treatment": Treatment.ENHANCED,
        "why": Why.NOT_ORIGINAL, "flags": Flag.LIVE, "strength": 0.8,
        "engine": EngineId(NAME, "ab" * 32, "openvino_cpu", "int8"), "timings": Timings(), "age_ns": 12 * MS,
        "received_ns": 0, "published_ns": published_ns, "region": None, "missing_before": 0, "mean_change": 0.02,
        "format": PixelFormat.GREY8 if original.dtype == np.uint8 else PixelFormat.GREY16,
        "bits": 8 if original.dtype == np.uint8 else 12, "modality": Modality.ULTRASOUND, "spacing_mm": None,
        "original": original, "pixels": smooth(original),
    }  # fmt: skip
    made = Report(**{**facts, **more})
    return made if made.treatment is Treatment.ENHANCED else replace(made, pixels=made.original)


def notice(last: Report, published_ns: int, flags: Flag) -> Report:
    return replace(last, treatment=Treatment.NONE, flags=flags, published_ns=published_ns, pixels=None, original=None)


class Bedside:
    """The panel without its threads: what they would bring is handed in."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(100 * SECOND)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.cine = Cine(10.0, 256)
        self.state = State(Settings(**settings), self.clock, lambda do, more: self.asked.append((do, more)), self.cine)
        self._dater = Dater(local=True)
        self._original = grey()
        self.last: Report | None = None
        self.seq = 0

    def picture(self, **more: Any) -> Seen:
        """One more, a frame period after the one before, 3 ms on its way."""
        self.clock.advance(PERIOD)
        self.seq += 1
        more.setdefault("original", self._original)
        self.last = report(self.seq, self.clock.now() - 3 * MS, **more)
        seen = self._dater.date(self.last, self.clock.now())
        self.cine.add(seen)
        self.state.hear(News(picture=seen))
        return seen

    def pictures(self, count: int, **more: Any) -> None:
        for _ in range(count):
            self.picture(**more)

    def notice(self, flags: Flag) -> None:
        assert self.last is not None
        told = notice(self.last, self.clock.now(), flags)
        self.state.hear(News(notice=self._dater.date(told, self.clock.now())))

    def passes(self, ns: int) -> None:
        """Time, in which nothing comes."""
        self.clock.advance(ns)
        self.state.hear(News())

    def reply(self, do: str, error: str = "", *, answered: bool = True, **facts: Any) -> None:
        self.state.hear(News(replies=(Reply(do, None if error else facts, error, answered=answered),)))

    def stored(self, do: str, **more: Any) -> None:
        facts = {"kind": "still", "frames": 1, "seconds": 0.0, "held": False, "notices": [], "opened_exam": False}
        self.reply(do, **{**facts, **more})

    def status(
        self, *, recording: bool = False, strength: float = 80.0, streams: tuple[str, ...] = ("probe-1",)
    ) -> None:
        facts = {name: {"live": True, "strength_percent": strength} for name in streams}
        self.state.hear(News(status={"streams": facts, "recording": ["probe-1"] if recording else []}))

    def tray(self, **figures: Any) -> None:
        self.state.hear(News(tray=Figures(**{"archives": 1, **figures})))

    def do(self, *deeds: Do) -> None:
        for deed in deeds:
            self.state.do(Intent(deed))

    def face(self, layout: Layout, measure: Callable[[str, int], tuple[int, int]]) -> Face:
        return Painter(layout, measure).face(self.state, self.clock.now())


# ------------------------------------------------ every state


def live(bed: Bedside) -> None:
    bed.pictures(40)
    bed.tray()


def original(bed: Bedside) -> None:
    live(bed)
    bed.do(Do.ORIGINAL)


def original_by_daemon(bed: Bedside) -> None:
    bed.pictures(5, treatment=Treatment.ORIGINAL, why=Why.FIDELITY, engine=EngineId())
    bed.tray(on_the_way=2)


def warm(bed: Bedside) -> None:
    bed.pictures(40, flags=Flag.LIVE | Flag.WARM)
    bed.tray()


def too_hot(bed: Bedside) -> None:
    bed.pictures(5, treatment=Treatment.ORIGINAL, why=Why.HOT, engine=EngineId(), flags=Flag.LIVE | Flag.WARM)
    bed.tray()


def outside(bed: Bedside) -> None:
    bed.pictures(40, flags=Flag.LIVE | Flag.OUTSIDE)
    bed.tray()


def split(bed: Bedside) -> None:
    live(bed)
    bed.do(Do.SPLIT)


def changes(bed: Bedside) -> None:
    live(bed)
    bed.do(Do.CHANGES)


def not_live(bed: Bedside) -> None:
    live(bed)
    bed.notice(Flag(0))
    bed.passes(400 * MS)


def no_answer(bed: Bedside) -> None:
    live(bed)
    bed.tray(on_the_way=4)
    bed.passes(7 * SECOND)


def waiting(bed: Bedside) -> None:
    bed.tray()
    bed.status(streams=())
    bed.passes(SECOND)


def waiting_alone(bed: Bedside) -> None:
    bed.passes(SECOND)


def frozen(bed: Bedside) -> None:
    live(bed)
    bed.do(Do.FREEZE)
    bed.notice(Flag.FROZEN | Flag.LIVE)
    bed.tray(on_the_way=1)


def scrolled_back(bed: Bedside) -> None:
    frozen(bed)
    bed.do(*[Do.OLDER] * 24, Do.STILL)


def frozen_alone(bed: Bedside) -> None:
    live(bed)
    bed.do(Do.FREEZE)
    bed.passes(2 * SECOND)
    bed.do(Do.STILL)


def recording(bed: Bedside) -> None:
    live(bed)
    bed.do(Do.CLIP)
    bed.reply("capture-clip-start", recording=True, longest_s=60.0, opened_exam=True)
    bed.pictures(80)


def stored(bed: Bedside) -> None:
    live(bed)
    bed.do(Do.BACK)
    note = "2 frames are missing before frame 118, for 100 ms: the frame times keep it"
    bed.stored("capture-back", kind="clip", frames=298, seconds=9.97, held=True, notices=[note], opened_exam=True)
    bed.tray(on_the_way=3, held=1)
    bed.picture()


def refused(bed: Bedside) -> None:
    live(bed)
    bed.do(Do.STILL, Do.BACK)
    bed.reply("capture-still", "not stored: the disk is too full (97 % used, allowed are 90 %); what is stored is safe")
    bed.reply("capture-back", "no answer", answered=False)
    bed.tray(on_the_way=12, parked=2, damaged=1, oldest_hours=31.0, is_full=True)
    bed.picture()


def light_page(bed: Bedside) -> None:
    shot = grey(12, (512, 512))
    bed.pictures(3, original=shot, spacing_mm=(0.3, 0.3), modality=Modality.FLUOROSCOPY)
    bed.do(Do.LIGHT, Do.AUTO)
    bed.tray(archives=0, here=5)


def everything_at_once(bed: Bedside) -> None:
    """Long names, all plates."""
    engine = EngineId("a-very-long-engine-name-of-forty-eight-letters-x", "ab" * 32, "openvino_cpu", "int8")
    bed.pictures(40, engine=engine)
    bed.do(Do.SPLIT, Do.CHANGES, Do.BRIGHTER, Do.CLIP)
    bed.reply("capture-clip-start", recording=True, longest_s=60.0, opened_exam=False)
    bed.reply("set", "no engine of this name; there are: handbuilt, ultrasound-clarity, fluoroscopy-clarity")
    bed.do(Do.FREEZE)
    bed.notice(Flag.FROZEN)
    bed.tray(on_the_way=123, held=12, parked=22, damaged=1, oldest_hours=131.0, is_full=True)
    bed.do(*[Do.OLDER] * 3, Do.STILL)
    bed.passes(900 * MS)


SCENES: dict[str, Callable[[Bedside], None]] = {
    each.__name__: each
    for each in (
        live, original, original_by_daemon, warm, too_hot, outside, split, changes, not_live, no_answer, waiting,
        waiting_alone,
        frozen, scrolled_back, frozen_alone, recording, stored, refused, light_page, everything_at_once,
    )
}  # fmt: skip


def shot(scene: str, size: tuple[int, int]) -> np.ndarray:
    """The scene on SDL's dummy screen."""
    from edge.panel.glass import Glass

    bed = Bedside()
    SCENES[scene](bed)
    glass = Glass(Screen(fullscreen=False, size=size, vsync=False))
    try:
        layout = Layout(*glass.size)
        face = bed.face(layout, glass.measure)
        shown = bed.state.shown
        glass.clear(layout.area, face.picture)
        if shown is not None and face.picture is not None:
            place = face.picture
            glass.paint(lambda canvas: Composer().compose(canvas, place, shown.report, bed.state.view.look))
        glass.draw(face, layout.area)
        return glass.grab()
    finally:
        glass.close()


if __name__ == "__main__":
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name in SCENES:
        for wide, high in [*SIZES, (480, 800)]:
            cv2.imwrite(str(out / f"{name}-{wide}x{high}.png"), shot(name, (wide, high)))
