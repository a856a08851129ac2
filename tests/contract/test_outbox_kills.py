"""kill -9 of real processes at random moments: what was acknowledged is there, byte for byte, and nothing half-done."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.outbox import Outbox
from tests.outbox_child import SETTINGS

ROOT = Path(__file__).parents[2]
PATIENCE_S = 40
RANK = ("waiting", "sent", "asked", "parked", "confirmed")


class Killer:
    """Starts one worker at a time, and ends it with no warning."""

    def __init__(self, what: str, folder: Path) -> None:
        self._what, self._folder = what, folder
        line = [sys.executable, "-m", "tests.outbox_child"]
        self._process = subprocess.Popen(
            line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )

    def start(self, seed: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self._what} {self._folder} {seed}\n")
        word, pid = self._line().split()
        assert word == "worker"
        self._worker = int(pid)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the child has ended"
        return line

    def kill(self) -> list[list[str]]:
        """What the worker said until then."""
        os.kill(self._worker, signal.SIGKILL)
        said: list[list[str]] = []
        while (words := self._line().split()) != ["ended", str(self._worker)]:
            said.append(words)
        return said

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # a worker that was not killed yet as well
        self._process.communicate()


@contextlib.contextmanager
def killer(what: str, folder: Path) -> Iterator[Killer]:
    one = Killer(what, folder)
    try:
        yield one
    finally:
        one.close()


@dataclass
class Expected:
    """What was acknowledged so far."""

    contents: dict[str, list[str]] = field(default_factory=dict)  # sums, by capture
    states: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # those that may be, by object
    removed: set[str] = field(default_factory=set)
    may_be_removed: bool = False

    def hear_put(self, said: list[list[str]]) -> None:
        for word, *facts in said:
            assert word == "stored", (word, facts)
            self.contents[facts[0]] = facts[1:]

    def hear_sent(self, said: list[list[str]]) -> None:
        for word, step, capture, name in said:
            key = (capture, name)
            if step == "removal":
                self.may_be_removed = word == "doing"
                self.removed |= {capture} if word == "did" else set()
                continue
            before = self.states.get(key, {"waiting"})
            after = {"waiting"} if step == "retry" else {max(*before, step, key=RANK.index)}
            partly = set(RANK[:4]) if step == "retry" else before
            self.states[key] = after if word == "did" else after | partly

    def check(self, box: Outbox) -> None:
        found = {capture.id: capture for capture in box.captures()}
        assert not box.broken()
        for name in self.contents.keys() - found.keys() - self.removed:
            assert self.may_be_removed, f"{name} was acknowledged, and is lost"
            self.removed.add(name)
        for name in self.removed:
            assert name not in found
            assert all("confirmed" in self.states[name, one] for one in ("1-original.dcm", "2-enhanced.dcm"))
        for name, capture in found.items():
            sums = []
            for stored in capture.objects:
                with box.read(capture, stored) as file:
                    sums.append(hashlib.sha256(file.read()).hexdigest())
                state = capture.state(stored, "pacs")
                assert state in self.states.get((name, stored.name), {"waiting"})
                self.states[name, stored.name] = {state}
            # One that was stored when the word could not be said any more is whole as well: `read` has seen to that.
            assert self.contents.setdefault(name, sums) == sums


def kill_again_and_again(folder: Path, kills: int) -> Expected:
    chance, expected, moment = random.Random(kills), Expected(), threading.Event()
    with killer("put", folder) as putting, killer("send", folder) as sending:
        for n in range(kills // 2):
            putting.start(n)
            sending.start(n)
            moment.wait(chance.uniform(0.0, 0.25))  # any moment will do: this is what is being tried
            # The word of the sender counts for what the one who puts has stored: hear that one first.
            expected.hear_put(putting.kill())
            expected.hear_sent(sending.kill())
            expected.check(Outbox(folder, SETTINGS))
    return expected


def settle(folder: Path, expected: Expected) -> None:
    """The owners come back, and nothing half-done is left of all the kills."""
    box = Outbox(folder, SETTINGS)
    box.own_putting()
    box.own_sending()
    names = {path.name for path in (folder / "captures").iterdir()}
    assert names == {capture.id for capture in box.captures()}
    assert box.audit.verify().faults == ()
    assert len(expected.contents) > len(expected.removed)
    box.close()


def test_killed_at_random_moments_nothing_is_lost_or_half_there(tmp_path: Path):
    settle(tmp_path, kill_again_and_again(tmp_path, 20))


@pytest.mark.soak
def test_killed_two_hundred_times_nothing_is_lost_or_half_there(tmp_path: Path):
    expected = kill_again_and_again(tmp_path, 200)
    settle(tmp_path, expected)
    assert expected.removed, "the sender never got as far as a removal"
