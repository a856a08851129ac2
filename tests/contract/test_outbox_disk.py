"""Real disks that are full or read-only, and ten thousand captures that wait."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.errors import CaptureRefused, OutboxFault
from edge.outbox import Outbox, listing
from edge.outbox.record import Record, new_id
from tests.outbox_rig import ROOMY, Rig, Wall, draft, memory_disk, pair

ROOT = Path(__file__).parents[2]


def in_own_mounts(script: str, *arguments: str) -> list[str]:
    """A shell line that may mount what nobody else sees, and that is gone with it."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare here: the disk that is full is tried by a limit on the size of files alone")
    line = [unshare, "--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh", *arguments]
    trial = subprocess.run([*line[:4], "sh", "-ec", "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False)
    if trial.returncode:
        pytest.skip("mounting is not permitted here: the full disk is tried by a limit on the size of files alone")
    return line


def run(line: list[str]) -> dict[str, object]:
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_on_a_disk_that_is_full_nothing_is_left_of_what_was_refused(tmp_path: Path):
    script = 'mount -t tmpfs -o size=4m tmpfs "$1"; exec "$2" -m tests.outbox_child fill "$1/outbox"'
    found = run(in_own_mounts(script, str(tmp_path), sys.executable))
    assert found["stored"] == found["listed"] == found["left"] == 6
    assert str(found["refused"]).startswith("not stored: the disk is full")
    assert "technician" in str(found["refused"])


def test_on_a_disk_that_became_read_only_a_capture_is_refused_and_the_rest_can_be_read(tmp_path: Path):
    outbox = tmp_path / "outbox"
    Outbox(outbox, ROOMY).put(draft(*pair()))
    script = 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; exec "$2" -m tests.outbox_child fill "$1"'
    found = run(in_own_mounts(script, str(outbox), sys.executable))
    assert (found["stored"], found["listed"], found["left"]) == (0, 1, 1)
    assert str(found["refused"]).startswith("not stored: the disk is read-only")


def test_where_a_file_may_not_grow_a_capture_is_refused_and_nothing_is_left(tmp_path: Path):
    rig = Rig(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(CaptureRefused, match="technician"):
            rig.box.put(draft(*pair(size=150_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert rig.everything_on_disk() == set()


def test_a_marker_that_cannot_be_written_is_said_and_the_object_still_waits(tmp_path: Path):
    rig = Rig(tmp_path)
    rig.box.put(draft(*pair()))
    item = rig.box.next("pacs")
    assert item is not None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OutboxFault, match="look after its disk"):
            rig.box.sent(item)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert rig.box.next("pacs") == item
    rig.box.sent(item)
    assert rig.box.next("pacs") != item


def many(folder: Path, count: int) -> None:
    """As `put` would have left them, but for the objects, which nobody looks at here."""
    rig = Rig(folder / "model")
    record = rig.box.capture(rig.box.put(draft(*pair(size=10)))).record
    wall = Wall()
    for _ in range(count):
        name = new_id(wall())
        home = folder / "outbox" / "captures" / name
        home.mkdir(parents=True)
        (home / "capture.json").write_bytes(msgspec.structs.replace(record, id=name).encoded())


@pytest.fixture
def quick_disk() -> Iterator[Path]:
    """Ten thousand folders are many to write, and to remove."""
    with tempfile.TemporaryDirectory(dir=memory_disk()) as folder:
        yield Path(folder)


def test_ten_thousand_captures_are_read_once_and_the_next_is_known_without_looking_again(
    quick_disk: Path, monkeypatch: pytest.MonkeyPatch
):
    many(quick_disk, 10_000)
    read = 0
    decoded = Record.decoded

    def counted(text: bytes) -> Record:
        nonlocal read
        read += 1
        return decoded(text)

    monkeypatch.setattr(listing.Record, "decoded", counted)
    rig = Rig(quick_disk / "outbox")
    assert rig.box.count("pacs", "waiting") == 20_000
    assert read == 10_000
    for n in range(200):
        item = rig.box.next("pacs")
        assert item is not None
        rig.box.sent(item)
        assert read == 10_001 + n, "one note, one look at the capture it is of"
    newer = rig.box.put(draft(*pair(), priority="stat"))
    item = rig.box.next("pacs")
    assert item is not None
    assert item.capture.id == newer
    assert read <= 10_000 + 200 + 100 + 1, "a new capture lets those be looked at again that changed, and no other"
