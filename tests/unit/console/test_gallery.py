"""Images for those who look, and what is told of them."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from edge.clock import MS, SECOND
from edge.console.channel import Newest
from edge.console.gallery import Gallery, View, Viewer, Wants
from edge.console.pacing import Pacing
from edge.frame import EngineId, Frame, Shown, Treatment, Why
from edge.wire import Flag, decode_shown, encode_shown

ENGINE = EngineId("clarity", "0" * 64, "openvino_cpu", "int8")


def names(view: View, *, original: bool) -> list[str]:
    pixels = np.full((64, 64), 90, np.uint8)
    shown = Shown(Frame(pixels, "s", 1, 0, 0), pixels + 9, Treatment.ENHANCED, Why.NOT_ORIGINAL, engine=ENGINE)
    flags = Flag.LIVE | (Flag.HAS_ORIGINAL if original else Flag(0))
    parts = [shown.pixels, pixels] if original else [shown.pixels]
    report = decode_shown([b"", encode_shown(shown, flags, 0), *(one.data.cast("B") for one in parts)])

    async def made() -> list[str]:
        gallery = Gallery("inproc://nowhere")
        gallery.open()
        images, _ = await gallery.images(Newest(report, 0), Wants(view=view, change=True), 0)
        gallery.close()
        return [name for name, _ in images]

    return asyncio.run(made())


@pytest.mark.parametrize("view", ["picture", "original", "pair"])
def test_an_enhanced_picture_without_its_original_is_never_given_out_as_the_original(view: View) -> None:
    assert names("pair", original=True) == ["picture", "original", "change"]
    assert "original" not in names(view, original=False)
    assert "change" not in names(view, original=False), "nor as a picture in which nothing was changed"


def test_how_many_pictures_a_second_a_client_gets_is_told() -> None:
    viewer = Viewer("s", Pacing(0))
    assert viewer.told(0)["fps"] == 0
    for picture in range(1, 60):
        viewer.sent(picture * 40 * MS)
    now = 59 * 40 * MS
    assert viewer.told(now)["fps"] == 25
    assert viewer.told(now + 3 * SECOND)["fps"] == 0, "it gets none any more"
