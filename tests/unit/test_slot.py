"""The two hand-offs: both bounded, both counting what they let go, neither ever making its writer wait."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from edge.slot import Latest, Ring

KEYS = st.sampled_from(["a", "b", "c"])


def test_the_newest_item_of_a_key_wins_and_the_older_is_told() -> None:
    gone: list[int] = []
    slot: Latest[int] = Latest(gone.append)
    for item in (1, 2, 3):
        slot.put("a", item)
    assert slot.take(0) == 3
    assert slot.take(0) is None
    assert gone == [1, 2]


def test_a_key_keeps_its_turn_when_its_item_is_replaced() -> None:
    slot: Latest[str] = Latest()
    slot.put("a", "a1")
    slot.put("b", "b1")
    slot.put("a", "a2")  # must not send a behind b
    assert [slot.take(0), slot.take(0), slot.take(0)] == ["a2", "b1", None]


@given(st.lists(st.tuples(KEYS, st.booleans()), max_size=60))
def test_every_item_is_taken_superseded_or_waiting_and_at_most_one_a_key_waits(
    steps: list[tuple[str, bool]],
) -> None:
    gone: list[tuple[str, int]] = []
    slot: Latest[tuple[str, int]] = Latest(gone.append)
    put = 0
    taken: list[tuple[str, int]] = []
    for number, (key, is_put) in enumerate(steps):
        if is_put:
            slot.put(key, (key, number))
            put += 1
        elif (item := slot.take(0)) is not None:
            taken.append(item)
        assert len(slot) <= 3
    assert put == len(taken) + len(gone) + len(slot)
    for key in "abc":
        numbers = [number for name, number in taken if name == key]
        assert numbers == sorted(numbers)


def test_an_item_put_by_another_thread_wakes_the_one_that_waits() -> None:
    slot: Latest[int] = Latest()
    got: list[int | None] = []
    reader = threading.Thread(target=lambda: got.append(slot.take(30)))
    reader.start()
    slot.put("a", 7)
    reader.join(20)
    assert got == [7]


def test_closing_wakes_whoever_waits_and_what_is_there_can_still_be_taken() -> None:
    slot: Latest[int] = Latest()
    got: list[int | None] = []
    reader = threading.Thread(target=lambda: got.append(slot.take(30)))
    reader.start()
    slot.close()
    reader.join(20)
    assert got == [None]
    slot.put("a", 1)
    assert slot.take(30) == 1
    assert slot.take(30) is None  # at once: the slot is closed


def ring(most: int, oldest: int) -> Ring[tuple[int, int]]:
    """Of (time, bytes)."""
    return Ring(most, lambda item: item[1], lambda old, new: new[0] - old[0] > oldest)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 60)), max_size=80), st.integers(1, 100), st.integers(0, 20))
def test_a_ring_is_bounded_by_bytes_and_by_age_and_counts_what_it_forgets(
    items: list[tuple[int, int]], most: int, oldest: int
) -> None:
    remembered = ring(most, oldest)
    now = 0
    added: list[tuple[int, int]] = []
    for later, size in items:
        now += later
        added.append((now, size))
        remembered.add(added[-1])
        kept = remembered.snapshot()
        assert remembered.bytes == sum(size for _, size in kept) <= most
        assert all(now - at <= oldest for at, _ in kept)
        assert kept == added[len(added) - len(kept) :]  # the newest, in their order
        assert len(remembered) + remembered.forgotten == len(added)


def test_a_snapshot_is_no_window_on_the_ring() -> None:
    remembered = ring(100, 100)
    remembered.add((1, 10))
    before = remembered.snapshot()
    remembered.add((2, 10))
    assert before == [(1, 10)]


def test_an_item_larger_than_the_ring_is_not_kept() -> None:
    remembered = ring(10, 100)
    remembered.add((1, 11))
    assert remembered.snapshot() == []
    assert (remembered.bytes, remembered.forgotten) == (0, 1)
