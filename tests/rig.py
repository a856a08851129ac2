"""The live path on a manual clock: real intake, survey, lanes, governor and pipeline; fakes only at the ports."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from edge.catalog import open_catalog
from edge.clock import SECOND, ManualClock
from edge.config import Config, parse
from edge.frame import Frame, Pixels, Shown, Treatment
from edge.health import Events, Vitals
from edge.intake import Intake
from edge.pipeline import Live
from edge.shared import Shared
from edge.survey import Survey
from edge.wishes import Wish, Wishes
from tests.fakes import Glass, ScriptedSource, SlowBackend, frame

COSTS_MS = {"large": 9.0, "medium": 5.0, "small": 3.0, "classical": 2.0}


class Rig:
    def __init__(self, costs_ms: dict[str, float] | None = None, config: Config | None = None) -> None:
        self.clock = ManualClock()
        self.config = config or parse('[engines]\nultrasound = "handbuilt"\nfluoroscopy = "handbuilt"')
        self.events = Events(self.clock, io.StringIO())
        self.heard: list[dict[str, object]] = []
        self.wishes = Wishes(Wish(strength=0.8))
        self.vitals = Vitals(self.clock)
        self.backend = SlowBackend(self.clock, dict(costs_ms or COSTS_MS))
        self.glass = Glass()
        self.shared = shared = Shared(self.config, self.clock, self.events, self.vitals, self.wishes)
        self.source = ScriptedSource([])
        self.intake = Intake(self.source, self.clock, self.events, self.config.live.max_streams)
        self.survey = Survey(open_catalog([]), self.config.engines, self.events, lambda _kind, _n: self.backend)
        self.live = Live(
            shared, self.intake, [self.glass],
            lambda look: look.reply(self.survey.answer(look)),
        )  # fmt: skip
        self.seq = 0

    def frame(self, **more: object) -> Frame:
        self.seq += 1
        return frame(self.seq, at_ns=self.clock.now(), **more)  # type: ignore[arg-type]

    def push(self, **more: object) -> None:
        """One frame through the receive thread's half, and one step of the live thread's."""
        self.intake.admit(self.frame(**more))
        self.live.step()
        self.live.step()

    def play(
        self,
        seconds: float,
        fps: float = 30.0,
        pixels: Callable[[int], Pixels] | None = None,
        **more: object,
    ) -> None:
        """A sender at a steady rate, whatever the daemon does: frames that come due during a step queue up."""
        start, sent = self.clock.now(), 0
        total = round(seconds * fps)
        while sent < total:
            due = start + int(sent * SECOND / fps)
            if self.clock.now() < due:
                self.clock.advance(due - self.clock.now())
            while sent < total and start + int(sent * SECOND / fps) <= self.clock.now():
                at = start + int(sent * SECOND / fps)
                self.seq += 1
                picture = pixels(self.seq) if pixels else None
                self.intake.admit(frame(self.seq, at_ns=at, pixels=picture, **more))  # type: ignore[arg-type]
                sent += 1
            self.live.step()
            self.live.step()  # a breath: what can wait until the picture is out

    def slow_down(self, factor: float, *sizes: str) -> None:
        for size in sizes or tuple(self.backend.sessions):
            self.backend.sessions[size].cost_ns = int(self.backend.cost_ms[size] * factor * 1e6)

    @property
    def shown(self) -> list[Shown]:
        return [shown for shown, _, _ in self.glass.shown]

    def ages_ns(self) -> list[int]:
        return [now - shown.frame.captured_ns for shown, _, now in self.glass.shown]

    def rungs(self) -> list[str]:
        """What was on the glass, picture by picture; stand-ins are not a treatment of their own."""
        return [
            shown.engine.name if shown.treatment is Treatment.ENHANCED else "original"
            for shown in self.shown
            if not shown.stand_in
        ]

    def change_times(self) -> list[int]:
        """When the treatment on the glass changed, stand-ins left out."""
        times: list[int] = []
        before = None
        for shown, _, now in self.glass.shown:
            if shown.stand_in:
                continue
            rung = shown.engine.name or "original"
            if before is not None and rung != before:
                times.append(now)
            before = rung
        return times

    def accounted(self, stream: str = "s") -> bool:
        tally = self.intake.tally(stream).as_dict()
        out = sum(sum(tally[key].values()) for key in ("enhanced", "original", "dropped"))
        return tally["in"] == out + tally["waiting"] and tally["waiting"] <= 1


def textured(seed: int = 1, shape: tuple[int, int] = (96, 128)) -> Pixels:
    return np.random.default_rng(seed).integers(30, 220, shape, dtype=np.uint8)
