"""The soak's own sums: what it counts, when it does what, and that its verdicts can be bad."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from edge.frame import Shown, Treatment, Why, original
from edge.sensors.scripted import at, parse
from edge.wire import Flag, decode_shown, encode_shown
from tests.fakes import frame
from tools.soak import report
from tools.soak.button import Press
from tools.soak.eye import Account, percentiles
from tools.soak.gauge import Sample, name_of, slope, trend
from tools.soak.log import Log
from tools.soak.plan import HEAT_S, heat_script, plan_of


def taken(account: Account, seq: int, age_ms: float = 5.0, **more: Any) -> None:
    shown: Shown = original(frame(seq, at_ns=1000), Why.LATE, **more)
    parts = [encode_shown(shown, Flag.LIVE | Flag.WARM, 2000), shown.pixels.data.cast("B")]
    read = decode_shown([b"picture/s/", *parts])
    account.take(read, read.stamped_ns + int(age_ms * 1e6))


def test_each_picture_is_counted_once_and_what_is_missing_is_too() -> None:
    account = Account()
    for seq in (1, 2, 3, 6, 6, 5, 7):
        taken(account, seq)
    told = account.as_dict()
    assert (told["received"], told["missing"], told["twice"], told["out_of_order"]) == (5, 2, 1, 1)
    assert told["original"] == {"late": 5}
    assert told["held_back"] == 5
    assert Treatment.ENHANCED.name not in told["enhanced"]


def test_percentiles_are_upper_edges_of_tenths_of_a_millisecond() -> None:
    account = Account()
    for seq in range(1, 1001):
        taken(account, seq, 40.0 if seq > 998 else 5.05)
    found = percentiles(account.as_dict()["bins"])
    assert (found["p50"], found["p99"], found["p99.9"]) == (5.1, 5.1, 40.1)
    assert account.as_dict()["max_ms"] == 40.0


def test_a_trend_is_the_slope_after_the_warm_up_of_the_process_that_lived_last() -> None:
    first = [Sample(s, 900.0, 50, 9, 0.0, 1) for s in range(0, 600, 10)]
    warming = [Sample(600 + s, 100.0 + s / 10, 20, 9, s / 100, 2) for s in range(0, 600, 10)]
    growing = [Sample(1200 + s, 160.0 + s / 360, 20, 9, 6 + s / 100, 2) for s in range(0, 3600, 10)]
    told = trend([*first, *warming, *growing], warm_up_s=600)
    assert told["pids"] == 2
    assert told["rss_mb_per_hour"] == pytest.approx(10.0, abs=0.1)
    assert told["descriptors_per_hour"] == 0
    assert slope([0.0], [5.0]) == 0


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["python", "-m", "edge", "live", "--config", "x"], "live"),
        (["python", "-m", "edge", "run"], "supervisor"),
        (["python", "-m", "edge", "send", "phantom"], "scanner"),
        (["python", "-m", "edge.darkroom"], "darkroom"),
        (["/usr/sbin/Orthanc", "x"], "archive"),
        (["sh"], ""),
        ([], ""),
    ],
)
def test_a_process_is_known_by_its_command(command: list[str], name: str) -> None:
    assert name_of(command) == name


def test_the_archive_is_away_a_third_of_the_time_and_there_at_the_end_of_each() -> None:
    plan = plan_of(7200)
    away = [minute for minute in range(120) if not plan.archive_is_up(minute * 60)]
    assert len(away) == 40
    assert away[:5] == [5, 6, 7, 8, 9]
    assert plan.heat_s == HEAT_S
    assert not plan_of(240).archive_is_up(120)


def test_the_heat_of_a_soak_goes_through_every_step_and_cools_down() -> None:
    points = parse(heat_script(1200))
    degrees = [at(points, second).celsius or 0 for second in range(1200)]
    assert max(degrees) >= 94
    assert degrees[-1] < 80
    assert sum(celsius < 79 for celsius in degrees) > 600


def test_the_log_is_read_on_and_a_line_in_the_making_waits(tmp_path: Path) -> None:
    path, began = tmp_path / "log", time.monotonic_ns()
    changed = {"event": "heat.changed", "t_ns": began, "step": "warm", "before": "normal"}
    path.write_text(f'{json.dumps(changed)}\nnot json\n{{"ev')
    log = Log(path, began)
    log.read()
    with path.open("a") as file:
        file.write('ent": "live.ready", "t_ns": 5}\n')
    log.read()
    log.read()
    assert log.counts == {"heat.changed": 1, "live.ready": 1}
    assert log.of("heat.changed") == [{"at_s": 0.0, "event": "heat.changed", "step": "warm", "before": "normal"}]
    assert log.unread == {"not json": 1}


def facts(**more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "ended": True, "seconds": 60,
        "frames": {"sent": 100, "unaccounted": 0, "not_fetched": 0},
        "subscriber": {"twice": 0, "out_of_order": 0},
        "captures": {
            "refused": [], "unanswered": 0, "acknowledged": 2, "pressed": 2, "objects": 4, "in_archive_once": 4,
            "in_archive_more_than_once": 0, "not_in_archive": 0, "strangers_in_archive": 0,
        },
        "restarts": [], "heat": {"changes": [{"step": "warm", "before": "normal"}], "shortest_before_a_step_up_s": 61},
        "processes": {"live": {
            "rss_mb_per_hour": 0.5, "measured_hours": 2.0, "descriptors_per_hour": 0.0, "rss_mb": {"last": 500.0},
        }},
    }  # fmt: skip
    for key, value in more.items():
        made[key] = {**made[key], **value} if isinstance(value, dict) else value
    return made


def bad(told: dict[str, Any]) -> list[str]:
    return [verdict["what"] for verdict in report.verdicts(told) if verdict["good"] is False]


def test_a_good_soak_is_good() -> None:
    assert bad(facts()) == []


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        ({"frames": {"unaccounted": 1}}, "every frame is accounted for"),
        ({"frames": {"not_fetched": 3}}, "the subscriber fetched every picture"),
        ({"subscriber": {"twice": 1}}, "no picture came twice or out of order"),
        ({"captures": {"refused": [{}]}}, "every capture was acknowledged"),
        ({"captures": {"not_in_archive": 1}}, "every acknowledged object is in the archive, once"),
        ({"captures": {"strangers_in_archive": 1}}, "every acknowledged object is in the archive, once"),
        ({"restarts": [{}]}, "no process was restarted"),
        ({"heat": {"shortest_before_a_step_up_s": 30}}, "no step up within a minute of the change before"),
        ({"processes": {"live": {"rss_mb_per_hour": 20.0, "measured_hours": 2.0, "descriptors_per_hour": 0.0,
                                 "rss_mb": {"last": 500.0}}}}, "live stays flat"),
        ({"processes": {"live": {"rss_mb_per_hour": 0.0, "measured_hours": 2.0, "descriptors_per_hour": 9.0,
                                 "rss_mb": {"last": 500.0}}}}, "live stays flat"),
    ],
)  # fmt: skip
def test_each_verdict_can_be_bad(wrong: dict[str, Any], verdict: str) -> None:
    assert bad(facts(**wrong)) == [verdict]


def test_what_is_not_in_the_archive_is_named() -> None:
    press = Press("still", 1.0, objects=("1.2.3", "1.2.4"))
    assert report.not_in_archive([press], ["1.2.3"]) == ["1.2.4"]
