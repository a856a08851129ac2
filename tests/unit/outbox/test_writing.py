"""The objects of a capture are written at the same time, and what fails takes nothing else with it."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from edge.errors import CaptureRefused
from edge.outbox import Item
from edge.outbox.writing import AHEAD, BUFFER
from tests.outbox_rig import Rig, Thing, content, draft


@dataclass(frozen=True)
class Meeting(Thing):
    """Goes on only when the other one has come as far."""

    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))

    def write(self, to: BinaryIO) -> None:
        to.write(self.content[:10])
        self.meeting.wait(20)
        to.write(self.content[10:])


@dataclass(frozen=True)
class InPieces(Thing):
    """As frames come: pieces of memory that nobody may change, small and large."""

    pieces: tuple[int, ...] = ()

    def write(self, to: BinaryIO) -> None:
        at = 0
        for size in self.pieces:
            to.write(memoryview(self.content)[at : at + size])
            at += size
            assert to.tell() == at
        assert at == len(self.content)


def test_both_objects_of_a_pair_are_written_at_the_same_time(tmp_path: Path):
    rig, meeting = Rig(tmp_path), threading.Barrier(2)
    things = [Meeting(content(role, 3000), role, meeting=meeting) for role in ("original", "enhanced")]
    capture = rig.box.capture(rig.box.put(draft(*things)))
    for thing, stored in zip(things, capture.objects, strict=True):
        with rig.box.open(Item(capture, stored, "pacs")) as file:
            assert file.read() == thing.content


@pytest.mark.parametrize("sizes", [(BUFFER + 1,) * 3, (7, BUFFER, 1, 3 * BUFFER, 5), (AHEAD + 3, AHEAD, 1), (1,) * 50])
def test_pieces_of_any_size_arrive_in_their_order(tmp_path: Path, sizes: tuple[int, ...]):
    rig = Rig(tmp_path)
    thing = InPieces(content(sizes, sum(sizes)), pieces=sizes)
    capture = rig.box.capture(rig.box.put(draft(thing)))
    (stored,) = capture.objects
    assert stored.size == sum(sizes)
    with rig.box.open(Item(capture, stored, "pacs")) as file:
        assert file.read() == thing.content


def test_where_one_of_two_fails_the_other_is_waited_for_and_taken_back(tmp_path: Path):
    rig, meeting = Rig(tmp_path), threading.Barrier(2)

    class Failing(Meeting):
        def write(self, to: BinaryIO) -> None:
            self.meeting.wait(20)
            raise OSError(28, os.strerror(28))

    before = threading.active_count()
    with pytest.raises(CaptureRefused, match="the disk is full"):
        rig.box.put(draft(Failing(b"x", meeting=meeting), Meeting(content(0, 300_000), "enhanced", meeting=meeting)))
    assert rig.everything_on_disk() == set()
    assert threading.active_count() == before


def test_what_is_written_is_flushed_before_the_capture_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rig, flushed = Rig(tmp_path), list[str]()
    real_sync, real_rename = os.fsync, Path.rename

    def sync(fd: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        real_sync(fd)

    def rename(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp") and self.is_dir():
            assert {"1-original.dcm", "2-enhanced.dcm", "capture.json", self.name} <= set(flushed)
            flushed.append("renamed")
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    rig.box.put(draft(Thing(content(1, 9_000_000)), Thing(content(2, 9_000_000), "enhanced")))
    assert flushed.index("captures") > flushed.index("renamed"), "the folder's own entry is flushed after the rename"
