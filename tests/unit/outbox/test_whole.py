"""All of it or nothing: puts and corrections that fail, files that are torn, records that were altered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.errors import CaptureRefused, OutboxFault
from edge.outbox import Item, Settings
from tests.outbox_rig import Failing, Rig, Thing, draft, next_item, pair


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "outbox")


def read(rig: Rig, item: Item) -> bytes:
    with rig.box.open(item) as file:
        return file.read()


def stored_file(rig: Rig, item: Item) -> Path:
    return rig.captures_folder() / item.capture.id / item.object.file


@pytest.mark.parametrize("held", [True, False])
def test_a_held_capture_gets_other_objects_all_at_once(rig: Rig, held: bool):
    name = rig.box.put(draft(*pair("wrong identity"), held=True))
    right = pair("right identity", 5000)
    rig.box.replace(name, draft(*right, held=held))
    capture = rig.box.capture(name)
    assert capture.held is held
    for thing, stored in zip(right, capture.objects, strict=True):
        with rig.box.read(capture, stored) as file:
            assert file.read() == thing.content
    on_disk = {path.name for path in (rig.captures_folder() / name).iterdir()}
    assert on_disk == {"capture.json", *(stored.file for stored in capture.objects)}


def test_a_correction_that_fails_changes_nothing(rig: Rig):
    before = pair("wrong identity")
    name = rig.box.put(draft(*before, held=True))
    files = rig.everything_on_disk()
    with pytest.raises(CaptureRefused, match="the disk fails"):
        rig.box.replace(name, draft(Thing(b"y" * 100), Failing(b"y" * 100, "enhanced"), held=False))
    assert rig.everything_on_disk() == files
    capture = rig.box.capture(name)
    assert capture.held
    with rig.box.read(capture, capture.objects[0]) as file:
        assert file.read() == before[0].content


def test_a_correction_that_a_power_cut_ended_is_swept_away(rig: Rig):
    name = rig.box.put(draft(*pair(), held=True))
    files = rig.everything_on_disk()
    (rig.captures_folder() / name / "1-original.2.dcm").write_bytes(b"half of")
    rig.restart()
    assert rig.everything_on_disk() == files


def test_what_was_released_or_sent_is_not_replaced(rig: Rig):
    released = rig.box.put(draft(*pair(), held=True))
    rig.box.release(released)
    never_held = rig.box.put(draft(*pair()))
    for name in (released, never_held):
        with pytest.raises(CaptureRefused, match="corrected copies"):
            rig.box.replace(name, draft(*pair()))


@pytest.mark.parametrize("harm", ["torn", "altered", "missing"])
def test_a_damaged_object_is_set_aside_and_the_queue_goes_on(rig: Rig, harm: str):
    rig.box.put(draft(*pair()))
    later = rig.box.put(draft(*pair(2)))
    item = next_item(rig)
    path = stored_file(rig, item)
    whole = path.read_bytes()
    {
        "torn": lambda: path.write_bytes(whole[:-1]),
        "altered": lambda: path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1])),
        "missing": path.unlink,
    }[harm]()
    with pytest.raises(OutboxFault):
        rig.box.open(item)
    rig.restart()
    (damaged,) = rig.box.items("pacs", "damaged")
    assert damaged.key == item.key
    assert rig.box.damage(damaged.capture, damaged.object)
    assert [one.capture.id for one in rig.box.items("pacs", "waiting")][-2:] == [later, later]
    with pytest.raises(OutboxFault):
        rig.box.retry(damaged)
    path.write_bytes(whole)
    rig.box.retry(damaged)
    assert read(rig, next_item(rig)) == whole


def test_too_many_open_files_is_not_damage(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    rig.box.put(draft(*pair()))
    item = next_item(rig)
    path = stored_file(rig, item)

    def refuse(_path: Path, *_how: object, **_more: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(type(path), "open", refuse)
        with pytest.raises(OSError, match="Too many"):
            rig.box.open(item)
    assert next_item(rig).key == item.key


@pytest.mark.parametrize("harm", ["torn", "altered", "missing", "of another"])
def test_a_capture_whose_record_is_damaged_is_shown_and_the_others_go_on(rig: Rig, harm: str):
    name, other = rig.box.put(draft(*pair())), rig.box.put(draft(*pair(2)))
    path = rig.captures_folder() / name / "capture.json"
    text = path.read_bytes()
    {
        "torn": lambda: path.write_bytes(text[:40]),
        "altered": lambda: path.write_bytes(text.replace(b'"routine"', b'"stat"')),
        "missing": path.unlink,
        "of another": lambda: path.write_bytes((rig.captures_folder() / other / "capture.json").read_bytes()),
    }[harm]()
    rig.restart()
    assert [capture.id for capture in rig.box.captures()] == [other]
    assert [broken.id for broken in rig.box.broken()] == [name]
    assert next_item(rig).capture.id == other
    assert (rig.captures_folder() / name).is_dir()


@pytest.mark.parametrize(
    "settings", [Settings(watermark_percent=1e-6), Settings(watermark_percent=100, least_free_mb=10**9)]
)
def test_above_the_watermark_a_capture_is_refused_before_anything_is_written(tmp_path: Path, settings: Settings):
    rig = Rig(tmp_path, settings)
    with pytest.raises(CaptureRefused, match="call the technician"):
        rig.box.put(draft(*pair()))
    assert rig.everything_on_disk() == set()


def test_a_capture_of_nothing_is_refused(rig: Rig):
    with pytest.raises(CaptureRefused, match="nothing to store"):
        rig.box.put(draft())


def test_an_audit_log_that_cannot_be_written_does_not_make_a_stored_capture_unsaid(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    def fails(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rig.box.audit, "append", fails)
    name = rig.box.put(draft(*pair()))
    assert rig.box.capture(name).objects
    assert rig.box.audit_failures == 1


def test_a_record_tolerates_what_a_newer_version_adds(rig: Rig):
    name = rig.box.put(draft(*pair()))
    path = rig.captures_folder() / name / "capture.json"
    record = json.loads(path.read_bytes())["record"] | {"colour": "blue"}
    text = json.dumps(record).encode()
    from hashlib import sha256

    path.write_bytes(b'{"record":%b,"sha256":"%b"}' % (text, sha256(text).hexdigest().encode()))
    assert rig.box.capture(name).modality == "US"
