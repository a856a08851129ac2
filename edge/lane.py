"""One stream on the live path: its region, its open engines, its governor. Owned by the live thread alone.

The survey thread reaches a lane only through its mailbox, which is emptied between two frames.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from edge import fidelity
from edge import region as regions
from edge.backends import Session
from edge.clock import MS, SECOND, Clock
from edge.errors import EngineFault
from edge.frame import Frame, Pixels, Shown, Timings, Treatment, Why, original
from edge.governor import DWELL, Governor, Outcome, Plan
from edge.region import Region, Thumb
from edge.rhythm import Arrival, Rhythm
from edge.survey import Look, OpenKey, Prepared
from edge.wishes import Wish

FORGET_AFTER_PERIODS = 4  # a gap this long and the past is no longer the picture's own
LOOKS_AT_FIRST = 8
LOOK_OFTEN, LOOK_SELDOM, LOOK_URGENT = SECOND // 4, 4 * SECOND, SECOND // 20
WHY_OF_FAULT = {"not-finite": Why.NOT_FINITE, "fidelity": Why.FIDELITY}


@dataclass(slots=True)
class _Running:
    """A computation that is not finished: behind the picture, or later than its frame's deadline."""

    rung: str
    session: Session
    since_ns: int
    grey: Pixels | None = None  # what a probe was given, to judge its result by


class Lane:
    def __init__(self, stream: str, governor: Governor, clock: Clock, most_change: float) -> None:
        self.stream = stream
        self.governor = governor
        self.rhythm = Rhythm()
        self._arrival = Arrival()
        self.last: Shown | None = None
        self.heard_ns = clock.now()
        self.told_ns: int | None = None  # when NOT LIVE or FROZEN was last said
        self.told_not_live = False
        self.told_rung: str | None = None  # the treatment last told in an event
        self.mail: queue.SimpleQueue[Prepared] = queue.SimpleQueue()  # put by the survey, taken by live
        self._clock = clock
        self._most_change = most_change
        self._region: Region | None = None
        self._key: OpenKey | None = None
        self._sessions: dict[str, Session] = {}
        self._took_ns: int | None = None  # what the engine took for the picture that is going out
        self._late: _Running | None = None
        self._probing: _Running | None = None
        self._retired: list[Session] = []  # replaced while still computing
        self._computed: Frame | None = None  # the last frame the settled session has seen
        self._computed_rung: str | None = None
        self._thumb: Thumb | None = None
        self._looks = 0
        self._looked_ns = -LOOK_SELDOM
        self._family = ""
        self._edition = 0
        self._hold_until_ns = 0
        self._asked = False  # the survey is looking: one question at a time

    # ------------------------------------------------ what the survey found

    def open_mail(self) -> bool:
        """Take up new regions and sessions, between two frames. True when something was replaced."""
        replaced = False
        while not self.mail.empty():
            found = self.mail.get_nowait()
            self._asked = False
            if found.sessions is not None:
                self._replace_sessions(found)
                replaced = True
            if found.region is not None or found.key is None:
                self._region = found.region
            if found.region is None and self.governor.why_original is Why.OPENING:
                self.governor.why_original = Why.NO_REGION
            elif self.governor.why_original is Why.NO_REGION and not self._sessions:
                self.governor.why_original = Why.OPENING
        return replaced

    def _replace_sessions(self, found: Prepared) -> None:
        self._retired += list(self._sessions.values())
        self._sessions = dict(found.sessions or {})
        self._key = found.key
        self._late = self._probing = self._computed = None
        self.governor.withdraw_all()
        for rung, cost in found.costs_ns.items():
            self.governor.offer(rung, cost)
        self.governor.open_done()

    def look(self, frame: Frame, wish: Wish, reply: Callable[[Look], None]) -> None:
        """Show the survey a frame: often at first, at once when something is amiss, seldom once it is settled."""
        if (wish.family, wish.edition) != (self._family, self._edition):
            self._family, self._edition, self._looks = wish.family, wish.edition, 0
        interval = LOOK_OFTEN if self._looks < LOOKS_AT_FIRST else LOOK_SELDOM
        if self._region is None:
            interval = LOOK_URGENT
        if self._asked or frame.captured_ns - self._looked_ns < interval:
            return
        self._asked = True
        self._looked_ns = frame.captured_ns
        self._looks += 1
        reply(Look(frame, wish.family, self._key, self.mail.put))

    # ------------------------------------------------ a frame

    def admit(self, frame: Frame, wish: Wish, now_ns: int) -> Plan:
        self._reap()
        if self._region is not None and not self._fits(frame):
            self._lose_region()
        arrived_ns = self._arrival.of(frame.session, frame.captured_ns, frame.received_ns)
        plan = self.governor.admit(arrived_ns, self.rhythm.period_ns, now_ns)
        if wish.strength <= 0.0:
            return replace(plan, rung=None, why=Why.STRENGTH_ZERO)
        if plan.enhances and (self._region is None or now_ns < self._hold_until_ns):
            return replace(plan, rung=None, why=Why.NO_REGION)
        return plan

    def learn(self, shown: Shown, after_ns: int) -> None:
        """Once the picture is out: what it took, for the next plan."""
        self.rhythm.beat(shown.frame.captured_ns)
        if self._took_ns is not None:
            self.governor.learn(Outcome.ON_TIME, self._took_ns, self._clock.now())
            self._took_ns = None
        self.governor.learn_after(after_ns)

    def _fits(self, frame: Frame) -> bool:
        """The region was found in frames of this size and depth, and what is open is for this modality."""
        region, key = self._region, self._key
        assert region is not None
        same_kind = key is None or (frame.bits == key.shape.bits and frame.modality is key.modality)
        return same_kind and frame.pixels.shape == region.layout.shape

    def _lose_region(self) -> None:
        """A region that no longer fits must not alter one more pixel: it may lie over text now. A new one is not
        used at once either: a panel that comes and goes must not make the treatment come and go with it."""
        self._region = None
        self._hold_until_ns = self._clock.now() + DWELL
        self._looks = 0

    def enhance(self, frame: Frame, plan: Plan, wish: Wish) -> Shown:
        """The enhanced picture if the engine has it by the deadline; otherwise the original and its reason."""
        taken_ns = self._clock.now()
        region, rung = self._region, plan.rung
        assert region is not None
        assert rung is not None
        session = self._sessions[rung]
        if not self._is_free(plan):
            return self._blocked(frame, rung, taken_ns)
        try:
            if self._past_is_anothers(frame, rung):
                session.forget()
            grey = regions.grey_of(frame.pixels[region.box.slices], frame.format)
            started_ns = self._clock.now()
            session.start(grey, wish.strength)
            # What needs no result is done while the engine computes.
            canvas = cast("Pixels", np.array(frame.pixels, order="C"))
            elsewhere = regions.layout_changed(region, frame)
            thumb = regions.thumb(frame, region.box)
            was_cut = self._scene_was_cut(thumb)
            in_time = self._in_time(session, plan)
            if in_time:
                self._thumb = thumb  # of what the state has seen; a late frame is compared again
                in_time = not was_cut or self._computed_afresh(session, grey, wish.strength, plan)
            if not in_time:
                self._late = _Running(rung, session, started_ns)
                return self._missed(frame, Why.LATE, taken_ns)
            result = session.result()
            done_ns = self._clock.now()
            change = fidelity.check(grey, result, frame.full_scale, self._most_change, session.change)
        except EngineFault as fault:
            session.forget()
            return self._missed(frame, WHY_OF_FAULT.get(fault.reason, Why.FAULT), taken_ns)
        if elsewhere:
            self._lose_region()
            return original(frame, Why.NO_REGION)
        regions.put_back(frame.pixels[region.box.slices], frame.format, result, region, canvas[region.box.slices])
        canvas.setflags(write=False)
        ended_ns = self._clock.now()
        self._took_ns = done_ns - started_ns
        engine_ns = min(session.took_ns, ended_ns - started_ns)
        times = Timings(
            taken_ns - frame.received_ns, started_ns - taken_ns, engine_ns, ended_ns - started_ns - engine_ns
        )
        return Shown(
            frame, canvas, Treatment.ENHANCED, Why.NOT_ORIGINAL, session.id, wish.strength, region.box, times,
            mean_change=change,
        )  # fmt: skip

    def _in_time(self, session: Session, plan: Plan) -> bool:
        finished = session.wait(plan.deadline.remaining(self._clock.now()))
        return finished and not plan.deadline.passed(self._clock.now())

    def _missed(self, frame: Frame, why: Why, taken_ns: int) -> Shown:
        now = self._clock.now()
        fault = why in (Why.FAULT, Why.NOT_FINITE, Why.FIDELITY)
        stand_in = self.governor.learn(Outcome.FAULT if fault else Outcome.LATE, now - taken_ns, now)
        return original(
            frame, why, stand_in=stand_in, timings=Timings(taken_ns - frame.received_ns, 0, now - taken_ns, 0)
        )

    def _blocked(self, frame: Frame, rung: str, taken_ns: int) -> Shown:
        """An earlier, late frame still computes. While that is the work of the rung that was just left, the one that
        has not had its turn yet is not blamed for it."""
        assert self._late is not None
        inherited = self._late.rung != rung and taken_ns - self._late.since_ns < DWELL
        if not inherited:
            return self._missed(frame, Why.BUSY, taken_ns)
        waited_ns = self._clock.now() - taken_ns
        times = Timings(taken_ns - frame.received_ns, 0, waited_ns, 0)
        return original(frame, Why.BUSY, stand_in=True, timings=times)

    def late_before_start(self, frame: Frame, plan: Plan) -> Shown:
        """The governor found it too late to begin: that, too, is a miss."""
        return self._missed(frame, plan.why, self._clock.now())

    def _is_free(self, plan: Plan) -> bool:
        """An earlier, late computation may still finish early enough for this frame."""
        late = self._late
        if late is None:
            return True
        if not late.session.wait(plan.deadline.remaining(self._clock.now()) // 2):
            return False
        self._late = None  # its picture is discarded; the state it left is that of a frame really seen
        return True

    def _past_is_anothers(self, frame: Frame, rung: str) -> bool:
        """Recurrent state is only of use while it is this picture's own past."""
        last, self._computed = self._computed, frame
        other_rung, self._computed_rung = rung != self._computed_rung, rung
        if last is None or other_rung or frame.cut or frame.session != last.session:
            self._thumb = None  # what came before is no measure of a cut either
            return True
        gap = FORGET_AFTER_PERIODS * max(self.rhythm.period_ns, 16 * MS)
        return frame.captured_ns - last.captured_ns > gap

    def _scene_was_cut(self, thumb: Thumb) -> bool:
        before = self._thumb
        return before is not None and before.shape == thumb.shape and regions.scene_cut(before, thumb)

    def _computed_afresh(self, session: Session, grey: Pixels, strength: float, plan: Plan) -> bool:
        """A cut was seen: the result holds a ghost of the scene before. Once more, without a past."""
        session.forget()
        session.start(grey, strength)
        return self._in_time(session, plan)

    # ------------------------------------------------ behind the picture

    def probe(self, frame: Frame, now_ns: int) -> None:
        """Once the picture is out: measure a higher rung on the same frame, if the governor wants to know."""
        region = self._region
        if region is None or self._probing is not None or self._late is not None or not self._fits(frame):
            return
        rung = self.governor.probe(now_ns)
        if rung is None:
            return
        session = self._sessions[rung]
        grey = regions.grey_of(frame.pixels[region.box.slices], frame.format)
        session.forget()
        try:
            session.start(grey, 1.0)
        except EngineFault:
            self.governor.learn_probe(rung, Outcome.FAULT, 0, now_ns)
            return
        self._probing = _Running(rung, session, now_ns, grey)

    def _reap(self) -> None:
        """Collect what has finished since the last frame; nothing here waits."""
        self._retired = [session for session in self._retired if not _closed(session)]
        late = self._late
        if late is not None and late.session.wait(0):
            self._late = None
        probing = self._probing
        if probing is not None and probing.session.wait(0):
            self._probing = None
            verdict = self._verdict(probing)
            self.governor.learn_probe(probing.rung, verdict, probing.session.took_ns, self._clock.now())

    def _verdict(self, probing: _Running) -> Outcome:
        """A probe must pass what a shown picture must pass."""
        assert probing.grey is not None
        try:
            session = probing.session
            result = session.result()
            fidelity.check(probing.grey, result, session.shape.full_scale, self._most_change, session.change)
        except EngineFault:
            return Outcome.FAULT
        return Outcome.ON_TIME

    def tidy(self) -> None:
        """Between frames, also when none come."""
        self._reap()

    @property
    def open_key(self) -> OpenKey | None:
        """What is open now. Replaced whole by live; others read."""
        return self._key

    @property
    def region(self) -> Region | None:
        """Where the image is. Replaced whole by live; others read."""
        return self._region

    @property
    def computing_since_ns(self) -> int | None:
        """When the oldest unfinished computation began, for the watchdog."""
        since = [running.since_ns for running in (self._late, self._probing) if running is not None]
        return min(since, default=None)

    def forget(self) -> None:
        """Freeze, or a long silence: the next frame starts without a past."""
        self._computed = None

    def close(self) -> None:
        """Let go of the engines. One that still computes is left to the end of the process."""
        for session in [*self._sessions.values(), *self._retired]:
            _closed(session)
        self._sessions = {}


def _closed(session: Session) -> bool:
    if not session.wait(0):
        return False
    session.close()
    return True
