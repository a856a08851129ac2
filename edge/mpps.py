"""Tells the archive that an exam is in progress, completed or discontinued (MPPS: N-CREATE, N-SET).

Runs in the forward process, before storage commitment is asked for: `step` sends what waits and never waits itself
longer than the peer's timeout. What is not known to have arrived is sent again, under the same UID.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom.sop_class import ModalityPerformedProcedureStep  # type: ignore[attr-defined] # pyright: ignore

from edge.config import Config
from edge.errors import ConfigError, SinkRejected, SinkUnavailable
from edge.exam import Exam, step_id
from edge.exam_book import Image
from edge.places import places_of
from edge.scu import associated
from edge.steps import Notice, StepQueue, Waiting

SUCCESS = 0x0000
DUPLICATE = 0x0111  # N-CREATE: it has this step already, from a time whose answer we never heard
FAILURE = 0x0110  # N-SET: with error id 0xA710 the step is over already
OVER = 0xA710
WARNINGS = (0x0001, 0x0107, 0x0116)
TRY_AGAIN = (0x0213,)  # resource limitation
RETRIES_S = (5.0, 15.0, 60.0, 300.0, 900.0)  # then always the last: for ever, but never in a hurry

Emit = Callable[..., None]


class StepSender:
    """Empties the queue in order. Owned by the forward thread that calls `step`."""

    def __init__(self, config: Config, queue: StepQueue, emit: Emit) -> None:
        self._config = config
        self._queue = queue
        self._emit = emit
        self._failures = 0
        self._due_s = 0.0

    def step(self, now_s: float) -> bool:
        """Send the first that waits; True when there may be more to do at once. `now_s` is monotonic."""
        if now_s < self._due_s:
            return False
        try:
            waiting = self._queue.first()
        except (ConfigError, OSError) as error:
            self._later(now_s, f"a notice cannot be read: {getattr(error, 'strerror', None) or error}")
            return False
        if waiting is None:
            return False
        try:
            warning = self.send(waiting.notice)
        except SinkUnavailable as error:
            self._later(now_s, str(error))
            return False
        except SinkRejected as error:
            self._queue.park(waiting)
            self._emit("mpps.parked", exam=waiting.notice.exam.uid, kind=waiting.notice.kind, reason=str(error))
            return True
        self._told(waiting, warning)
        return True

    def _later(self, now_s: float, reason: str) -> None:
        self._failures += 1
        self._due_s = now_s + RETRIES_S[min(self._failures, len(RETRIES_S)) - 1]
        self._emit("mpps.unavailable", reason=reason, again_in_s=round(self._due_s - now_s))

    def _told(self, waiting: Waiting, warning: str) -> None:
        self._failures, self._due_s = 0, 0.0
        self._queue.done(waiting)
        self._emit("mpps.told", exam=waiting.notice.exam.uid, kind=waiting.notice.kind, warning=warning)

    def send(self, notice: Notice) -> str:
        """Once. Gives what the peer warned of, or nothing."""
        peer, service = self._config.mpps, ModalityPerformedProcedureStep
        with associated(peer, peer.calling or self._config.station.ae_title, service) as assoc:
            try:
                if notice.kind == "begun":
                    status, _ = assoc.send_n_create(begun(notice.exam, self._config), service, notice.step_uid)
                else:
                    status, _ = assoc.send_n_set(ended(notice), service, notice.step_uid)
            except RuntimeError as error:  # the association went away between two calls
                raise SinkUnavailable("the connection broke") from error
        return judged(status, notice)


def judged(status: Dataset, notice: Notice) -> str:
    """The warning in an answer of success; raises what any other answer means."""
    if "Status" not in status:
        raise SinkUnavailable("no answer came")
    code = cast(int, status.Status)
    if code == SUCCESS:
        return ""
    if code == DUPLICATE and notice.kind == "begun":
        return "it was known already"
    if code == FAILURE and notice.kind == "ended" and status.get("ErrorID") == OVER:
        return "it was over already"
    if code in WARNINGS:
        return f"status 0x{code:04X}"
    if code in TRY_AGAIN:
        raise SinkUnavailable(f"status 0x{code:04X}")
    raise SinkRejected(f"refused with status 0x{code:04X}")


# ------------------------------------------------ the two messages (PS3.4, table F.7.2-1)


def begun(exam: Exam, config: Config) -> Dataset:
    """N-CREATE: in progress."""
    station, order, moment = config.station, exam.order, datetime.fromisoformat(exam.opened)
    message = Dataset()
    message.SpecificCharacterSet = "ISO_IR 192"
    message.ScheduledStepAttributesSequence = [_scheduled(exam)]
    message.PatientName, message.PatientID = exam.patient.name, exam.patient.id
    message.PatientBirthDate, message.PatientSex = exam.patient.birth_date, exam.patient.sex
    message.ReferencedPatientSequence = []
    message.PerformedProcedureStepID = step_id(exam)
    message.PerformedStationAETitle = config.mpps.calling or station.ae_title
    message.PerformedStationName, message.PerformedLocation = station.name, station.department[:16]
    message.PerformedProcedureStepStartDate = f"{moment:%Y%m%d}"
    message.PerformedProcedureStepStartTime = f"{moment:%H%M%S}"
    message.PerformedProcedureStepStatus = "IN PROGRESS"
    message.PerformedProcedureStepDescription = order.procedure or order.step
    message.PerformedProcedureTypeDescription = ""
    message.ProcedureCodeSequence = [_code(order.procedure_code)] if order.procedure_code else []
    message.PerformedProcedureStepEndDate = message.PerformedProcedureStepEndTime = ""
    message.Modality, message.StudyID = config.mpps.modality, order.procedure_id
    message.PerformedProtocolCodeSequence = message.PerformedSeriesSequence = []
    return message


def ended(notice: Notice) -> Dataset:
    """N-SET: completed or discontinued, with everything that was made."""
    moment = datetime.fromisoformat(notice.ended)
    message = Dataset()
    message.SpecificCharacterSet = "ISO_IR 192"
    message.PerformedProcedureStepStatus = "COMPLETED" if notice.completed else "DISCONTINUED"
    message.PerformedProcedureStepEndDate = f"{moment:%Y%m%d}"
    message.PerformedProcedureStepEndTime = f"{moment:%H%M%S}"
    by_series: dict[str, list[Image]] = defaultdict(list)
    for image in notice.images:
        by_series[image.series_uid].append(image)
    # The sequence may not be empty at the end, not even where nothing was made.
    series = dict(by_series) or {f"{notice.step_uid[:60]}.1": []}
    message.PerformedSeriesSequence = [_series(uid, images, notice.exam) for uid, images in series.items()]
    return message


def _scheduled(exam: Exam) -> Dataset:
    order, item = exam.order, Dataset()
    item.StudyInstanceUID = exam.study_uid
    item.ReferencedStudySequence = []
    item.AccessionNumber = order.accession
    item.RequestedProcedureID, item.RequestedProcedureDescription = order.procedure_id, order.procedure
    item.ScheduledProcedureStepID, item.ScheduledProcedureStepDescription = order.step_id, order.step
    item.ScheduledProtocolCodeSequence = []
    return item


def _series(uid: str, images: list[Image], exam: Exam) -> Dataset:
    item = Dataset()
    item.PerformingPhysicianName = ""
    item.ProtocolName = exam.order.procedure or exam.order.step or "POINT OF CARE"
    item.OperatorsName = exam.operator
    item.SeriesInstanceUID, item.SeriesDescription, item.RetrieveAETitle = uid, "", ""
    item.ReferencedImageSequence = [_reference(image) for image in images]
    item.ReferencedNonImageCompositeSOPInstanceSequence = []
    return item


def _reference(image: Image) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.sop_class, image.sop_uid
    return item


def _code(code: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def open_sender(config: Config, emit: Emit) -> StepSender | None:
    """For the forward process; None where nobody wants to be told."""
    if not config.mpps.host:
        return None
    return StepSender(config, StepQueue(places_of(config).steps), emit)
