"""The machine's health: sensors read, heat turned into a step of the ladder, changes told.

thread   runs              owns
sensors  Checkup.look      the sensors; may be kept waiting by a driver, and nobody waits for it
health   Checkup.run       the heat ladder, and what was told of it

`step` is read by live once a frame, `as_dict` by control. A sensor that hangs, fails or is not there is "not known".
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from edge.clock import SECOND, Clock
from edge.config import Config, Heat
from edge.errors import SensorsLost
from edge.health import Events
from edge.heat import HeatLadder, Limits, Step
from edge.sensors import Reading, Sensors, Zone

PROCESSORS = ("*cpu*", "*gpu*", "*soc*", "tj*", "x86_pkg*", "*core*", "k10temp*", "zenpower*", "scripted")
LONGEST_WAIT_S = 0.25  # so that a stop is heard
THROTTLES_AT = 95.0  # where neither the machine nor the configuration says more


@dataclass(frozen=True, slots=True)
class Look:
    """What was read, and when; without a reading, why not."""

    at_ns: int
    reading: Reading | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the health thread made of it; replaced whole."""

    step: Step = Step.NORMAL
    since_ns: int = 0
    margin: float | None = None  # degrees until the hottest zone throttles
    zone: Zone | None = None
    trouble: str = "no reading yet"


def limits_of(heat: Heat) -> Limits:
    return Limits(heat.warm_below, heat.hot_below, heat.critical_below, heat.recover, int(heat.hold_s * SECOND))


def hottest(reading: Reading, heat: Heat) -> tuple[Zone, float] | None:
    """The zone that is nearest to throttling, and how many degrees are left."""
    wanted = heat.zones or PROCESSORS
    counted = [zone for zone in reading.zones if any(fnmatchcase(zone.name.lower(), each.lower()) for each in wanted)]
    if not counted and not heat.zones:
        counted = [zone for zone in reading.zones if zone.throttles_at is not None]
    left = [(zone, (heat.throttles_at or zone.throttles_at or THROTTLES_AT) - zone.celsius) for zone in counted]
    return min(left, key=lambda each: each[1], default=None)


class Checkup:
    def __init__(self, config: Config, sensors: Sensors, clock: Clock, events: Events) -> None:
        self._heat = config.heat
        self._every_s = config.health.every_s
        self._lost_after_ns = int(config.health.lost_after_s * SECOND)
        self._sensors = sensors
        self._clock = clock
        self._events = events
        self._ladder = HeatLadder(limits_of(config.heat))
        self._looked = threading.Event()
        self._look: Look | None = None  # put by sensors, replaced whole
        self._judged: Look | None = None  # by health
        self._began_ns = clock.now()
        self._known: bool | None = None  # whether the temperature is, as last told
        self._known_ns: int | None = None  # when it last was
        self._told_missing: set[str] = set()
        self.verdict = Verdict()  # replaced by health; read by live and control

    @property
    def step(self) -> Step:
        """What heat allows now. Read by live, once a frame."""
        return self.verdict.step

    def run(self, stop: threading.Event) -> None:
        threading.Thread(target=self.look, args=(stop,), name="sensors", daemon=True).start()
        while not stop.is_set():
            self.judge()
            self._looked.wait(min(self._every_s, LONGEST_WAIT_S))
            self._looked.clear()

    # ------------------------------------------------ the sensors thread

    def look(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.look_once()
            stop.wait(self._every_s)
        self._sensors.close()

    def look_once(self) -> None:
        try:
            reading, trouble = self._sensors.read(), ""
        except SensorsLost as error:
            reading, trouble = None, str(error)
        except Exception as error:  # noqa: BLE001 - a driver's surprise must not cost the picture its process
            reading, trouble = None, f"{type(error).__name__} in a sensor"
        self._look = Look(self._clock.now(), reading, trouble)
        self._looked.set()

    # ------------------------------------------------ the health thread

    def judge(self) -> None:
        """The newest look, once; and that there has been none for too long."""
        look, now = self._look, self._clock.now()
        last_ns = look.at_ns if look is not None else self._began_ns
        silent = now - last_ns > self._lost_after_ns
        if look is self._judged and not silent:
            return
        self._judged = look
        reading = None if look is None or silent else look.reading
        found = hottest(reading, self._heat) if reading is not None else None
        trouble = "" if found else _trouble(look, silent=silent)
        step = self._step(found, reading, now)
        zone, margin = found or (None, None)
        since = self.verdict.since_ns if step is self.verdict.step else now
        before, self.verdict = self.verdict, Verdict(step, since, margin, zone, trouble)
        self._tell(before, reading)

    def _step(self, found: tuple[Zone, float] | None, reading: Reading | None, now: int) -> Step:
        if not self._heat.enabled:
            return Step.NORMAL
        throttles = bool(reading is not None and reading.throttles)
        return self._ladder.learn(found[1] if found else None, now, throttles=throttles)

    def _tell(self, before: Verdict, reading: Reading | None) -> None:
        now = self.verdict
        if now.step is not before.step:
            facts = {"celsius": now.zone.celsius, "zone": now.zone.name} if now.zone else {}
            self._events.emit("heat.changed", step=now.step.words, before=before.step.words, **facts)
        known = self._is_known(now.zone)
        if known is not self._known:
            if known and self._known is not None:
                self._events.emit("heat.known", zone=now.zone.name if now.zone else "")
            elif not known:
                self._events.emit("heat.not-known", step=now.step.words, trouble=now.trouble)
            self._known = known
        for part in reading.missing if reading is not None else ():
            if part not in self._told_missing:
                self._told_missing.add(part)
                self._events.emit("health.not-known", part=part)

    def _is_known(self, zone: Zone | None) -> bool:
        """A sensor that fails now and then is not told each time."""
        now = self._clock.now()
        if zone is not None:
            self._known_ns = now
        return self._known_ns is not None and now - self._known_ns <= self._lost_after_ns

    # ------------------------------------------------ whoever asks

    def as_dict(self) -> dict[str, Any]:
        """For status. From any thread."""
        verdict, look, now = self.verdict, self._look, self._clock.now()
        facts = look.reading.as_dict() if look is not None and look.reading is not None else {}
        return {
            "heat": {
                "step": verdict.step.words,
                "for_s": round((now - verdict.since_ns) / SECOND, 1) if verdict.since_ns else None,
                "known": verdict.zone is not None,
                "trouble": verdict.trouble,
                "zone": verdict.zone.name if verdict.zone else "",
                "celsius": verdict.zone.celsius if verdict.zone else None,
                "margin": round(verdict.margin, 1) if verdict.margin is not None else None,
                "enabled": self._heat.enabled,
            },
            "read_ago_s": round((now - look.at_ns) / SECOND, 1) if look is not None else None,
            **facts,
        }


def _trouble(look: Look | None, *, silent: bool) -> str:
    if silent:
        return "the sensors do not answer"
    if look is None:
        return "no reading yet"
    return look.trouble or "this machine tells no temperature of a processor"
