"""A scanner that is not there: moving ultrasound or fluoroscopy from `edge.phantom`, read by its receive
thread.

Paced, it is an open loop like a real scanner: frame n is due at start + n / fps whether or not anybody was
ready for the one before, and a late reader gets the frame that is due now, with the gap in the sequence
numbers to show for it.
"""

from __future__ import annotations

import dataclasses
import secrets
import threading
from typing import Annotated, Literal

import msgspec
import numpy as np

from edge.clock import SECOND, Clock
from edge.errors import ConfigError
from edge.frame import Frame, PixelFormat, Pixels
from edge.phantom import (
    Exposure,
    FluoroscopyPhantom,
    FluoroscopyScene,
    Phantom,
    UltrasoundPhantom,
    UltrasoundScene,
)

_MOST_LOOPED_BYTES = 1 << 30


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    modality: Literal["ultrasound", "fluoroscopy"] = "ultrasound"
    width: Annotated[int, msgspec.Meta(ge=64, le=4096)] = 640
    height: Annotated[int, msgspec.Meta(ge=64, le=4096)] = 480
    fps: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 30.0
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    stream: str = "phantom"
    bits: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0  # 0: 8 for ultrasound, 12 for fluoroscopy
    dose: Annotated[float, msgspec.Meta(gt=0, le=100)] = 1.0  # of fluoroscopy; 1 is full dose
    probe: Literal["linear", "curved", "phased"] = "curved"  # of ultrasound
    view: Literal["cardiac", "chest", "hip"] = "cardiac"  # of fluoroscopy
    variety: bool = False  # draw the whole scene from the seed, instead of the usual one
    furniture: bool = True  # text, ruler and grey bar around an ultrasound picture
    rgb: bool = False
    frames: Annotated[int, msgspec.Meta(ge=0)] = 0  # 0: endless
    paced: bool = True
    loop_frames: Annotated[int, msgspec.Meta(ge=0)] = 0  # made at the start and played to and fro: costs nothing later
    tell_region: bool = True  # say where the image is, and how large a pixel


def open_source(options: Options, clock: Clock) -> PhantomSource:
    return PhantomSource(options, clock)


class PhantomSource:
    """`next`, by one thread. `close`, by any: it wakes whoever waits."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self.phantom: Phantom = _phantom(options)  # owned by the thread that calls `next`
        self._loop = self._recorded()
        self._period_ns = SECOND / options.fps
        self._start_ns: int | None = None  # set by the first `next`: what came before it was not missed by anybody
        self._next = 0
        self._session = secrets.randbits(32) | 1
        self._closed = threading.Event()

    @property
    def ended(self) -> bool:
        return self._closed.is_set() or (self._options.frames > 0 and self._next >= self._options.frames)

    def next(self, timeout_s: float) -> Frame | None:
        if self.ended:
            return None
        if self._options.paced and not self._wait_until_due(timeout_s):
            return None
        seq = self._due() if self._options.paced else self._next
        self._next = seq + 1
        return self._frame(seq)

    def close(self) -> None:
        self._closed.set()

    def exposure(self, seq: int) -> Exposure:
        """What a sequence number shows, and the truth behind it."""
        return self.phantom.frame(self._scene_index(seq))

    def _wait_until_due(self, timeout_s: float) -> bool:
        now = self._clock.now()
        if self._start_ns is None:
            self._start_ns = now
        wait_ns = self._start_ns + self._next * self._period_ns - now
        if wait_ns <= 0:
            return True
        if self._closed.wait(min(timeout_s, wait_ns / SECOND)):
            return False
        return self._due() >= self._next

    def _due(self) -> int:
        """The newest frame that is due. The last of a limited run stays due for ever."""
        assert self._start_ns is not None
        # A hundred nanoseconds early is on time: the period is seldom a whole number of them.
        due = int((self._clock.now() - self._start_ns + 100) / self._period_ns)
        return min(due, self._options.frames - 1) if self._options.frames else due

    def _scene_index(self, seq: int) -> int:
        """To and fro over what was recorded, so that the end joins the beginning."""
        count = len(self._loop)
        if count == 0:
            return seq
        place = seq % max(1, 2 * count - 2)
        return place if place < count else 2 * count - 2 - place

    def _frame(self, seq: int) -> Frame:
        index = self._scene_index(seq)
        pixels = self._loop[index] if self._loop else self._shown(index)
        now = self._clock.now()  # the picture exists from now on: what it took to make is the scanner's time
        tell = self._options.tell_region
        return Frame(
            pixels=pixels,
            stream=self._options.stream,
            seq=seq,
            captured_ns=now,
            received_ns=now,
            format=self._format,
            bits=self.phantom.bits,
            modality=self.phantom.modality,
            session=self._session,
            stamped_ns=now,
            spacing_mm=self.phantom.spacing_mm if tell else None,
            region=self.phantom.region if tell else None,
        )

    @property
    def _format(self) -> PixelFormat:
        if self._options.rgb:
            return PixelFormat.RGB8
        return PixelFormat.GREY8 if self.phantom.bits == 8 else PixelFormat.GREY16

    def _shown(self, index: int) -> Pixels:
        pixels = self.phantom.frame(index).pixels
        if self._options.rgb:
            pixels = np.repeat(pixels[..., None].astype(np.uint8), 3, axis=2)
        pixels.flags.writeable = False
        return pixels

    def _recorded(self) -> list[Pixels]:
        options = self._options
        size = options.width * options.height * self._format.bytes_per_pixel * options.loop_frames
        if size > _MOST_LOOPED_BYTES:
            most = _MOST_LOOPED_BYTES * options.loop_frames // size
            raise ConfigError(f"[source.phantom] loop_frames is over a GiB; at most {most} here")
        # The first exposure fills what later ones only renew: better now than within a frame's period.
        self.phantom.frame(0)
        return [self._shown(index) for index in range(options.loop_frames)]


def _phantom(options: Options) -> Phantom:
    """The scene the options ask for: the usual one of its kind, or one drawn from the seed."""
    bits = options.bits or (8 if options.modality == "ultrasound" or options.rgb else 12)
    if options.rgb and bits != 8:
        raise ConfigError(f"[source.phantom] rgb has 8 bits a sample, not {bits}")
    asked: dict[str, object] = {"fps": options.fps, "bits": bits}
    size = (options.seed, options.width, options.height)
    if options.modality == "ultrasound":
        asked["furniture"] = options.furniture
        drawn = UltrasoundScene.random(*size) if options.variety else UltrasoundScene.of(options.probe)
    else:
        asked["dose"] = options.dose
        drawn = FluoroscopyScene.random(*size) if options.variety else FluoroscopyScene.of(options.view)
    asked |= {"seed": options.seed, "width": options.width, "height": options.height}
    scene = dataclasses.replace(drawn, **asked)  # type: ignore[arg-type]
    return UltrasoundPhantom(scene) if isinstance(scene, UltrasoundScene) else FluoroscopyPhantom(scene)
