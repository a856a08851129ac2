"""What status reads while the live thread goes on."""

from __future__ import annotations

from typing import Any, cast

from edge.daemon import status
from edge.lookout import Lookout
from tests.rig import Rig


class _Forgets:
    """A lookout that is asked just when live gives another stream's place away."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def facts(self, stream: str) -> dict[str, Any]:
        self._rig.intake.tallies.pop("b" if stream == "a" else "a", None)
        return {}


def test_a_stream_that_goes_while_status_is_told_does_not_end_the_process() -> None:
    rig = Rig()
    rig.play(0.3, stream="a")
    rig.play(0.3, stream="b")
    told = status(rig.shared, rig.intake, rig.live, cast("Lookout", _Forgets(rig)))
    assert set(told["streams"]) == {"a", "b"}
