"""What the doctor says of the machine's own condition, for each thing that can be amiss."""

from __future__ import annotations

from pathlib import Path

import pytest

import edge.commands.doctor_health as doctor
from edge.config import Config, parse
from edge.errors import SensorsLost
from edge.sensors import Disk, Reading, WallClock, Zone

FIT = Reading(
    zones=(Zone("cpu-thermal", 55.0, 97.0),), throttles=False, power_mode="15W",
    disks=(Disk("outbox", 900, 1000), Disk("mmcblk0", used_life_percent=20.0)), clock=WallClock(True, 0.4, "kernel"),
)  # fmt: skip


class Patient:
    def __init__(self, reading: Reading | None) -> None:
        self._reading = reading

    def read(self) -> Reading:
        if self._reading is None:
            raise SensorsLost("unplugged")
        return self._reading

    def close(self) -> None:
        pass


def findings(reading: Reading | None, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str]]:
    monkeypatch.setattr(doctor, "open_sensors", lambda _kinds, _place: Patient(reading))
    return {check: (verdict, what) for check, verdict, what, _ in doctor.condition(Config())}


def changed(**more: object) -> Reading:
    import dataclasses

    return dataclasses.replace(FIT, **more)  # type: ignore[arg-type]


def test_a_machine_that_is_fit_is_ok_in_each_respect(monkeypatch: pytest.MonkeyPatch) -> None:
    told = findings(FIT, monkeypatch)
    assert {check: verdict for check, (verdict, _) in told.items()} == {
        "heat": "ok", "disk life": "ok", "time server": "ok",
    }  # fmt: skip
    assert told["heat"][1] == "cpu-thermal 55 °C, 42 °C until it throttles, power mode 15W"


@pytest.mark.parametrize(
    ("reading", "check", "words"),
    [
        (None, "heat", "unplugged"),
        (changed(zones=()), "heat", "no temperature"),
        (changed(zones=(Zone("cpu", 90.0, 97.0),)), "heat", "90 °C"),
        (changed(throttles=True), "heat", "slows itself"),
        (changed(disks=(Disk("nvme0", used_life_percent=93.0),)), "disk life", "93 %"),
        (changed(clock=None), "time server", "not known"),
        (changed(clock=WallClock(False)), "time server", "not set"),
        (changed(missing=("clocks",)), "sensors", "clocks"),
    ],
)
def test_whatever_is_amiss_is_a_warning(
    reading: Reading | None, check: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, what = findings(reading, monkeypatch)[check]
    assert verdict == "warning"
    assert words in what


def test_a_kind_of_sensor_that_is_not_there_is_the_operators_to_correct(tmp_path: Path) -> None:
    config = parse(f'[sensors.thermometer]\n[outbox]\nfolder = "{tmp_path}/outbox"')
    ((check, verdict, what, _),) = doctor.condition(config)
    assert (check, verdict) == ("sensors", "failure")
    assert "thermometer" in what
