"""The capture button: pictures of the last seconds, or of the next, into the outbox. Runs on the capture thread.

control asks (`ask`), which takes hold of the pictures at that moment and never waits; the capture thread makes the pair
and stores it; the answer goes out when it is durable, or with the reason why it is not. Exams are opened and closed on
the same thread, in the order in which they were asked for, so a capture belongs to the exam that was open when the
button was pressed.

Nothing here may cost the live path a frame. So the thread is nice, and it stores the frames as they are, uncompressed:
writing and hashing let go of the interpreter, while the JPEG-LS codec holds it for a whole frame, and the live thread
would wait for that. 10 s of 640x480 at 30 fps, original and enhanced, are 184 MB: 1.7 s of a core to compress, 0.2 s
to write, on two threads. The darkroom, a process of its own, compresses them afterwards; until it has, they are held.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from edge.clock import MS, SECOND
from edge.config import Capture as CaptureSettings
from edge.errors import CaptureRefused, ConfigError, LimpidError
from edge.exams import Exams
from edge.filing import Answer, Filing, Shot
from edge.frame import Shown
from edge.recorder import BurstOf, Recorder, bytes_of
from edge.requests import Angles, Back, Burst, CaptureRequest, ClipStart, Still
from edge.shared import Shared
from edge.turns import thread_yields

MOST_WAITING = 16  # jobs that are not stored yet
TICK_S = 0.1
TEND_EVERY = 5 * SECOND
BURST_PATIENCE = SECOND  # beyond the time its pictures need
NICE = 5  # a quarter of a core that somebody else wants; at 10 it would be a tenth, and the user waits for the answer


@dataclass(frozen=True, slots=True)
class Pictures:
    """What was shown lately: written by live, read by others."""

    recent: Callable[[], list[Shown]]  # the last seconds, all streams
    newest: Mapping[str, Shown]  # of each stream, also where it was frozen long ago
    recorder: Recorder  # hears of each one


@dataclass(frozen=True, slots=True)
class _Job:
    do: Callable[[], Answer | None]  # None: the answer comes later
    answer: Future[Answer]


@dataclass(frozen=True, slots=True)
class _Burst:
    """A burst whose pictures are still coming."""

    stream: str
    count: int
    asked_ns: int
    due_ns: int
    pictures: BurstOf
    answer: Future[Answer]
    angles: Angles | None


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip that is being recorded; its pictures are the recorder's."""

    asked_ns: int
    angles: Angles | None


class Shutter:
    def __init__(
        self,
        shared: Shared,
        pictures: Pictures,
        exams: Exams,
        filing: Filing,
    ) -> None:
        settings = shared.config.capture
        self._clock = shared.clock
        self._events = shared.events
        self._settings = settings
        self._pictures = pictures
        self._exams = exams
        self._filing = filing
        self._jobs: queue.Queue[_Job] = queue.Queue(MOST_WAITING)
        self._pinned = 0  # bytes of the shots in `_jobs`: added by control, taken off by the capture thread
        self._pinned_lock = threading.Lock()
        self._closed = False
        self._tended_ns = 0
        self._bursts: list[_Burst] = []
        self._clips: dict[str, _Clip] = {}  # by stream
        self.recorder = pictures.recorder

    # ------------------------------------------------ asked by the control thread

    def ask(self, request: CaptureRequest) -> Future[Answer]:
        """Takes hold of the pictures now; the answer comes when they are stored."""
        try:
            return self._asked(request)
        except LimpidError as error:
            self._events.emit("capture.refused", reason=str(error))
            raise

    def _asked(self, request: CaptureRequest) -> Future[Answer]:
        stream, now = self._stream_of(request), self._clock.now()
        if isinstance(request, Still):
            return self._store_later(Shot(stream, "still", (self._newest(stream),), angles=request.angles), now)
        if isinstance(request, Back):
            return self._store_later(self._last_seconds(stream, request, now), now)
        answer: Future[Answer] = Future()
        if isinstance(request, Burst):
            return self._queue(_Job(lambda: self._begin_burst(stream, request, now, answer), answer))
        if isinstance(request, ClipStart):
            return self._queue(_Job(lambda: self._begin_clip(stream, request, now), answer))
        return self._queue(_Job(lambda: self._end_clip(stream), answer))

    def do(self, task: Callable[[], Answer | None], answer: Future[Answer]) -> Future[Answer]:
        """Something about the exam, in its turn."""
        return self._queue(_Job(task, answer))

    def _queue(self, job: _Job, pinned: int = 0) -> Future[Answer]:
        limit = self._settings.clip_megabytes << 20
        with self._pinned_lock:
            if self._closed:
                raise CaptureRefused("not stored: the appliance is stopping")
            if pinned and self._pinned and self._pinned + pinned > limit:
                raise CaptureRefused("not stored: earlier captures are still being stored; ask again in a moment")
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                raise CaptureRefused(f"not stored: {MOST_WAITING} captures are waiting to be stored already") from None
            self._pinned += pinned
        return job.answer

    def _store_later(self, shot: Shot, asked_ns: int) -> Future[Answer]:
        size = sum(bytes_of(shown) for shown in shot.shown)

        def task() -> Answer:
            try:
                return self._filing.keep(shot, asked_ns)
            finally:
                with self._pinned_lock:
                    self._pinned -= size

        return self._queue(_Job(task, Future()), size)

    def _stream_of(self, request: CaptureRequest) -> str:
        streams = sorted(list(self._pictures.newest))  # noqa: C414 - one step, while live goes on writing
        if request.stream is not None:
            if request.stream not in streams:
                raise CaptureRefused(f"there is no picture of stream {request.stream}")
            return request.stream
        if len(streams) == 1:
            return streams[0]
        if not streams:
            raise CaptureRefused("there is no picture to capture: nothing has been shown yet")
        raise ConfigError(f"which stream? there are: {', '.join(streams)}")

    def _newest(self, stream: str) -> Shown:
        shown = self._pictures.newest.get(stream)
        if shown is None:
            raise CaptureRefused(f"there is no picture of stream {stream}")
        return shown

    def _last_seconds(self, stream: str, request: Back, now: int) -> Shot:
        """While the picture stands still (frozen, or the scanner silent) the seconds before it count."""
        newest, seconds = self._newest(stream), request.seconds
        since = newest.frame.captured_ns - int(seconds * SECOND)
        shown = tuple(
            one
            for one in self._pictures.recent()
            if one.frame.stream == stream and since < one.frame.captured_ns <= now
        ) or (newest,)
        held = (shown[-1].frame.captured_ns - shown[0].frame.captured_ns) / SECOND
        short = held < 0.9 * seconds - 0.1
        notices = (f"{held:.1f} s were at hand, not {seconds:g}",) if short else ()
        return Shot(stream, "clip", shown, notices, request.angles)

    # ------------------------------------------------ on the capture thread

    def run(self, stop: threading.Event) -> None:
        thread_yields(NICE)
        while not stop.is_set():
            self.step(TICK_S)
        self._end()

    def step(self, timeout_s: float) -> None:
        """One job, if one comes in time; then what is due anyway."""
        now = self._clock.now()
        if not self._tended_ns:
            self._exams.tend(now)  # yesterday's exam ends first, whatever was asked for already
            self._tended_ns = now
        elif now - self._tended_ns >= TEND_EVERY:
            self._exams.tend(now, self._exam_may_end)
            self._tended_ns = now
        with contextlib.suppress(queue.Empty):
            self._carry_out(self._jobs.get(timeout=timeout_s))
        self._collect()

    def _exam_may_end(self) -> bool:
        """For idleness: not while pictures are being taken for it, whatever the wall clock says."""
        if self._bursts or not self._jobs.empty() or self._a_clip_runs():
            return False
        self.finish_recordings()
        return True

    def _a_clip_runs(self) -> bool:
        """One whose scanner fell silent hears of no bound and would go on for ever: past its longest time it does not
        count, or tomorrow's patient would find this exam open."""
        longest, now = self._settings.clip_seconds * SECOND, self._clock.now()
        return any(now - clip.asked_ns <= longest for clip in self._clips.values())

    def _collect(self) -> None:
        """Clips that reached their bound, bursts that have their pictures or waited long enough."""
        for recording in self.recorder.finished():
            self._store_finished(recording.stream)
        now = self._clock.now()
        for burst in [one for one in self._bursts if one.pictures.is_full or now >= one.due_ns]:
            self._carry_out(_Job(lambda burst=burst: self._end_burst(burst), burst.answer))

    def _carry_out(self, job: _Job) -> None:
        try:
            if (answer := job.do()) is not None:
                job.answer.set_result(answer)
        except LimpidError as error:
            self._events.emit("capture.refused", reason=str(error))
            job.answer.set_exception(error)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one capture, the picture goes on
            # Only its type: its words may hold what was written into the object.
            self._events.emit("capture.fault", fault=type(error).__name__, at=_place(error))
            job.answer.set_exception(CaptureRefused(f"not stored: a fault of this software ({type(error).__name__})"))

    def _end(self) -> None:
        """What was recorded is stored; what was only asked for is told that it was not."""
        with self._pinned_lock:
            self._closed = True
        self.finish_recordings()
        while not self._jobs.empty():
            self._jobs.get_nowait().answer.set_exception(CaptureRefused("not stored: the appliance is stopping"))

    # ------------------------------------------------ clips and bursts of what comes

    def _begin_clip(self, stream: str, request: ClipStart, asked_ns: int) -> Answer:
        if self.recorder.is_recording(stream):
            raise ConfigError(f"a clip of stream {stream} is being recorded already")
        self._filing.check_room()  # now, not after a minute of recording
        opened = self._filing.open_exam(asked_ns)
        self._clips[stream] = _Clip(asked_ns, request.angles)
        self.recorder.start(stream, asked_ns)
        self._exams.touch()
        self._events.emit("clip.started", stream=stream)
        return {"stream": stream, "recording": True, "longest_s": self._settings.clip_seconds, **opened}

    def _end_clip(self, stream: str) -> Answer:
        if (stored := self.recorder.outcome(stream)) is not None:
            if isinstance(stored, LimpidError):
                raise stored
            return stored  # its bound was reached before, and it was stored then
        if not self.recorder.is_recording(stream):
            raise ConfigError(f"no clip of stream {stream} is being recorded")
        return self._store_recording(stream)

    def _begin_burst(self, stream: str, request: Burst, asked_ns: int, answer: Future[Answer]) -> None:
        if any(burst.stream == stream for burst in self._bursts):
            raise ConfigError(f"a burst of stream {stream} is being taken already")
        self._filing.open_exam(asked_ns)
        every_ns = int(request.every_ms * MS)
        due_ns = asked_ns + request.count * every_ns + BURST_PATIENCE
        pictures = self.recorder.burst(stream, request.count, every_ns, asked_ns)
        self._bursts.append(_Burst(stream, request.count, asked_ns, due_ns, pictures, answer, request.angles))
        self._exams.touch()

    def _end_burst(self, burst: _Burst) -> Answer:
        self._bursts.remove(burst)
        shown = tuple(self.recorder.end_burst(burst.stream))
        if not shown:
            raise CaptureRefused(f"not stored: no picture of stream {burst.stream} came")
        short = len(shown) < burst.count
        notices = (f"{len(shown)} pictures came, not {burst.count}",) if short else ()
        return self._filing.keep(Shot(burst.stream, "burst", shown, notices, burst.angles), burst.asked_ns)

    def _store_finished(self, stream: str) -> None:
        """A clip reached its bound: it is stored at once, and whoever stops it later is told so."""
        self._events.emit("clip.ended", stream=stream, why=self.recorder.why_ended(stream))
        try:
            outcome: Answer | LimpidError = self._store_recording(stream)
        except LimpidError as error:
            self._events.emit("capture.refused", reason=str(error))
            outcome = error
        self.recorder.remember(stream, outcome)

    def _store_recording(self, stream: str) -> Answer:
        recording, angles = self.recorder.stop(stream), self._clips.pop(stream).angles
        notices = (f"the clip ended by itself: {recording.ended}",) if recording.ended else ()
        if not recording.shown:
            raise CaptureRefused(f"not stored: no picture of stream {stream} came while the clip was recorded")
        return self._filing.keep(Shot(stream, "clip", tuple(recording.shown), notices, angles), recording.started_ns)

    def finish_recordings(self) -> None:
        """Before an exam ends: what was being recorded is its."""
        for stream in self.recorder.streams():
            self._store_finished(stream)
        for burst in list(self._bursts):
            self._carry_out(_Job(lambda burst=burst: self._end_burst(burst), burst.answer))


def recorder_of(settings: CaptureSettings) -> Recorder:
    return Recorder(settings.clip_megabytes << 20, int(settings.clip_seconds * SECOND))


def _place(error: BaseException) -> str:
    """File and line where it was raised: nothing of what it was about."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace is not None else ""
