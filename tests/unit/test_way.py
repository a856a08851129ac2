"""Who stores stands aside while live works on a picture, in this process and in another, and never for ever."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time

import pytest

from edge.way import RightOfWay, standing_aside
from tests.system.process import ROOT
from tests.unit.dicom.scenes import clip, pair, written


def test_what_is_written_is_the_same_with_and_without_a_picture_in_the_way() -> None:
    way = RightOfWay()
    for made in pair(clip()):
        plain = written(made).getvalue()
        assert written(standing_aside(made, way)).getvalue() == plain
        way.take()
        assert written(standing_aside(made, way)).getvalue() == plain
        way.give()


def test_a_picture_is_waited_for_and_one_that_never_ends_is_not() -> None:
    way = RightOfWay()
    way.take()
    start = time.monotonic()
    way.let_pass()
    assert time.monotonic() - start > 0.005, "it stood aside, and then went on"
    timer = threading.Timer(0.001, way.give)
    timer.start()
    way.let_pass()
    timer.join()
    way.let_pass()
    assert not way.is_taken


@pytest.mark.skipif(RightOfWay().fd < 0, reason="no shared memory by file here")
def test_another_process_sees_it() -> None:
    way = RightOfWay()
    code = f"from edge.way import RightOfWay; print(RightOfWay({way.fd}).is_taken)"

    def seen() -> str:
        line = [sys.executable, "-c", code]
        return subprocess.run(line, cwd=ROOT, pass_fds=(way.fd,), capture_output=True, text=True, check=True).stdout

    way.take()
    assert seen() == "True\n"
    way.give()
    assert seen() == "False\n"


def test_pixels_are_let_through_in_their_order() -> None:
    made = pair(clip())[0]
    to = io.BytesIO()
    standing_aside(made, RightOfWay()).write(to)
    assert to.getvalue()[128:132] == b"DICM"
