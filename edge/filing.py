"""One capture on its way to the disk: into the open exam, as a pair of objects. Runs on the capture thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from edge.clock import MS, SECOND
from edge.config import Station as StationSettings
from edge.dicom import Gap, Made, Options, Station, Take, make_pair, times_of
from edge.errors import CaptureRefused
from edge.exam import Exam
from edge.exam_book import Image
from edge.exams import Exams
from edge.frame import Modality, Shown
from edge.outbox import Draft
from edge.recorder import parts_of
from edge.shared import Shared
from edge.way import standing_aside

MOST_GAPS_TOLD = 3  # in words; the answer's `gaps` has all of them
Answer = dict[str, Any]
Kind = Literal["still", "clip", "burst"]


class Store(Protocol):
    """Where captures go, and what happens to them afterwards."""

    def put(self, draft: Draft) -> str:
        """Durable when it returns. Raises CaptureRefused, and leaves nothing behind."""
        ...

    def check_room(self) -> None:
        """Raises CaptureRefused where nothing could be stored now."""
        ...

    def develop(self, capture: str, *, provisional: bool) -> None:
        """Later, elsewhere: compress it, and let it go unless its identity is provisional. Never waits."""
        ...


@dataclass(frozen=True, slots=True)
class Shot:
    """Pictures of one stream that somebody asked to keep."""

    stream: str
    kind: Kind
    shown: tuple[Shown, ...]
    notices: tuple[str, ...] = ()
    angles: tuple[float, float] | None = None  # of the C-arm


@dataclass(frozen=True, slots=True)
class Equipment:
    """What every object says of the appliance that made it."""

    station: Station
    runtime: str = ""  # name and version of what ran the engine
    engine_versions: Mapping[str, str] = field(default_factory=dict[str, str])  # sha256 of a model -> its version


class Filing:
    def __init__(
        self, shared: Shared, exams: Exams, store: Store, equipment: Equipment, wall: Callable[[], datetime]
    ) -> None:
        self._clock = shared.clock
        self._events = shared.events
        self._settings = shared.config.capture
        self._way = shared.way
        self._exams = exams
        self._shelf = store
        self._equipment = equipment
        self._wall = wall

    def check_room(self) -> None:
        """CaptureRefused where nothing could be stored now: said before anything is recorded."""
        self._shelf.check_room()

    def keep(self, shot: Shot, asked_ns: int) -> Answer:
        started = self._clock.now()
        opened = self.open_exam(asked_ns)
        exam = self._exams.current
        assert exam is not None
        shot = self._of_this_exam(shot)
        parts = _parts(shot)
        captures: list[str] = []
        try:
            for part in parts:
                captures.append(self._store(part, exam))  # noqa: PERF401 - what was stored counts if the next one is not
        except CaptureRefused as error:
            if captures:
                raise CaptureRefused(f"only {len(captures)} of {len(parts)} parts are stored; then: {error}") from error
            raise
        gaps = _gaps(shot)
        facts: Answer = {
            "captures": captures, "stream": shot.stream, "kind": shot.kind, "frames": len(shot.shown),
            "first_seq": shot.shown[0].frame.seq, "last_seq": shot.shown[-1].frame.seq,
            "missing_frames": sum(gap.missing for gap in gaps), "took_ms": round((self._clock.now() - started) / MS, 1),
        }  # fmt: skip
        self._events.emit("capture.stored", exam=exam.uid, **facts)
        told = [{"frame": gap.frame, "missing": gap.missing, "ms": gap.ms} for gap in gaps]
        age_ms = max(0.0, round((asked_ns - shot.shown[-1].frame.captured_ns) / MS, 1))
        return {
            **facts, "seconds": round(_seconds(shot.shown), 3), "age_ms": age_ms, "held": exam.provisional,
            "gaps": told, "notices": [*shot.notices, *_told(shot, parts)], **opened,
        }  # fmt: skip

    def open_exam(self, asked_ns: int) -> Answer:
        exam = self._exams.current
        if exam is not None:
            return {"exam": exam.uid, "opened_exam": False}
        return {"exam": self._exams.emergency(asked_ns).uid, "opened_exam": True}

    def _of_this_exam(self, shot: Shot) -> Shot:
        """The pictures of whoever was there before are not this patient's."""
        own = tuple(shown for shown in shot.shown if shown.frame.captured_ns > self._exams.since_ns)
        if not own:
            raise CaptureRefused("not stored: the picture is older than this exam")
        if len(own) == len(shot.shown):
            return shot
        cut = f"{len(shot.shown) - len(own)} frames from before this exam were left out"
        return replace(shot, shown=own, notices=(*shot.notices, cut))

    def _store(self, shot: Shot, exam: Exam) -> str:
        first = shot.shown[0].frame.captured_ns
        started = self._wall() - timedelta(microseconds=(self._clock.now() - first) / 1000)
        equipment = self._equipment
        take = Take(
            shot.shown, shot.kind, started, lossy=self._settings.lossy_source, angles=shot.angles,
            runtime=equipment.runtime, engine_versions=equipment.engine_versions,
        )  # fmt: skip
        options = Options(compression="none", burn_label=self._settings.burn_label)
        made = [
            standing_aside(one, self._way)
            for one in make_pair(take, exam, equipment.station, options, self._exams.number(shot.stream))
        ]
        held = exam.provisional or self._settings.compression != "none"
        draft = Draft(
            exam_uid=exam.uid, modality=made[0].modality, priority=exam.priority, kind=shot.kind,
            captured=started.isoformat(timespec="milliseconds"), held=held, objects=tuple(made),
        )  # fmt: skip
        capture = self._shelf.put(draft)
        self._exams.stored(shot.stream, [image_of(capture, one) for one in made])
        self._shelf.develop(capture, provisional=exam.provisional)
        return capture


def _parts(shot: Shot) -> list[Shot]:
    """A size or format that changed on the way makes another object; a burst is one still after the other."""
    if shot.kind == "burst":
        return [replace(shot, shown=(shown,)) for shown in shot.shown]
    return [replace(shot, shown=part) for part in parts_of(shot.shown)]


def image_of(capture: str, made: Made) -> Image:
    return Image(capture, made.series_uid, made.sop_class, made.sop_uid, made.modality)


def station_of(settings: StationSettings, *, tells_steps: bool = False) -> Station:
    return Station(
        name=settings.name,
        manufacturer=settings.manufacturer,
        model=settings.model,
        serial=settings.serial,
        institution=settings.institution,
        department=settings.department,
        uid_root=settings.uid_root,
        tells_steps=tells_steps,
    )


def _told(shot: Shot, parts: Sequence[Shot]) -> list[str]:
    told: list[str] = []
    if shot.angles and any(one.frame.modality is not Modality.FLUOROSCOPY for one in shot.shown):
        told.append("the angles are left out: this is no fluoroscopy")
    if shot.kind != "burst" and len(parts) > 1:
        told.append(f"the picture changed its format on the way: stored as {len(parts)} clips")
    return told + _gaps_told(_gaps(shot))


def _gaps_told(gaps: Sequence[Gap]) -> list[str]:
    """One by one while they are few; in one line for whoever reads it on a small screen where they are many."""
    if len(gaps) > MOST_GAPS_TOLD:
        missing, longest = sum(gap.missing for gap in gaps), max(gap.ms for gap in gaps)
        return [
            f"{_frames(missing)} missing in {len(gaps)} places, at most {longest:.0f} ms: the frame times keep them"
        ]
    told: list[str] = []
    for gap in gaps:
        lost = f"{_frames(gap.missing)} missing" if gap.missing else "nothing came"
        told.append(f"{lost} before frame {gap.frame}, for {gap.ms:.0f} ms: the frame times keep it")
    return told


def _frames(count: int) -> str:
    return "1 frame is" if count == 1 else f"{count} frames are"


def _gaps(shot: Shot) -> tuple[Gap, ...]:
    times = times_of(shot.shown) if shot.kind == "clip" else None
    return times.gaps if times is not None else ()


def _seconds(shown: Sequence[Shown]) -> float:
    return (shown[-1].frame.captured_ns - shown[0].frame.captured_ns) / SECOND
