"""After "sent": asking each destination whether it has our objects safe, until it says yes. Then they are confirmed.

One `Settling` a destination, on a thread of its own. A transaction UID is noted in the outbox before the question goes
out, so that an answer is known for what it is whenever it comes: at once, in an hour, after a restart. No answer in
time: ask again, with a new transaction. "I do not have it": the same object goes out once more.

What the archive is yet to hear of an exam (MPPS) goes first, but holds no question up for longer than an answer may
take.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from edge.backoff import wait_ns
from edge.clock import SECOND
from edge.dicom import uids
from edge.errors import LimpidError, OutboxFault
from edge.forwarder import Courier, Surroundings
from edge.outbox import Facts, Item
from edge.outbox.retention import kept_s
from edge.sinks import Answer

MOST_AT_ONCE = 100  # objects in one question
LOOK_EVERY_S = 0.5
Key = tuple[str, str]


class Settling:
    """Everything here belongs to the destination's settling thread."""

    def __init__(self, courier: Courier, around: Surroundings) -> None:
        self._courier, self._around = courier, around
        self._name, self._rules, self._sink = courier.name, courier.rules, courier.sink
        self._transactions: dict[Key, str] = {}  # of what was asked for; the outbox knows it as well
        self._ask_again_at: dict[str, int] = {}  # by transaction
        self._losses: dict[Key, int] = {}  # how often the destination had said "stored", and had not
        self._unannounced: dict[str, int] = {}  # exams, and since when they are known to wait for their notice
        self._started = around.clock.now()
        self._started_s = kept_s(around.outbox.folder / "served.json") or 0.0  # the outbox's count, as this run begins
        self._next_ask = 0
        self._failures = 0

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_EVERY_S):
            self._around.beat()
            try:
                self.settle()
            except OutboxFault as error:  # the disk does not take our notes; what they were about is found out again
                self._around.events.emit("outbox.trouble", destination=self._name, reason=str(error))

    def settle(self) -> None:
        """Take in what was answered, ask what is due, let go of what is idle."""
        if self._sink.confirms:
            self._take_in()
            now = self._around.clock.now()
            if now >= self._next_ask:
                self._next_ask = now + int(self._rules.ask_every_s * SECOND)
                self._ask()
        self._courier.rest_if_idle()

    def _ask(self) -> None:
        for batch in _batches(self._due()):
            transaction = uids.fresh()
            self._around.outbox.asked(batch, transaction)
            self._transactions.update((item.key, transaction) for item in batch)
            self._ask_again_at[transaction] = self._deadline(self._around.clock.now())
            try:
                self._courier.resting = False
                self._sink.ask(transaction, [self._courier.parcel(item) for item in batch])
            except (LimpidError, OSError) as trouble:
                self._put_off(transaction, batch, trouble)
                return
            self._failures = 0
            self._take_in()  # thousands may be due: what is answered meanwhile need not wait for the last question

    def _put_off(self, transaction: str, batch: list[Item], trouble: Exception) -> None:
        self._failures += 1
        first, longest = int(self._rules.first_retry_s * SECOND), int(self._rules.longest_retry_s * SECOND)
        wait = wait_ns(self._failures, self._around.chance(), first, longest)
        self._ask_again_at[transaction] = self._next_ask = self._around.clock.now() + wait
        self._around.events.emit(
            "commitment.later", destination=self._name, objects=len(batch), reason=str(trouble), tries=self._failures
        )

    def _due(self) -> list[Item]:
        """Sent and never asked for, or asked for too long ago."""
        outbox, now = self._around.outbox, self._around.clock.now()
        late = [item for item in outbox.items(self._name, "asked") if now >= self._asked_until(item)]
        return self._announced([*outbox.items(self._name, "sent"), *late], now)

    def _announced(self, items: list[Item], now: int) -> list[Item]:
        exams = self._around.unannounced() if items else frozenset[str]()
        known = self._unannounced
        self._unannounced = {
            exam: known[exam] if exam in known else self._waits_since(exam, items, now) for exam in exams
        }
        waits = {exam for exam, since in self._unannounced.items() if now < self._deadline(since)}
        return [item for item in items if item.capture.exam_uid not in waits]

    def _waits_since(self, exam: str, items: list[Item], now: int) -> int:
        """Since when an exam waits for its notice: from now, or from when an earlier run had sent its objects."""
        sent = (self._around.outbox.facts(item, "sent") for item in items if item.capture.exam_uid == exam)
        waited_s = max((self._started_s - facts.served_s for facts in sent if facts), default=0.0)
        return self._started - int(waited_s * SECOND) if waited_s > 0 else now

    def _asked_until(self, item: Item) -> int:
        return self._ask_again_at[self._transaction(item)]

    def _deadline_of_earlier(self, asked: Facts) -> int:
        """Of what an earlier run asked, by the outbox's count: a device that is never on for so long would never ask
        again. A marker ahead of the count is due: one of the two was lost, and to ask once more does no harm."""
        waited_s = self._started_s - asked.served_s
        return self._deadline(self._started - int(waited_s * SECOND)) if waited_s >= 0 else self._started

    def _deadline(self, start_ns: int) -> int:
        return start_ns + int(self._rules.commitment_minutes * 60 * SECOND)

    def _transaction(self, item: Item) -> str:
        known = self._transactions.get(item.key)
        if known is None:
            facts = self._around.outbox.facts(item, "asked") or Facts()
            known = self._transactions[item.key] = facts.transaction
            self._ask_again_at.setdefault(known, self._deadline_of_earlier(facts))
        return known

    def _take_in(self) -> None:
        answers = self._sink.answers()
        if not answers:
            return
        asked = {self._courier.sop_uid(item): item for item in self._around.outbox.items(self._name, "asked")}
        for answer in answers:
            self._take_in_one(answer, asked)

    def _take_in_one(self, answer: Answer, asked: dict[str, Item]) -> None:
        for sop_uid, verdict in answer.verdicts.items():
            item = asked.get(sop_uid)
            # An answer to a question that was since asked anew, or that nobody asked, decides nothing.
            if item is None or self._transaction(item) != answer.transaction:
                self._around.events.emit("commitment.stray", destination=self._name)
            elif verdict is True:
                self._around.outbox.confirmed(item, "storage commitment")
                self._losses.pop(item.key, None)
                self._forget(item, "object.confirmed")
            else:
                self._send_again(item, str(verdict))

    def _send_again(self, item: Item, reason: str) -> None:
        """It said "stored", and does not have it."""
        outbox = self._around.outbox
        try:
            outbox.retry(item)
        except OutboxFault as damage:
            outbox.parked(item, f"the destination lost it ({reason}), and it is damaged here: {damage}")
            self._forget(item, "object.damaged", reason=str(damage))
            return
        losses = self._losses[item.key] = self._losses.get(item.key, 0) + 1
        self._courier.hold(item.key, losses)
        self._forget(item, "object.lost", reason=reason, times=losses)

    def _forget(self, item: Item, event: str, **facts: object) -> None:
        self._transactions.pop(item.key, None)
        where = {"destination": self._name, "capture": item.capture.id, "object": item.object.name}
        self._around.events.emit(event, **where, **facts)


def _batches(items: list[Item]) -> Iterator[list[Item]]:
    for start in range(0, len(items), MOST_AT_ONCE):
        yield items[start : start + MOST_AT_ONCE]
