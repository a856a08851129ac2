"""What happens to a capture once it is safe: it is compressed, its identity is corrected. A process of its own.

It runs at a low priority and takes one job after the other, so a correction never meets a compression of the same
capture. Each job replaces a held capture's objects all at once and may be done twice: whatever interrupts this process,
the capture stays what it was, held, and the live process hands the job in again when it starts.

    in    one JSON object a line: first `Setting`, then jobs
    out   one JSON object a line for each job, in their order: {"ok": true, ...} or {"ok": false, "error": ...}
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import BinaryIO, Literal, TextIO

import msgspec

from edge.child import give_way, say_little
from edge.config import Config
from edge.dicom import Made, Station, corrections
from edge.dicom.encoding import syntax_of
from edge.dicom.stored import recoded
from edge.errors import CaptureRefused, LimpidError, OutboxFault
from edge.exam import Exam
from edge.exam_book import Image
from edge.filing import station_of
from edge.outbox import Capture, Draft, Outbox, utc_now
from edge.places import places_of
from edge.way import RightOfWay, standing_aside

NOT_SENT = "the identity was corrected before it was sent; a corrected copy took its place"
NOT_ANSWERED = "the identity was corrected before an archive said that it has it; a corrected copy took its place"


class Setting(msgspec.Struct, frozen=True):
    """Told once, before the first job."""

    config: Config
    way: int = -1  # the open file in which live says that it works on a picture; none: -1


class Develop(msgspec.Struct, frozen=True, tag="develop", tag_field="do"):
    """Compress a held capture, and release it unless its identity is provisional."""

    capture: str
    provisional: bool
    plain: bool = True  # it may go as it is where it cannot be compressed: its identity is right for certain


class Correct(msgspec.Struct, frozen=True, tag="correct", tag_field="do"):
    """The exam's identity into its captures: into the held ones themselves, or into copies of what may be sent."""

    exam: Exam
    captures: tuple[str, ...]
    copies: bool


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the answer."""

    ok: bool
    error: str = ""
    images: tuple[Image, ...] = ()  # what the captures' objects are now
    left: dict[str, str] = {}  # captures that could not follow, and why
    again: tuple[str, ...] = ()  # those of them that may follow another time: the disk was full, somebody parked it


class Darkroom:
    def __init__(
        self,
        outbox: Outbox,
        compression: Literal["jpeg-ls", "rle", "none"],
        station: Station,
        wall: Callable[[], datetime],
        way: RightOfWay | None = None,
    ) -> None:
        self._way = way or RightOfWay()
        self._outbox = outbox
        self._compression: Literal["jpeg-ls", "rle", "none"] = compression
        self._station = station
        self._wall = wall

    def do(self, job: Develop | Correct) -> Outcome:
        try:
            return self._develop(job) if isinstance(job, Develop) else self._correct(job)
        except (LimpidError, OSError) as error:
            return Outcome(ok=False, error=str(error))
        except Exception as error:  # noqa: BLE001 - one job's; its words may quote what is in the object
            return Outcome(ok=False, error=f"a fault of this software ({type(error).__name__})")

    def _develop(self, job: Develop) -> Outcome:
        capture = self._find(job.capture)
        if capture is None or not capture.held:
            return Outcome(ok=True)  # done before, and told twice
        wanted = syntax_of(self._compression).uid
        if any(one.transfer_syntax != wanted for one in capture.objects):
            with contextlib.suppress(CaptureRefused):  # no room for a second copy: it goes as it is
                self._rewrite(capture, lambda file: recoded(file, self._compression), held=job.provisional)
        if not job.provisional and self._outbox.capture(job.capture).held:
            self._outbox.release(job.capture)
        return Outcome(ok=True)

    def _correct(self, job: Correct) -> Outcome:
        images: list[Image] = []
        left: dict[str, str] = {}
        again: list[str] = []
        for name in job.captures:
            capture = self._find(name)
            if capture is None:
                left[name] = "it is not in the outbox any more"
                continue
            try:
                images += self._copied(capture, job.exam) if job.copies else self._settled(capture, job.exam)
            except OutboxFault as error:
                left[name] = str(error)
            except (CaptureRefused, OSError) as error:  # one capture's trouble: the others need not wait for it
                left[name] = str(error)
                again.append(name)
        return Outcome(ok=True, images=tuple(images), left=left, again=tuple(again))

    def _settled(self, capture: Capture, exam: Exam) -> list[Image]:
        """The right identity in place, and let go."""
        if capture.held:
            self._rewrite(capture, lambda file: self._corrected(file, exam, was_sent=False), held=False)
        return images_of(self._outbox.capture(capture.id))

    def _copied(self, capture: Capture, exam: Exam) -> list[Image]:
        """A corrected copy beside it. What no archive answered for yet is set apart, so that no more of it is sent.

        A marker is written after the answer: what is on its way, or whose answer was lost, has none and may be in the
        archive all the same. Only what is held was certainly not sent, for the forwarder is never given it.
        """
        was_sent = bool(capture.marks) or not capture.held
        with ExitStack() as files:
            made = self._made(capture, lambda file: self._corrected(file, exam, was_sent=was_sent), files)
            name = self._copy_of(made) or self._outbox.put(_draft(capture, made, exam.uid, held=False))
        if not capture.marks:
            self._outbox.discard(capture.id, NOT_ANSWERED if was_sent else NOT_SENT)
        return images_of(self._outbox.capture(name))

    def _copy_of(self, made: list[Made]) -> str | None:
        """The copy that was made before this job was interrupted: its UIDs follow from the old ones."""
        stored = (capture for capture in self._outbox.captures() if capture.objects[0].sop_uid == made[0].sop_uid)
        return next((capture.id for capture in stored), None)

    def _corrected(self, file: BinaryIO, exam: Exam, *, was_sent: bool) -> Made:
        return corrections.corrected(file, exam, self._station, self._wall(), was_sent=was_sent)

    def _rewrite(self, capture: Capture, make: Callable[[BinaryIO], Made], *, held: bool) -> None:
        with ExitStack() as files:
            made = self._made(capture, make, files)
            self._outbox.replace(capture.id, _draft(capture, made, capture.exam_uid, held=held))

    def _made(self, capture: Capture, make: Callable[[BinaryIO], Made], files: ExitStack) -> list[Made]:
        made = (make(files.enter_context(self._outbox.read(capture, one))) for one in capture.objects)
        return [standing_aside(one, self._way) for one in made]

    def _find(self, name: str) -> Capture | None:
        with contextlib.suppress(OutboxFault):
            return self._outbox.capture(name)
        return None


def images_of(capture: Capture) -> list[Image]:
    return [Image(capture.id, one.series_uid, one.sop_class, one.sop_uid, one.modality) for one in capture.objects]


def _draft(capture: Capture, made: list[Made], exam_uid: str, *, held: bool) -> Draft:
    record = capture.record
    return Draft(
        exam_uid=exam_uid, modality=record.modality, priority=record.priority, kind=record.kind,
        captured=record.captured, held=held, objects=tuple(made),
    )  # fmt: skip


# ------------------------------------------------ the process


def serve(lines: TextIO, out: TextIO) -> None:
    """Until the line is closed."""
    setting = msgspec.json.decode(lines.readline(), type=Setting)
    config, places = setting.config, places_of(setting.config)
    outbox = Outbox(places.outbox, places.settings, utc_now, who="darkroom")
    station = station_of(config.station, tells_steps=bool(config.mpps.host))
    way = RightOfWay(setting.way)
    room = Darkroom(outbox, config.capture.compression, station, lambda: datetime.now().astimezone(), way)
    jobs = msgspec.json.Decoder(Develop | Correct)
    for line in lines:
        print(msgspec.json.encode(room.do(jobs.decode(line))).decode(), file=out, flush=True)


if __name__ == "__main__":
    sys.excepthook = say_little
    give_way()
    serve(sys.stdin, sys.stdout)
