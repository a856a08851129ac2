from __future__ import annotations

from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st

from edge.clock import SECOND, ManualClock
from edge.pace import BURST_S, Bucket, Paced


def test_the_first_piece_may_go_at_once_and_the_rest_waits() -> None:
    bucket = Bucket(1000, ManualClock(10 * SECOND))
    assert bucket.take(500) == 0
    assert bucket.take(1) == SECOND // 2


@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=60), idle_ms=st.integers(0, 5000))
def test_never_faster_than_the_cap_but_for_one_burst(sizes: list[int], idle_ms: int) -> None:
    clock, rate = ManualClock(), 1000.0
    bucket = Bucket(rate, clock)
    clock.advance(idle_ms * 1_000_000)
    start = clock.now()
    for size in sizes:
        clock.advance(bucket.take(size))
    # What was handed out before the last wait was paid for by then.
    allowed = (clock.now() - start) / SECOND * rate + BURST_S * rate + sizes[-1]
    assert sum(sizes) <= allowed + 1


def test_a_paced_file_gives_the_same_bytes_and_waits_as_long_as_they_take() -> None:
    clock, content = ManualClock(), bytes(range(256)) * 400
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        clock.advance(int(seconds * SECOND))

    paced = Paced(BytesIO(content), Bucket(10_000, clock), wait)
    assert paced.read(144) + paced.readall() == content
    assert abs(sum(waited) - len(content) / 10_000) < BURST_S + 0.01


def test_a_paced_file_can_be_sought_and_closes_what_it_reads() -> None:
    file = BytesIO(b"0123456789")
    with Paced(file, Bucket(1e9, ManualClock()), lambda _s: None) as paced:
        paced.seek(4)
        assert paced.read(2) == b"45"
        assert paced.tell() == 6
    assert file.closed
