"""What is put comes back byte for byte, and goes out in order, whoever looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.outbox import Capture, Item, Outbox, Stored
from tests.outbox_rig import ROOMY, Rig, Thing, draft, next_item, pair


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "outbox")


def read(rig: Rig, item: Item) -> bytes:
    with rig.box.open(item) as file:
        return file.read()


def test_what_was_put_comes_back_byte_for_byte(rig: Rig):
    things = pair(size=300_000)
    name = rig.box.put(draft(*things))
    capture = rig.box.capture(name)
    assert [one.name for one in capture.objects] == ["1-original.dcm", "2-enhanced.dcm"]
    for thing, stored in zip(things, capture.objects, strict=True):
        assert read(rig, Item(capture, stored, "pacs")) == thing.content
        assert (stored.size, stored.sop_uid) == (len(thing.content), thing.sop_uid)


def test_captures_are_closed_to_other_users(rig: Rig):
    folder = rig.captures_folder() / rig.box.put(draft(*pair()))
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_stat_goes_before_routine_and_then_the_oldest(rig: Rig):
    first, second = (rig.box.put(draft(*pair(n))) for n in (1, 2))
    urgent = rig.box.put(draft(*pair(3), priority="stat"))
    order = []
    while (item := rig.box.next("pacs")) is not None:
        order.append((item.capture.id, item.object.role))
        rig.box.sent(item)
    roles = ("original", "enhanced")
    assert order == [(name, role) for name in (urgent, first, second) for role in roles]


def test_items_in_hand_are_passed_over(rig: Rig):
    rig.box.put(draft(*pair()))
    first = next_item(rig)
    second = rig.box.next("pacs", busy={first.key})
    assert second is not None
    assert second.object.role == "enhanced"
    assert rig.box.next("pacs", busy={first.key, second.key}) is None


def test_each_destination_gets_what_it_wants(rig: Rig):
    def originals(_capture: Capture, stored: Stored) -> bool:
        return stored.role == "original"

    rig.box.serve("teaching", originals)
    rig.box.put(draft(*pair()))
    item = next_item(rig, "teaching")
    rig.box.sent(item)
    assert rig.box.next("teaching") is None
    assert rig.box.count("pacs", "waiting") == 2


def test_a_capture_put_by_another_process_is_seen(rig: Rig):
    assert rig.box.next("pacs") is None
    other = Outbox(rig.folder, ROOMY)
    name = other.put(draft(*pair()))
    assert next_item(rig).capture.id == name


@pytest.mark.parametrize("change", ["park", "retry", "release"])
def test_what_a_person_does_in_another_process_is_seen_at_once(rig: Rig, change: str):
    name = rig.box.put(draft(Thing(b"x" * 100), held=change == "release"))
    other = Outbox(rig.folder, ROOMY)
    if change == "retry":
        rig.box.parked(next_item(rig), "refused")
    assert (rig.box.next("pacs") is not None) == (change == "park")
    seen = other.capture(name)
    item = Item(seen, seen.objects[0], "pacs")
    {
        "park": lambda: other.parked(item, "by hand"),
        "retry": lambda: other.retry(item),
        "release": lambda: other.release(name),
    }[change]()
    assert (rig.box.next("pacs") is None) == (change == "park")


def test_markers_survive_a_restart_and_may_be_said_twice(rig: Rig):
    rig.box.put(draft(*pair()))
    item = next_item(rig)
    for _ in range(2):
        rig.box.sent(item, 0xB000, "coercion of data elements")
        rig.box.asked([item], "2.25.5")
    rig.restart()
    (asked,) = rig.box.items("pacs", "asked")
    assert asked.key == item.key
    facts, sent = rig.box.facts(asked, "asked"), rig.box.facts(asked, "sent")
    assert facts is not None
    assert sent is not None
    assert (facts.transaction, sent.status, sent.warning) == ("2.25.5", 0xB000, "coercion of data elements")


def test_a_parked_object_waits_for_retry_and_the_queue_goes_on(rig: Rig):
    rig.box.put(draft(*pair()))
    item = next_item(rig)
    rig.box.parked(item, "SOP class not supported", 0x0122)
    assert next_item(rig).object.role == "enhanced"
    (parked,) = rig.box.items("pacs", "parked")
    rig.box.retry(parked)
    assert next_item(rig).key == item.key


def test_a_held_capture_is_given_out_only_after_its_release(rig: Rig):
    name = rig.box.put(draft(*pair(), held=True))
    assert rig.box.next("pacs") is None
    assert len(rig.box.items("pacs", "held")) == 2
    rig.box.release(name)
    rig.restart()
    assert next_item(rig).capture.id == name


@pytest.mark.parametrize("name", ["", "a@b", "../x", "a.sent", "x" * 65])
def test_a_destination_that_cannot_be_part_of_a_file_name_is_refused(rig: Rig, name: str):
    with pytest.raises(ConfigError, match="destination"):
        rig.box.serve(name)
