"""Clips and bursts of what is still to come. `hear` runs on the live thread and only keeps a reference; the rest on the
capture thread. Bounded: a clip that reaches its bound ends, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from edge.clock import SECOND
from edge.errors import LimpidError
from edge.frame import Shown, Treatment

MOST_PARTS = 16  # a clip whose format changes more often is not cut into ever smaller pieces


@dataclass(slots=True)
class Recording:
    """Written by the live thread until `ended` is set or it is taken out; then read by the capture thread."""

    stream: str
    started_ns: int
    shown: list[Shown] = field(default_factory=list[Shown])
    ended: str = ""  # why it ended by itself


@dataclass(slots=True)
class BurstOf:
    """Likewise, `count` pictures that are at least `every_ns` apart."""

    count: int
    every_ns: int
    since_ns: int
    shown: list[Shown] = field(default_factory=list[Shown])

    @property
    def is_full(self) -> bool:
        return len(self.shown) >= self.count


class Recorder:
    def __init__(self, most_bytes: int, longest_ns: int) -> None:
        self._most_bytes = most_bytes
        self._longest_ns = longest_ns
        self._clips: dict[str, Recording] = {}
        self._bursts: dict[str, BurstOf] = {}
        self._outcomes: dict[str, dict[str, Any] | LimpidError] = {}
        self._bytes = 0

    # ------------------------------------------------ the live thread

    def hear(self, shown: Shown) -> None:
        """A picture has been shown. Takes a microsecond."""
        stream = shown.frame.stream
        clip = self._clips.get(stream)
        if clip is not None and not clip.ended:
            self._add(clip, shown)
        burst = self._bursts.get(stream)
        if burst is not None and not burst.is_full:
            _add_to_burst(burst, shown)

    def _add(self, clip: Recording, shown: Shown) -> None:
        if shown.frame.captured_ns - clip.started_ns > self._longest_ns:
            clip.ended = f"it is {self._longest_ns / SECOND:g} s long"
        elif self._bytes + bytes_of(shown) > self._most_bytes:
            clip.ended = f"clips in memory take {self._most_bytes >> 20} MB"
        elif shown.frame.captured_ns >= clip.started_ns:
            clip.shown.append(shown)
            self._bytes += bytes_of(shown)

    # ------------------------------------------------ the capture thread

    def start(self, stream: str, now_ns: int) -> None:
        self._outcomes.pop(stream, None)
        self._clips[stream] = Recording(stream, now_ns)

    def stop(self, stream: str) -> Recording:
        clip = self._clips.pop(stream)
        self._bytes = sum(bytes_of(shown) for other in self._clips.values() for shown in other.shown)
        return clip

    def is_recording(self, stream: str) -> bool:
        return stream in self._clips

    def streams(self) -> list[str]:
        return list(self._clips)

    def finished(self) -> list[Recording]:
        return [clip for clip in self._clips.values() if clip.ended]

    def why_ended(self, stream: str) -> str:
        return self._clips[stream].ended or "the exam ended"

    def remember(self, stream: str, outcome: dict[str, Any] | LimpidError) -> None:
        self._outcomes[stream] = outcome

    def outcome(self, stream: str) -> dict[str, Any] | LimpidError | None:
        """What became of a clip that ended by itself; told once."""
        return self._outcomes.pop(stream, None)

    def burst(self, stream: str, count: int, every_ns: int, now_ns: int) -> BurstOf:
        burst = self._bursts[stream] = BurstOf(count, every_ns, now_ns)
        return burst

    def end_burst(self, stream: str) -> list[Shown]:
        return self._bursts.pop(stream).shown


def _add_to_burst(burst: BurstOf, shown: Shown) -> None:
    at = shown.frame.captured_ns
    if at < burst.since_ns or (burst.shown and at - burst.shown[-1].frame.captured_ns < burst.every_ns):
        return
    burst.shown.append(shown)


def bytes_of(shown: Shown) -> int:
    """An original that was shown as it is lies in memory once."""
    altered = shown.treatment is Treatment.ENHANCED
    return shown.frame.pixels.nbytes + (shown.pixels.nbytes if altered else 0)


def parts_of(shown: Sequence[Shown]) -> Iterator[tuple[Shown, ...]]:
    """Runs of frames that fit together in one object."""
    cuts = [at + 1 for at, (before, after) in enumerate(pairwise(shown)) if _look(before) != _look(after)]
    if len(cuts) >= MOST_PARTS:
        cuts = cuts[: MOST_PARTS - 1]  # the rest will be refused, and says at which frame
    for start, end in pairwise([0, *cuts, len(shown)]):
        yield tuple(shown[start:end])


def _look(shown: Shown) -> tuple[object, ...]:
    frame = shown.frame
    return frame.pixels.shape, frame.pixels.dtype, frame.format, frame.bits, frame.modality, frame.session
