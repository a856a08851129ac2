"""How far the repository was told: nothing is passed over, and what is less than sure is sent again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.audit import Audit, Entry, dicom
from edge.clock import SECOND, ManualClock
from edge.config import AuditTrail
from edge.errors import SinkUnavailable
from edge.reporter import TOLD, Reporter, Sealing, World, read_told
from edge.signing import Signer
from edge.syslog import Line, Untrusted
from tests.repository import taken_apart

START = datetime(2026, 11, 20, 19, 15, 30, tzinfo=timezone.utc)
SETTINGS = AuditTrail(host="repository", settle_s=5.0, alarm_hours=4.0, first_retry_s=1.0, longest_retry_s=60.0)


class Wire:
    """A fake line; what it does is set from outside. `read` is what the other side has really read."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self.sent: list[bytes] = []

    def send(self, message: bytes) -> None:
        if self._net.breaks_in is not None:
            self._net.breaks_in -= 1
            if self._net.breaks_in < 0:
                self._net.breaks_in = None
                raise SinkUnavailable("broken")
        self.sent.append(message)
        if not self._net.swallows:
            self._net.read.append(message)

    def is_taken(self) -> bool:
        if self._net.hangs_up:
            self._net.hangs_up = False
            raise SinkUnavailable("it hung up")
        return self._net.takes

    def close(self, patience_s: float = 0.0) -> bool:
        return patience_s > 0 and self._net.says_goodbye


class Net:
    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.refuses: Exception | None = None
        self.breaks_in: int | None = None  # so many messages later
        self.swallows = False  # the network takes it, and nobody ever reads it
        self.takes, self.hangs_up, self.says_goodbye = True, False, True

    def open_line(self, *_: Any) -> Line:
        if self.refuses is not None:
            raise self.refuses
        return Wire(self)


class Rig:
    def __init__(self, home: Path) -> None:
        self.home, self.net, self.clock = home, Net(), ManualClock()
        self.wall, self.events, self.notes = START, list[tuple[str, dict[str, Any]]](), list[tuple[str, str]]()
        self.logs = {name: self._log(name) for name in ("outbox", "system")}
        self.reporter = self.fresh()

    def _log(self, name: str) -> Audit:
        (self.home / name).mkdir()
        return Audit(self.home / name / "audit.jsonl", lambda: self.wall, "test", largest=4000)

    def emit(self, event: str, **facts: Any) -> None:
        self.events.append((event, facts))

    def fresh(self) -> Reporter:
        world = World(
            self, self.clock, lambda: self.wall, lambda did, to: self.notes.append((did, to)), lambda: 1.0,
            self.net.open_line,
        )  # fmt: skip
        return Reporter(SETTINGS, self.logs, self.home / "state", dicom.About("LIMPID", "cart-7"), None, world)

    def happens(self, count: int, log: str = "outbox") -> None:
        for n in range(count):
            self.logs[log].append("sent", f"capture-{n}", {"destination": "pacs"})

    def runs(self, seconds: float, every_s: float = 1.0) -> None:
        for _ in range(round(seconds / every_s)):
            for _ in range(50):
                if not self.reporter.step():
                    break
            self.clock.advance(int(every_s * SECOND))
            self.wall += timedelta(seconds=every_s)

    def told(self, log: str = "outbox") -> list[int]:
        return [one[1] for one in map(taken_apart, self.net.read) if one[0] == log]

    def named(self, event: str) -> list[dict[str, Any]]:
        return [facts for name, facts in self.events if name == event]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.reporter.drop()


def test_every_line_is_told_once_and_in_order(rig: Rig):
    rig.happens(60)
    rig.happens(3, "system")
    rig.runs(20)
    rig.happens(5)
    rig.runs(20)
    assert rig.told() == list(range(1, 66))
    assert {name: mark.n for name, mark in rig.reporter.told.items()} == {"outbox": 65, "system": 3}


def test_lines_that_are_nobodys_business_are_passed_over(rig: Rig):
    rig.logs["outbox"].append("confirmed", "capture-1")
    rig.happens(1)
    rig.runs(10)
    assert rig.told() == [2]
    assert rig.reporter.told["outbox"].n == 2


def test_what_is_not_yet_sure_is_not_written_down(rig: Rig):
    rig.happens(3)
    rig.runs(3)
    assert rig.told() == [1, 2, 3]
    assert rig.reporter.told == {}
    rig.net.takes = False
    rig.happens(2)
    rig.runs(60)
    assert rig.reporter.told["outbox"].n == 3, "the others' bytes were not acknowledged by the other machine"
    rig.net.takes = True
    rig.runs(2)
    assert rig.reporter.told["outbox"].n == 5


def test_a_line_that_breaks_after_it_was_sent_sends_it_again_the_very_same(rig: Rig):
    rig.happens(5)
    rig.net.swallows = True
    rig.runs(2)
    rig.net.swallows, rig.net.hangs_up = False, True
    rig.runs(30)
    assert rig.told() == [1, 2, 3, 4, 5]
    rig.happens(2)
    rig.runs(1)
    rig.net.hangs_up = True
    rig.runs(30)
    assert rig.told() == [1, 2, 3, 4, 5, 6, 7, 6, 7]
    again = rig.net.read[-4:]
    assert again[:2] == again[2:], "a duplicate is recognised by being the same"


def test_days_away_cost_nothing_and_are_told(rig: Rig):
    rig.net.refuses = SinkUnavailable("repository:6514: Connection refused")
    for _ in range(3 * 24):
        rig.happens(3)
        rig.runs(3600, every_s=300)
    assert rig.told() == []
    assert len(rig.named("audit.behind")) == 3, "after four hours, and every day"
    assert rig.named("audit.behind")[0]["hours"] >= 4
    assert rig.named("audit.behind")[-1]["lines"] > 150
    assert max(facts["again_in_s"] for facts in rig.named("audit.repository-away")) <= 60
    rig.net.refuses = None
    rig.runs(120)
    assert rig.told() == list(range(1, 217))
    assert len(rig.named("audit.caught-up")) == 1


def test_a_restart_goes_on_where_it_was(rig: Rig):
    rig.happens(10)
    rig.runs(10)
    rig.happens(4)
    rig.runs(1)
    rig.reporter.drop()
    rig.reporter = rig.fresh()  # as after kill -9: four were sent and are not sure
    rig.happens(1)
    rig.runs(10)
    assert rig.told() == [*range(1, 11), 11, 12, 13, 14, 11, 12, 13, 14, 15]


def test_a_goodbye_makes_it_sure_at_once(rig: Rig):
    rig.happens(4)
    rig.runs(1)
    rig.reporter.finish()
    assert read_told(rig.home / "state" / TOLD)["outbox"].n == 4


def test_without_a_goodbye_it_is_sent_again(rig: Rig):
    rig.net.says_goodbye = False
    rig.happens(4)
    rig.runs(1)
    rig.reporter.finish()
    assert read_told(rig.home / "state" / TOLD) == {}


def test_an_untrusted_repository_gets_nothing_and_is_told_of_once(rig: Rig):
    rig.net.refuses = Untrusted("repository:6514 is not trusted: self-signed certificate")
    rig.happens(3)
    rig.runs(300)
    assert rig.net.read == []
    assert rig.notes == [("repository-untrusted", "repository")]
    assert "self-signed" in rig.named("audit.repository-untrusted")[0]["reason"]
    rig.net.refuses = None
    rig.runs(70)
    assert rig.told() == [1, 2, 3]


def test_a_log_that_was_cut_is_told_of_and_told_anew(rig: Rig):
    rig.happens(8)
    rig.runs(10)
    path = rig.logs["outbox"].path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:5]))
    rig.reporter.drop()
    rig.reporter = rig.fresh()
    rig.runs(10)
    assert rig.notes == [("audit-altered", "outbox")]
    assert rig.told() == [*range(1, 9), *range(1, 6)]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_line_does_each_message_arrives_and_no_gap_is_left(rig: Rig, seed: int):
    chance = random.Random(seed)
    total = 0
    for _ in range(60):
        count = chance.randrange(6)
        rig.happens(count)
        total += count
        rig.net.refuses = SinkUnavailable("away") if chance.random() < 0.3 else None
        rig.net.breaks_in = chance.randrange(4) if chance.random() < 0.3 else None
        rig.net.hangs_up = chance.random() < 0.2
        # What is swallowed is only ever lost with a line that then hangs up.
        rig.net.swallows = chance.random() < 0.2
        rig.runs(3)
        if rig.net.swallows:
            rig.net.swallows, rig.net.hangs_up = False, True
            rig.runs(1)
        if chance.random() < 0.1:
            rig.reporter.drop()
            rig.reporter = rig.fresh()
    rig.net.refuses, rig.net.breaks_in, rig.net.swallows, rig.net.hangs_up = None, None, False, False
    rig.runs(180)
    assert set(rig.told()) == set(range(1, total + 1))
    assert rig.reporter.told["outbox"].n == total
    newest = 0
    for number in rig.told():
        assert number <= newest + 1, "never ahead of one that is missing"
        newest = max(newest, number)


def test_logs_are_sealed_every_so_often_and_at_the_end(rig: Rig):
    signer = Signer(Ed25519PrivateKey.generate())
    world = World(rig, rig.clock, lambda: rig.wall, lambda _did, _to: None)
    sealing = Sealing(rig.logs, signer, 60 * SECOND, world)
    rig.happens(2)
    sealing.look()
    rig.happens(2)
    sealing.look()
    assert rig.logs["outbox"].verify(signer.key.public_key()).sealed == 3
    rig.clock.advance(61 * SECOND)
    sealing.look()
    assert rig.logs["outbox"].verify(signer.key.public_key()).sealed == 6
    sealing.look(now=True)
    assert [entry.did for entry in rig.logs["outbox"].entries()].count("sealed") == 2
    assert list[Entry](rig.logs["system"].entries()) == [], "an empty log is not sealed"
