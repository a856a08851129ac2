"""The progress of several threads, with a clock turned by hand."""

from __future__ import annotations

import io
import threading
from typing import BinaryIO, cast

from edge.clock import SECOND, ManualClock
from edge.progress import Progress, Watched


def in_thread(name: str, run: object) -> None:
    thread = threading.Thread(target=run, name=name)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_it_names_the_thread_that_hangs_and_only_that() -> None:
    clock = ManualClock()
    progress = Progress(clock)
    in_thread("send-a-0", progress.beat)
    in_thread("settle-a", progress.beat)
    clock.advance(2 * SECOND)
    in_thread("send-a-0", progress.beat)
    assert progress.trouble(3 * SECOND) is None
    clock.advance(2 * SECOND)
    assert progress.trouble(3 * SECOND) == "settle-a has not moved for 4.0 s"


def test_a_thread_that_never_began_is_not_missed() -> None:
    clock = ManualClock()
    progress = Progress(clock)
    clock.advance(1000 * SECOND)
    assert progress.trouble(SECOND) is None


def test_each_piece_of_a_long_transfer_is_a_sign_of_life() -> None:
    clock = ManualClock()
    progress = Progress(clock)
    content = bytes(range(256)) * 10
    slow = Watched(cast(BinaryIO, io.BytesIO(content)), progress.beat)
    read = b""
    while piece := slow.read(100):
        read += piece
        clock.advance(2 * SECOND)
        assert progress.trouble(3 * SECOND) is None
    assert read == content
    clock.advance(4 * SECOND)  # the end of the file was a sign of life, too
    assert progress.trouble(3 * SECOND) is not None


def test_a_watched_file_is_a_file() -> None:
    file = io.BytesIO(b"0123456789")
    watched = Watched(cast(BinaryIO, file), lambda: None)
    assert watched.seek(4) == 4
    room = bytearray(3)
    assert watched.readinto(room) == 3
    assert (bytes(room), watched.tell()) == (b"456", 7)
    watched.close()
    assert file.closed
