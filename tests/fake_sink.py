"""A destination that does what it is told, and what it stands in. Keeps the port's contract: no thread, no sleep."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from edge.clock import ManualClock
from edge.forwarder import Courier, Destination, Surroundings
from edge.outbox import Outbox, Settings
from edge.routing import Rules
from edge.settling import Settling
from edge.sinks import Answer, Parcel, Receipt

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


class FakeSink:
    """`mood` is asked before every send: it returns a receipt, or raises. `holds` is what the archive really has."""

    def __init__(self, *, confirms: bool = True, lanes: int = 1) -> None:
        self.confirms = confirms
        self.lanes = lanes
        self.mood: Callable[[Parcel], Receipt] = lambda _parcel: Receipt()
        self.loses = False  # says "stored" and does not keep it
        self.mute = False  # takes questions and never answers
        self.arrived: list[str] = []  # SOP instance UIDs, each time one came
        self.holds: dict[str, bytes] = {}
        self.questions: list[str] = []
        self.rests = 0
        self._answers: deque[Answer] = deque()

    def send(self, parcel: Parcel) -> Receipt:
        receipt = self.mood(parcel)
        with parcel.open() as file:
            content = file.read()
        self.arrived.append(parcel.sop_uid)
        if not self.loses:
            self.holds[parcel.sop_uid] = content
        return receipt

    def ask(self, transaction: str, parcels: Sequence[Parcel]) -> None:
        self.questions.append(transaction)
        if not self.mute:
            self.answer(transaction, [parcel.sop_uid for parcel in parcels])

    def answer(self, transaction: str, sop_uids: Sequence[str]) -> None:
        verdicts: dict[str, bool | str] = {uid: uid in self.holds or "no such object" for uid in sop_uids}
        self._answers.append(Answer(transaction, verdicts))

    def answers(self) -> list[Answer]:
        answers = list(self._answers)
        self._answers.clear()
        return answers

    def check(self) -> str:
        return "here"

    def rest(self) -> None:
        self.rests += 1

    def close(self) -> None: ...


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def emit(self, event: str, **facts: Any) -> None:
        self.lines.append((event, facts))

    def names(self) -> list[str]:
        return [name for name, _ in self.lines]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [facts for name, facts in self.lines if name == event]


class Post:
    """An outbox, one destination, and time in the hand."""

    def __init__(self, folder: Path, sink: FakeSink | None = None, **rules: Any) -> None:
        self.clock, self.log, self.stop = ManualClock(), Log(), threading.Event()
        self.wall, self.is_metered = NOON, False
        self.sink = sink or FakeSink()
        settings = Settings(folder=str(folder), watermark_percent=100, least_free_mb=0, retention_hours=0)
        self.outbox = Outbox(folder, settings, wall=self._time_of_put, clock=self.clock)
        self.unannounced: set[str] = set()  # exams whose procedure step the archive was not told yet
        self.around = Surroundings(
            self.outbox, self.log, self.clock, lambda: self.wall, lambda: self.is_metered, self.stop,
            random.Random(1).random, lambda: self.unannounced,
        )  # fmt: skip
        self.restart(**rules)

    def _time_of_put(self) -> datetime:
        """No two captures are of one microsecond, as nobody presses a button that fast: their order is known."""
        self.wall += timedelta(microseconds=1)
        return self.wall

    def restart(self, **rules: Any) -> None:
        """What is remembered goes; what is on the disk stays."""
        self.courier = Courier(Destination("pacs", self.sink, Rules(**rules)), self.around)
        self.settling = Settling(self.courier, self.around)

    def send_all(self) -> int:
        steps = 0
        while self.courier.step():
            steps += 1
        return steps

    def count(self, state: Any) -> int:
        return self.outbox.count("pacs", state)


__all__ = ["NOON", "FakeSink", "Log", "Post"]
