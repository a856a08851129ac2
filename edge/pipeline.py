"""The live thread: `step()`, top to bottom, is a frame's path.

It opens nothing (the survey does), and touches no disk and no network but its sources' and displays' sockets.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.clock import MS, SECOND
from edge.displays import Display
from edge.frame import Frame, Pixels, Shown, Treatment, Why, original
from edge.governor import Governor, Plan
from edge.heat import Step
from edge.intake import Intake
from edge.lane import Lane
from edge.shared import Shared
from edge.slot import Ring
from edge.survey import Look
from edge.wire import Flag
from edge.wishes import Wish

NOT_LIVE_PERIODS = 1.75  # said before the second period is over
TELL_AGAIN = SECOND // 4
IDLE_LANE = 30 * SECOND
LONGEST_WAIT = SECOND // 10
BREATH = 3 * MS  # for a picture to reach its displays, before anything else is done


class Live:
    """Everything the live thread owns. Others reach it through inbox, wishes, mailboxes and snapshots."""

    def __init__(
        self,
        shared: Shared,
        intake: Intake,
        displays: Sequence[Display],
        ask_survey: Callable[[Look], None],
        hear: Callable[[Shown], None] = lambda _shown: None,
        heat: Callable[[], Step] = lambda: Step.NORMAL,
    ) -> None:
        self._config = shared.config
        self._wishes = shared.wishes
        self._events = shared.events
        self._vitals = shared.vitals
        self._way = shared.way
        self._clock = shared.clock
        self._intake = intake
        self._displays = displays
        self._ask_survey = ask_survey
        self._hear = hear  # every picture that was shown, as it is kept; must not wait
        self._heat = heat  # what the health thread has decided; read once a frame
        self._told_ended = False
        self._chores: list[tuple[Lane, Shown]] = []
        self._collected_ns = shared.clock.now()
        self.lanes: dict[str, Lane] = {}
        self.outside: frozenset[str] = frozenset()  # streams unlike what their engine was judged on; set by the lookout
        self.newest: dict[str, Shown] = {}  # of each stream, also of a frozen one; written by live, read by capture
        recent_ns = int(shared.config.live.recent_seconds * SECOND)
        self.recent: Ring[Shown] = Ring(  # written by live; capture takes snapshot()
            max_bytes=shared.config.live.recent_megabytes << 20,
            size_of=_bytes_held,
            too_old=lambda oldest, newest: newest.frame.received_ns - oldest.frame.received_ns > recent_ns,
        )

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.step()
            if self._intake.ended and not self._told_ended:
                self._told_ended = True
                self._events.emit("source.ended")

    def step(self) -> None:
        """One frame, from the moment it is the newest to the moment its picture is out."""
        self._vitals.beat()
        frame = self._intake.take(self._patience() / SECOND)
        if frame is None:
            self._do_chores()
            self._keep_told()
            for display in self._displays:
                display.tend()
            return
        lane, wish = self._lane_of(frame), self._wishes.of(frame.stream)
        now = self._clock.now()
        if frame.cut:
            lane.forget()  # whether or not this very frame will be computed
        if (reason := self._turned_away(lane, frame, wish, now)) is not None:
            self._intake.tally(frame.stream).dropped[reason] += 1
            self._keep_told()
            return
        lane.heard_ns = now
        lane.governor.limit(self._heat(), now)
        plan = lane.admit(frame, wish, now)
        self._way.take()
        try:
            shown = self._treat(lane, frame, plan, wish)
            self._show(lane, shown, wish)
        finally:
            self._way.give()
        self._chores.append((lane, shown))
        if len(self._chores) > len(self.lanes):  # frames come without a pause
            self._do_chores()
        self._keep_told()  # a stream that has stopped, however busy the others are

    def _collect_garbage(self) -> None:
        """Between two pictures, not whenever Python thinks of it; what was built is frozen, so it is quick."""
        now = self._clock.now()
        if now - self._collected_ns > SECOND:
            self._collected_ns = now
            gc.collect()

    # ------------------------------------------------ the steps of a step

    def _treat(self, lane: Lane, frame: Frame, plan: Plan, wish: Wish) -> Shown:
        if plan.enhances:
            shown = lane.enhance(frame, plan, wish)
        elif plan.why is Why.LATE:
            shown = lane.late_before_start(frame, plan)
        else:
            shown = original(frame, plan.why)
        if wish.original_view and plan.why is not Why.STRENGTH_ZERO:
            # The engine has run all the same: the way back to the enhanced picture is instant.
            return original(frame, Why.OPERATOR, timings=shown.timings)
        return shown

    def _show(self, lane: Lane, shown: Shown, wish: Wish) -> None:
        flags = self._flags_of(lane, shown, wish)
        shown = _with_gap(shown, lane.last)
        if flags & Flag.OUTSIDE:
            shown = replace(shown, outside=True)
        started = self._clock.now()
        for display in self._displays:
            display.show(shown, flags, started)
        ended = self._clock.now()
        lane.last, lane.told_ns, lane.told_not_live = shown, None, False
        lane.learn(shown, shown.timings.composed + ended - started)
        tally = self._intake.tally(shown.frame.stream)
        tally.showed(shown)
        tally.latencies_ns.append(ended - shown.frame.received_ns)
        if shown.why in (Why.LATE, Why.BUSY, Why.FAULT, Why.NOT_FINITE, Why.FIDELITY):
            self._events.emit("frame.missed", stream=lane.stream, seq=shown.frame.seq, why=shown.why.words)

    def _flags_of(self, lane: Lane, shown: Shown, wish: Wish) -> Flag:
        flags = Flag.LIVE
        if shown.stand_in:
            flags |= Flag.STAND_IN
        if wish.original_view:
            flags |= Flag.ORIGINAL_VIEW
        if self._heat() is not Step.NORMAL:
            flags |= Flag.WARM
        if lane.stream in self.outside and shown.treatment is Treatment.ENHANCED:
            flags |= Flag.OUTSIDE
        return flags

    def _turned_away(self, lane: Lane, frame: Frame, wish: Wish, now: int) -> str | None:
        if wish.frozen:
            lane.heard_ns, lane.told_not_live = now, False  # what is not shown comes all the same
            lane.forget()
            return "frozen"
        if now - frame.captured_ns > self._config.live.max_age_ms * MS:
            self._events.emit("frame.too-old", stream=lane.stream, age_ms=(now - frame.captured_ns) // MS)
            return "too-old"
        return None

    def _do_chores(self) -> None:
        """What can wait until the picture has left the house: on few cores it would stand in the picture's way."""
        for lane, shown in self._chores:
            self._keep(lane, _kept(shown))
            lane.look(shown.frame, self._wishes.of(lane.stream), self._ask_survey)
            lane.probe(shown.frame, self._clock.now())
            if lane.open_mail():
                self._events.emit("lane.prepared", stream=lane.stream)
            self._tell_treatment(lane)
        self._chores.clear()
        self._note_computing()
        self._collect_garbage()

    def _keep(self, lane: Lane, shown: Shown) -> None:
        self.recent.add(shown)
        self.newest[lane.stream] = shown
        self._hear(shown)

    def _tell_treatment(self, lane: Lane) -> None:
        settled = lane.governor.settled
        if settled != lane.told_rung:
            lane.told_rung = settled
            why = lane.governor.why_original.words if settled is None else ""
            self._events.emit("treatment.changed", stream=lane.stream, rung=settled or "original", why=why)

    def _note_computing(self) -> None:
        since = [lane.computing_since_ns for lane in self.lanes.values()]
        self._vitals.engine_since_ns = min((ns for ns in since if ns is not None), default=None)

    # ------------------------------------------------ streams that are silent

    def _lane_of(self, frame: Frame) -> Lane:
        lane = self.lanes.get(frame.stream)
        if lane is None:
            live = self._config.live
            ladder = [rung for rung in self._config.engines.rungs if rung != "original"]
            governor = Governor(int(live.deadline_ms * MS), int(live.max_age_ms * MS), ladder)
            lane = Lane(frame.stream, governor, self._clock, self._config.engines.max_change_percent / 100)
            self.lanes[frame.stream] = lane
            self._close_idle()
        return lane

    def _close_idle(self) -> None:
        now = self._clock.now()
        idle = [name for name, lane in self.lanes.items() if now - lane.heard_ns > IDLE_LANE]
        for name in idle:
            self.lanes.pop(name).close()
            self.newest.pop(name, None)

    def _patience(self) -> int:
        """How long to wait for a frame before somebody must be told that none came."""
        now = self._clock.now()
        if self._chores:
            return BREATH
        waits = [self._next_notice(lane) - now for lane in self.lanes.values() if lane.last is not None]
        return max(MS, min([LONGEST_WAIT, *waits]))

    def _next_notice(self, lane: Lane) -> int:
        if lane.told_ns is not None:
            return lane.told_ns + TELL_AGAIN
        if self._wishes.of(lane.stream).frozen:
            return 0  # at once: a clock that runs is past any "now" that was read before
        return lane.heard_ns + int(NOT_LIVE_PERIODS * lane.rhythm.period_ns)

    def _keep_told(self) -> None:
        """NOT LIVE and FROZEN: a picture that stands still must never pass for a live one."""
        now = self._clock.now()
        for lane in self.lanes.values():
            lane.tidy()
            if lane.last is not None and now >= self._next_notice(lane):
                self._tell(lane, now)
        self._note_computing()

    def _tell(self, lane: Lane, now: int) -> None:
        assert lane.last is not None
        frozen = self._wishes.of(lane.stream).frozen
        silent = now - lane.heard_ns >= int(NOT_LIVE_PERIODS * lane.rhythm.period_ns)
        flags = (Flag.FROZEN if frozen else Flag(0)) | (Flag(0) if silent else Flag.LIVE)
        if not frozen and not silent:
            lane.told_ns = None  # thawed, and frames are coming
            return
        for display in self._displays:
            display.notice(lane.last, flags, now)
        lane.told_ns = now
        if silent and not lane.told_not_live:
            lane.told_not_live = True
            lane.forget()
            self._events.emit("stream.not-live", stream=lane.stream, last_seq=lane.last.frame.seq)

    def close(self) -> None:
        for lane in self.lanes.values():
            lane.close()


def _with_gap(shown: Shown, last: Shown | None) -> Shown:
    """Tell how many of the sender's frames were not shown before this one."""
    if last is None or last.frame.session != shown.frame.session:
        return shown
    missing = shown.frame.seq - last.frame.seq - 1
    if missing <= 0:
        return shown
    return replace(shown, missing_before=missing)


def _kept(shown: Shown) -> Shown:
    """A copy for the ring. Messages and pictures give their memory back at once, so the next frame finds it warm: a
    picture in memory that was never touched before costs the live path a millisecond in page faults."""
    before = _copy(shown.frame.pixels)
    after = _copy(shown.pixels) if shown.treatment is Treatment.ENHANCED else before
    return replace(shown, frame=replace(shown.frame, pixels=before), pixels=after)


def _copy(pixels: Pixels) -> Pixels:
    copy = pixels.copy()
    copy.setflags(write=False)
    return copy


def _bytes_held(shown: Shown) -> int:
    altered = shown.treatment is Treatment.ENHANCED
    return shown.frame.pixels.nbytes + (shown.pixels.nbytes if altered else 0)
