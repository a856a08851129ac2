"""The soak tool itself: half a minute of the whole appliance in CI, some minutes where soaks are run."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tools.soak.__main__ import soak
from tools.soak.plan import Plan, plan_of

# So brief that heat has no time to recover, and a machine that is busy with other tests is no reason to fail.
BRIEF = Plan(
    12, capture_s=3.5, sample_s=1, minute_s=3, report_s=5, heat_s=30, archive_s=12, clip_s=0.5, back_s=1,
    warm_up_s=4, loop_frames=20,
)  # fmt: skip


def verdicts(facts: dict[str, Any]) -> dict[str, bool | None]:
    return {verdict["what"]: verdict["good"] for verdict in facts["verdicts"]}


@pytest.mark.timeout(180)
def test_half_a_minute_of_everything_loses_nothing(tmp_path: Path) -> None:
    soak(BRIEF, tmp_path / "report", threading.Event(), "demo", faces=False)
    facts = json.loads((tmp_path / "report" / "soak.json").read_text())
    told = verdicts(facts)
    assert facts["ended"]
    assert facts["archive"]["away"]
    assert told["every frame is accounted for"], facts["frames"]
    assert told["every acknowledged object is in the archive, once"], facts["captures"]
    assert told["every capture was acknowledged"], facts["captures"]
    assert told["no process was restarted"], facts["restarts"]
    assert told["heat was acted on"], facts["heat"]
    assert facts["captures"]["acknowledged"] >= 2
    assert {"live", "forward", "supervisor"} <= facts["processes"].keys()
    assert "every frame is accounted for | good" in (tmp_path / "report" / "soak.md").read_text()
    assert list((tmp_path / "report").glob("shown-*.png"))


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_some_minutes_of_everything(tmp_path: Path) -> None:
    watched = soak(plan_of(360), tmp_path / "report", threading.Event())
    bad = [verdict for verdict in watched.facts["verdicts"] if verdict["good"] is False]
    assert [verdict for verdict in bad if verdict["what"] != "the subscriber fetched every picture"] == []
    assert "normal" in [change["step"] for change in watched.facts["heat"]["changes"]]
