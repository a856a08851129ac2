"""Where exams are asked for: worklist, open, close, discard, correct.

Asked by control; what changes anything is done on the capture thread, in its turn. The worklist is asked by a child
process: the network is not the live process's business.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from edge import identity
from edge.capture import Shutter
from edge.darkroom import Outcome
from edge.daylist import DayList, matching
from edge.errors import ConfigError, LimpidError, SinkUnavailable
from edge.exam import Order, Patient
from edge.exam_book import Image
from edge.exams import Correction, Exams, Opening
from edge.filing import Answer
from edge.requests import ExamClose, ExamCorrect, ExamDiscard, ExamOpen, ExamRequest, ExamShow, ExamWorklist
from edge.scheduled import Item, Question, Reply
from edge.shared import Shared
from edge.storeroom import DISCARDED, Storeroom

DETAILS = ("operator", "body_part", "laterality", "implant", "priority")
ASK_WORKLIST = (sys.executable, "-m", "edge.worklist")
AGAIN_S = 60.0  # a correction that could not be carried out is tried again


class Reception:
    def __init__(
        self,
        shared: Shared,
        exams: Exams,
        shutter: Shutter,
        storeroom: Storeroom,
        day_list: DayList,
        ask_worklist: Sequence[str] = ASK_WORKLIST,
    ) -> None:
        self._config = shared.config
        self._clock = shared.clock
        self._events = shared.events
        self._exams = exams
        self._shutter = shutter
        self._storeroom = storeroom
        self._ask_worklist = ask_worklist
        self._list = day_list
        self._items: dict[str, Item] = {}  # of the last worklist; replaced whole
        self._asking = threading.Lock()  # one question to the worklist at a time

    def ask(self, request: ExamRequest) -> Answer | Future[Answer]:
        """On the control thread. Raises LimpidError; never waits."""
        answer: Future[Answer] = Future()
        if isinstance(request, ExamShow):
            return self._exams.show(identity=request.identity)
        if isinstance(request, ExamWorklist):
            return self._worklist(request, answer)
        if isinstance(request, ExamOpen):
            opening = self._opening(request)
            return self._shutter.do(partial(self._open, opening, self._clock.now()), answer)
        if isinstance(request, ExamClose):
            return self._shutter.do(partial(self._close, self._clock.now()), answer)
        if isinstance(request, ExamDiscard):
            return self._shutter.do(partial(self._discard, request, self._clock.now()), answer)
        return self._shutter.do(partial(self._correct, request, answer), answer)

    def take_up(self) -> None:
        """The first thing on the capture thread: what a power cut interrupted."""
        self._shutter.do(self._taken_up, Future())

    # ------------------------------------------------ on the capture thread

    def _taken_up(self) -> Answer:
        self._storeroom.take_up(self._exams)
        for correction in self._exams.unfinished():
            self._begin(correction, Future())
        return {}

    def _open(self, opening: Opening, now_ns: int) -> Answer:
        exam = self._exams.open(opening, now_ns)
        return {"exam": exam.uid, "origin": exam.origin, "preset": exam.preset, "provisional": exam.provisional}

    def _close(self, now_ns: int) -> Answer:
        self._shutter.finish_recordings()
        exam = self._exams.close(now_ns)
        return {"exam": exam.uid, "provisional": exam.provisional, **self._captures_of(exam.uid)}

    def _discard(self, request: ExamDiscard, now_ns: int) -> Answer:
        if request.captures_too:
            self._shutter.finish_recordings()
        entry = self._exams.discard(now_ns, captures_too=request.captures_too)
        kept = self._storeroom.discard(entry.captures, DISCARDED)
        return {"exam": entry.exam.uid, "discarded": len(entry.captures) - len(kept), "kept": kept}

    def _correct(self, request: ExamCorrect, answer: Future[Answer]) -> None:
        patient, order, from_worklist = self._identity(request)
        if patient is None:
            raise ConfigError("nothing to correct with: name an item of the worklist, or type the patient")
        correction = self._exams.correct(request.exam, patient, order, from_worklist=from_worklist)
        self._begin(correction, answer)

    def _begin(self, correction: Correction, answer: Future[Answer]) -> None:
        correction = self._storeroom.with_unlisted(correction)
        if correction.captures:
            self._carry_out(correction, answer)
        else:
            self._corrected(correction, Outcome(ok=True), answer)

    def _carry_out(
        self, correction: Correction, answer: Future[Answer], done: tuple[Image, ...] = (), after_s: float = 0.0
    ) -> None:
        """Answered when every stored object was tried; the darkroom's word comes back onto this thread."""

        def come_back(told: Future[Outcome]) -> None:
            outcome = told.result()
            outcome = msgspec.structs.replace(outcome, images=(*done, *outcome.images))
            try:
                self._shutter.do(partial(self._corrected, correction, outcome, answer), answer)
            except LimpidError as error:  # too much is waiting; or we are stopping, and the next start does it again
                answer.set_exception(error)
                self._try_again(correction, outcome)

        self._storeroom.correct(correction, after_s).add_done_callback(come_back)

    def _try_again(self, correction: Correction, outcome: Outcome) -> None:
        """With what has not followed yet, after a pause. Nobody waits for the answer."""
        captures = outcome.again if outcome.ok else correction.captures
        self._carry_out(replace(correction, captures=captures), Future(), outcome.images, AGAIN_S)

    def _corrected(self, correction: Correction, outcome: Outcome, answer: Future[Answer]) -> None:
        if not outcome.ok:
            self._try_again(correction, outcome)
            raise SinkUnavailable(f"the identity is corrected, the stored captures are not yet: {outcome.error}")
        if outcome.again:
            self._try_again(correction, outcome)  # until then the book says that it is being corrected
        else:
            self._exams.corrected(correction.exam.uid, outcome.images)
        answer.set_result(
            {
                "exam": correction.exam.uid,
                "copies": correction.copies,
                "captures": list(dict.fromkeys(image.capture for image in outcome.images)),
                "left": outcome.left,
            }
        )

    def _captures_of(self, uid: str) -> Answer:
        entry = self._exams.entry(uid)
        return {"captures": list(entry.captures) if entry is not None else []}

    # ------------------------------------------------ who it is

    def _opening(self, request: ExamOpen) -> Opening:
        patient, order, from_worklist = self._identity(request)
        details = {key: getattr(request, key) for key in DETAILS}
        return Opening(patient, order, from_worklist, details)

    def _identity(self, request: ExamOpen | ExamCorrect) -> tuple[Patient | None, Order | None, bool]:
        typed = request.patient is not None or request.order is not None
        if sum((bool(request.item), bool(request.barcode), typed)) > 1:
            raise ConfigError("name an item of the worklist, or a barcode, or type the patient: one of them")
        if request.item:
            item = self._items.get(request.item)
            if item is None:
                raise ConfigError("no such item in the last worklist: ask for the worklist again")
            return item.patient, item.order, True
        if request.barcode:
            return *identity.from_barcode(request.barcode, self._config.capture.barcode), False
        if request.order is not None and request.patient is None:
            raise ConfigError("an order without a patient: whose is it?")
        return request.patient, request.order, False

    # ------------------------------------------------ the worklist

    def _worklist(self, request: ExamWorklist, answer: Future[Answer]) -> Future[Answer]:
        if not self._config.worklist.host:
            raise ConfigError("no worklist is configured: see [worklist]")
        if not self._asking.acquire(blocking=False):
            raise SinkUnavailable("the worklist is being asked already")
        today = datetime.now().astimezone().date().isoformat()
        question = Question(self._config, today, request.accession, request.patient_id)
        threading.Thread(target=self._ask, args=(question, answer), name="worklist", daemon=True).start()
        return answer

    def _ask(self, question: Question, answer: Future[Answer]) -> None:
        """On a thread of its own, which only waits for the child."""
        try:
            told: Answer | LimpidError = self._told(question)
        except LimpidError as error:
            told = error
        finally:
            self._asking.release()  # before the answer: whoever has it may ask again
        if isinstance(told, LimpidError):
            answer.set_exception(told)
        else:
            answer.set_result(told)

    def _told(self, question: Question) -> Answer:
        now = datetime.now().astimezone()
        try:
            items = self._reply(question)
        except SinkUnavailable as error:
            self._events.emit("worklist.unavailable", reason=str(error))
            if (last := self._list.last(now)) is None:
                raise
            items = matching(last.items, question.accession, question.patient_id)
            stale = {"asked": last.asked, "age_minutes": round(last.age_s / 60, 1), "why": str(error)}
        else:
            stale = None
            if not (question.accession or question.patient_id):
                self._list.keep(items, now)
        self._items = {item.key: item for item in items}
        told: list[dict[str, Any]] = msgspec.to_builtins(items)
        return {"items": told, "stale": stale}

    def _reply(self, question: Question) -> tuple[Item, ...]:
        reply = self._asked(question)
        if reply.error:
            raise SinkUnavailable(reply.error)
        return reply.items

    def _asked(self, question: Question) -> Reply:
        patience_s = 3 * self._config.worklist.timeout_s + 10
        try:
            done = subprocess.run(
                self._ask_worklist, input=msgspec.json.encode(question), stdout=subprocess.PIPE, timeout=patience_s,
                check=True,
            )  # fmt: skip
            return msgspec.json.decode(done.stdout, type=Reply)
        except subprocess.TimeoutExpired:
            raise SinkUnavailable(f"the worklist did not answer within {patience_s:g} s") from None
        except (subprocess.CalledProcessError, OSError, msgspec.MsgspecError) as error:
            raise SinkUnavailable(f"the worklist cannot be asked ({type(error).__name__})") from None
