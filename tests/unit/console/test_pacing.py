"""How large a client's pictures may be."""

from __future__ import annotations

from edge.clock import MS, SECOND
from edge.console.pacing import FIRST, LONG, MOST_ON_THE_WAY, STEPS, Pacing


def play(pacing: Pacing, seconds: float, bytes_per_s: float, sizes: list[int], now: int = 0) -> tuple[int, list[int]]:
    """A line of this speed takes one message after the other. Gives the time, and how long each was under way."""
    free_at, ends, drains = now, now + int(seconds * SECOND), list[int]()
    on_the_way: list[tuple[int, int, int]] = []
    while now < ends:
        while pacing.may_send:
            size = sizes[pacing.step]
            free_at = max(free_at, now) + int(size / bytes_per_s * SECOND)
            on_the_way.append((pacing.send(now), now, free_at))
        number, sent, arrives = on_the_way.pop(0)
        now = arrives
        drains.append(arrives - sent)
        pacing.got(number, now)
    return now, drains


SIZES = [int(60_000 * step.scale**2 * step.quality / 88) for step in STEPS]


def test_a_fast_line_gets_the_best_picture() -> None:
    pacing = Pacing(0)
    play(pacing, 10, 50e6, SIZES)
    assert pacing.step == 0


def test_on_a_slow_line_pictures_shrink_until_they_are_current() -> None:
    pacing = Pacing(0)
    play(pacing, 5, 200e3, [2 * size for size in SIZES])  # a pair
    _, drains = play(pacing, 10, 200e3, [2 * size for size in SIZES], now=5 * SECOND)
    assert pacing.step > FIRST
    assert max(drains) < 3 * LONG
    assert sorted(drains)[len(drains) // 2] <= LONG


def test_a_line_that_recovers_gets_better_pictures_again() -> None:
    pacing = Pacing(0)
    now, _ = play(pacing, 5, 50e3, SIZES)
    poor = pacing.step
    play(pacing, 15, 50e6, SIZES, now)
    assert pacing.step == 0 < poor


def test_never_more_than_two_messages_are_on_their_way() -> None:
    pacing = Pacing(0)
    for _ in range(MOST_ON_THE_WAY):
        assert pacing.may_send
        pacing.send(0)
    assert not pacing.may_send
    pacing.got(1, 10 * MS)
    assert pacing.may_send


def test_the_last_acknowledgement_stands_for_those_before() -> None:
    pacing = Pacing(0)
    pacing.send(0)
    pacing.send(0)
    pacing.got(2, 10 * MS)
    assert pacing.send(20 * MS) == 3
    assert pacing.may_send


def test_acknowledgements_of_what_was_never_sent_mean_nothing() -> None:
    pacing = Pacing(0)
    pacing.send(0)
    for number in (0, 2, 99, 10**30):
        pacing.got(number, 10 * MS)
    assert pacing.drain_ns == 0
    pacing.got(1, 10 * MS)
    pacing.got(1, 900 * MS)
    assert pacing.drain_ns == 10 * MS
