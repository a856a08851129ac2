"""What the kernel tells, from a /sys of our own: trip points, monitors, throttling, disks."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.clock import ManualClock
from edge.errors import SensorsLost
from edge.sensors import Disk, Place, Zone, fitting
from edge.sensors._disklife import life_of_disks
from edge.sensors._heat import Throttling, zones_of
from edge.sensors._wallclock import wall_clock
from edge.sensors.linux import LinuxSensors, clocks, power_mode


def put(root: Path, files: dict[str, object]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def zone(root: Path, number: int, kind: str, millis: int, **trips: int) -> None:
    at = f"sys/class/thermal/thermal_zone{number}"
    put(root, {f"{at}/type": kind, f"{at}/temp": millis})
    for n, (name, degrees) in enumerate(trips.items()):
        put(root, {f"{at}/trip_point_{n}_type": name.rstrip("_"), f"{at}/trip_point_{n}_temp": degrees})


def test_a_zone_throttles_at_its_lowest_passive_trip_point(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", 61250, critical=104500, passive=99000, passive_=97000, active=50000)
    assert zones_of(tmp_path) == (Zone("cpu-thermal", 61.25, 97.0),)


def test_a_zone_that_only_knows_when_it_switches_off_slows_down_some_degrees_earlier(tmp_path: Path) -> None:
    zone(tmp_path, 0, "soc", 50000, critical=110000)
    assert zones_of(tmp_path)[0].throttles_at == 100.0


def test_trip_points_that_nobody_set_are_no_limits(tmp_path: Path) -> None:
    zone(tmp_path, 0, "x86_pkg_temp", 50000, passive=0, passive_=-274000, critical=210000)
    assert zones_of(tmp_path)[0].throttles_at is None


def test_a_monitor_says_its_limit_and_zones_of_one_name_are_told_apart(tmp_path: Path) -> None:
    zone(tmp_path, 0, "acpitz", 40000)
    zone(tmp_path, 1, "acpitz", 41000)
    at = "sys/class/hwmon/hwmon0"
    put(tmp_path, {f"{at}/name": "coretemp", f"{at}/temp1_input": 70000, f"{at}/temp1_label": "Package id 0",
                   f"{at}/temp1_max": 80000, f"{at}/temp1_crit": 100000})  # fmt: skip
    assert [each.name for each in zones_of(tmp_path)] == ["acpitz", "acpitz 2", "coretemp Package id 0"]
    assert zones_of(tmp_path)[2].throttles_at == 100.0


@pytest.mark.parametrize("rubbish", ["", "hot", "-274000", "999999999"])
def test_a_sensor_that_talks_rubbish_is_left_out(tmp_path: Path, rubbish: str) -> None:
    zone(tmp_path, 0, "cpu", 50000)
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").write_text(rubbish)
    assert zones_of(tmp_path) == ()


def test_throttling_is_a_cooling_device_that_slows_or_a_counter_that_has_risen(tmp_path: Path) -> None:
    assert Throttling(tmp_path).now() is None
    device = "sys/class/thermal/cooling_device0"
    put(tmp_path, {f"{device}/type": "cpufreq-cpu0", f"{device}/cur_state": 0})
    put(
        tmp_path,
        {"sys/class/thermal/cooling_device1/type": "pwm-fan", "sys/class/thermal/cooling_device1/cur_state": 3},
    )
    count = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    put(tmp_path, {count: 7})
    throttling = Throttling(tmp_path)
    assert throttling.now() is False  # the fan turns, and what was counted before is past
    put(tmp_path, {count: 8})
    assert throttling.now() is True
    assert throttling.now() is False
    put(tmp_path, {f"{device}/cur_state": 2})
    assert throttling.now() is True


def test_the_life_of_an_emmc_is_told_in_tenths_and_the_worse_half_counts(tmp_path: Path) -> None:
    put(
        tmp_path, {"sys/block/mmcblk0/device/life_time": "0x01 0x03", "sys/block/mmcblk1/device/life_time": "0x00 0x00"}
    )
    assert life_of_disks(tmp_path) == (Disk("mmcblk0", used_life_percent=30.0),)


def test_without_the_kernel_the_time_service_says_whether_the_clock_is_disciplined(tmp_path: Path) -> None:
    assert wall_clock(tmp_path) is None
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    told = wall_clock(tmp_path)
    assert told is not None
    assert not told.synchronised
    put(tmp_path, {"run/systemd/timesync/synchronized": ""})
    told = wall_clock(tmp_path)
    assert told is not None
    assert told.synchronised


def test_power_and_clocks(tmp_path: Path) -> None:
    assert (power_mode(tmp_path), clocks(tmp_path)) == ("", {})
    put(tmp_path, {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance"})
    for core, khz in enumerate((800000, 3400000)):
        put(tmp_path, {f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq": khz})
    assert power_mode(tmp_path) == "performance"
    put(tmp_path, {"sys/firmware/acpi/platform_profile": "balanced"})
    assert power_mode(tmp_path) == "balanced"
    assert clocks(tmp_path) == {"cpu": 3400}


def test_a_part_that_cannot_be_read_is_named_and_the_rest_is_told(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu", 50000)
    put(tmp_path, {"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "very fast"})
    reading = LinuxSensors(Place(ManualClock(), tmp_path / "outbox", tmp_path)).read()
    assert reading.missing == ("clocks",)
    assert reading.zones[0].celsius == 50.0
    assert reading.disks[0].free_mb


def test_a_machine_without_sys_says_so(tmp_path: Path) -> None:
    with pytest.raises(SensorsLost):
        LinuxSensors(Place(ManualClock(), tmp_path, tmp_path)).read()


def test_a_jetson_without_its_library_is_any_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitting(tmp_path) == "linux"
    put(tmp_path, {"etc/nv_tegra_release": "# R36"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert fitting(tmp_path) == "linux"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert fitting(tmp_path) == "jetson"
