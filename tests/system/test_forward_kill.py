"""kill -9 at any moment, and many that wait: everything that was stored arrives exactly once, byte for byte."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge.outbox import Outbox
from tests.archives import (
    Orthanc,
    Phantom,
    data_set_of,
    free_port,
    is_listening,
    orthanc,
    phantom,
    put,
    storescp,
    until,
)
from tests.system.forwarding import Forward, states
from tests.system.process import ROOT


def destination(archive: Orthanc, report_port: int) -> str:
    return f"""
[destination.pacs]
ask_every_s = 0.3
commitment_minutes = 0.05
first_retry_s = 0.1
longest_retry_s = 1.0
[destination.pacs.dimse]
host = "127.0.0.1"
port = {archive.dicom}
called = "ORTHANC"
associations = 4
listen = "127.0.0.1:{report_port}"
"""


def assert_exactly_once(archive: Orthanc, things: list[Phantom]) -> None:
    there = archive.instances()
    assert sorted(there) == sorted(thing.sop_uid for thing in things)
    for thing in things:
        assert data_set_of(archive.file_of(there[thing.sop_uid])) == data_set_of(thing.content), thing.sop_uid


def kill_again_and_again(tmp_path: Path, kills: int, captures_a_life: int) -> None:
    chance, report_port, things = random.Random(7), free_port(), list[Phantom]()
    with orthanc(tmp_path / "orthanc", report_port=report_port) as archive:
        forward = Forward(tmp_path / "f", destination(archive, report_port))
        outbox = forward.outbox()
        for _ in range(kills):
            # Sometimes before it has begun, sometimes in the middle, sometimes while it asks.
            moment, ready = chance.uniform(0, 0.6), len(forward.events("forward.ready"))
            forward.start()
            things += store(outbox, chance, captures_a_life)
            if chance.random() < 0.9:
                until(lambda: len(forward.events("forward.ready")) > ready, f"it runs: {forward.tail()}")  # noqa: B023
            pause(moment)
            forward.kill()
            until(lambda: not is_listening(report_port), "the port is free")
        forward.start()
        try:
            forward.wait_for("confirmed", len(things), outbox)
        finally:
            assert forward.stop() == 0
        assert set(states(outbox)) == {"confirmed"}
        assert_exactly_once(archive, things)
    assert "Traceback" not in forward.log.read_text()


def pause(seconds: float) -> None:
    """Not to wait for anything: to strike at a moment that nobody chose."""
    threading.Event().wait(seconds)


def store(outbox: Outbox, chance: random.Random, captures: int) -> list[Phantom]:
    stored: list[Phantom] = []
    for _ in range(captures):
        seed = chance.randrange(1 << 30)
        pair = [phantom(seed + n, frames=chance.choice([1, 1, 12]), size=192, compressed=n == 1) for n in range(2)]
        put(outbox, *pair, priority=chance.choice(["routine", "stat"]))
        stored += pair
    return stored


@pytest.mark.timeout(180)
def test_killed_fifteen_times_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=15, captures_a_life=2)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_two_hundred_times_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=200, captures_a_life=3)


def come_back(tmp_path: Path, waiting: int, patience_s: float) -> None:
    """The archive was away while captures piled up."""
    report_port, things = free_port(), [phantom(number, size=24) for number in range(waiting)]
    forward = Forward(tmp_path / "f", "")
    outbox = forward.outbox()
    for start in range(0, waiting, 10):
        put(outbox, *things[start : start + 10])
    ports = free_port(), free_port()
    away = Orthanc(*ports, tmp_path / "none")
    forward.destination = destination(away, report_port)
    forward.start()
    try:
        until(lambda: forward.events("object.later"), f"it finds nobody: {forward.tail()}")
        with orthanc(tmp_path / "orthanc", report_port=report_port, dicom=ports[0], http=ports[1]) as archive:
            forward.wait_for("confirmed", waiting, outbox, patience_s, look_every_s=waiting / 2000)
            assert_exactly_once(archive, things)
    finally:
        assert forward.stop() == 0


@pytest.mark.timeout(120)
def test_an_archive_comes_back_with_hundreds_waiting(tmp_path: Path) -> None:
    come_back(tmp_path, waiting=200, patience_s=90)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_an_archive_comes_back_with_ten_thousand_waiting(tmp_path: Path) -> None:
    come_back(tmp_path, waiting=10_000, patience_s=3000)


SEND_LARGE = """
import sys
from pathlib import Path
from tests.system.test_forward_kill import large_parcel
from edge.sinks import open_sink
sink = open_sink("pacs", "dimse", {"host": "127.0.0.1", "port": int(sys.argv[1]), "commitment": False})
sink.send(large_parcel(int(sys.argv[2])))
sink.close()
# Not getrusage: a child begins with the peak of the process it was forked from.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


def large_parcel(megabytes: int):
    """A clip that is not there: its header, and as many bytes of picture as it says."""
    import io
    from dataclasses import replace
    from typing import BinaryIO, cast

    small = phantom(1, frames=2, size=1024)
    header = small.content[: -2 * 1024 * 1024 - 4] + (megabytes << 20).to_bytes(4, "little")

    class Clip(io.RawIOBase):
        left = megabytes << 20
        head = io.BytesIO(header)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object, /) -> int:
            got = self.head.readinto(buffer)  # type: ignore[arg-type]
            if not got:
                got = min(self.left, memoryview(buffer).nbytes)  # type: ignore[arg-type]
                self.left -= got
            return got

    return replace(small.parcel(), size=len(header) + (megabytes << 20), open=lambda: cast(BinaryIO, Clip()))


def test_a_clip_of_500_mb_goes_in_less_than_150_mb_of_memory(tmp_path: Path) -> None:
    with storescp(tmp_path, "--ignore") as (port, _):
        line = [sys.executable, "-c", SEND_LARGE, str(port), "500"]
        sent = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert sent.returncode == 0, sent.stderr
    assert int(sent.stdout) < 150
