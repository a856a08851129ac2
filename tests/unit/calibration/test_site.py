"""A site's own calibration: a real recording, real engines, real OpenVINO. Only the phantoms' gates are handed in."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from calibration.site import gates as site_gates
from calibration.site import run as site_run
from calibration.site.folder import manifest_toml, toml_text
from calibration.site.recording import FEWEST, open_recording
from calibration.site.run import JUDGE, Options, Outcome
from edge import cli
from edge.backends import Shape, open_backend
from edge.catalog import Catalog, Engine, Judged, Manifest, open_catalog, read_engine
from edge.clock import SECOND
from edge.config import Config, Engines, tomllib
from edge.drift import outside, statistics
from edge.engine_disk import KEPT_GENERATIONS
from edge.engine_store import EngineStore, is_older
from edge.errors import ConfigError, EngineRefused, LimpidError
from edge.frame import Frame, Modality, PixelFormat, Pixels
from edge.phantom import make
from edge.profiles import read_profile
from edge.recording import Recorder, read
from edge.region import Region
from edge.signing import Keyring
from tests.unit.calibration.tiny import frame_of, record, write_engine

FRAMES = 66
GOOD = {"lesions_kept": True, "none_invented": True}


def silent(what: str, part: float) -> None:
    assert 0.0 <= part <= 1.0


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recordings") / "patient-4711.lmpr", FRAMES)


@pytest.fixture
def shipped(tmp_path: Path) -> Engine:
    return write_engine(tmp_path / "shipped")


def config_of(*folders: Path, most_change: float = 12.0) -> Config:
    names = tuple(str(folder) for folder in folders)
    return Config(engines=Engines(folders=names, threads=1, max_change_percent=most_change))


def calibrated(
    recording: Path,
    config: Config,
    to: Path | None = None,
    quick_gates: Callable[[Path], dict[str, bool]] = lambda home: GOOD,
    **options: object,
) -> Outcome:
    wanted = Options(recording, "tiny", to, **options)  # type: ignore[arg-type]
    return site_run.run(wanted, config, silent, quick_gates)


def complaint(*arguments: object, **options: object) -> str:
    with pytest.raises(LimpidError) as caught:
        calibrated(*arguments, **options)  # type: ignore[arg-type]
    return str(caught.value)


# ---------------------------------------------------------------- from a recording to an installed engine


@pytest.fixture(scope="module")
def done(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    home = tmp_path_factory.mktemp("done")
    write_engine(home / "shipped")
    (home / "ours").mkdir()
    return calibrated(recording, config_of(home / "ours", home / "shipped")), home


def test_an_engine_with_ranges_far_too_wide_comes_nearer_to_its_float_net_and_is_installed(
    done: tuple[Outcome, Path],
) -> None:
    outcome, home = done
    assert outcome.failed == []
    assert outcome.figures["gained_db"] > 1.0
    assert outcome.installed == home / "ours" / "tiny"
    assert outcome.in_force
    assert [(each.name, each.kept) for each in outcome.ranges] == [("input", True), ("first", False)]


def test_two_thirds_are_fitted_and_the_last_third_judges(done: tuple[Outcome, Path]) -> None:
    recording = done[0].recording
    assert recording.fitting == tuple(range(44))
    assert recording.judging == tuple(range(44, 66))


def test_what_is_installed_is_what_was_judged_and_the_catalogue_takes_it(done: tuple[Outcome, Path]) -> None:
    outcome, home = done
    catalog = Catalog([home / "ours", home / "shipped"])
    assert catalog.refused == {}
    manifest = catalog.engines["tiny"].manifest
    assert manifest == outcome.manifest
    assert manifest.version.startswith("1+site.2")
    assert manifest.sha256 == hashlib.sha256(catalog.engines["tiny"].read_model()).hexdigest()
    judged = manifest.judged
    assert judged is not None
    assert (judged.sha256, judged.judge, judged.full) == (manifest.sha256, JUDGE, False)
    assert set(judged.gates) == {
        "near_float", "change_bounded", "outside_unchanged", "strength_zero", "no_drift", "finite",
        "phantom_lesions_kept", "phantom_none_invented",
    }  # fmt: skip
    assert all(judged.gates.values())
    assert judged.figures == outcome.figures


def test_the_sites_pictures_are_in_its_profile(done: tuple[Outcome, Path]) -> None:
    outcome, home = done
    engine = Catalog([home / "ours"]).engines["tiny"]
    profile = read_profile(engine)
    assert profile is not None
    assert profile.sha256 == engine.manifest.sha256
    assert outcome.recording.sha256[:12] in profile.clouds[-1].of
    recording = outcome.recording
    shots = recording.shots(recording.judging, lambda _what, _part: None, "")
    found = [statistics(shot.grey, recording.region.mask, recording.shape.full_scale) for shot in shots]
    inside = [figures for figures in found if figures is not None and not outside(figures, profile)]
    assert len(inside) >= 0.9 * len(found) > 0


def test_the_installed_engine_runs(done: tuple[Outcome, Path]) -> None:
    engine = Catalog([done[1] / "ours"]).engines["tiny"]
    session = open_backend("openvino_cpu", 1).open(engine, Shape(64, 64, 8))
    session.start(np.full((64, 64), 90, np.uint8), 1.0)
    assert session.wait(20 * SECOND)
    assert session.result().any()


def test_the_record_names_the_recording_by_its_hash_and_nothing_else(
    done: tuple[Outcome, Path], recording: Path
) -> None:
    text = (done[1] / "ours" / "tiny" / "site.toml").read_text()
    facts = tomllib.loads(text)
    assert facts["recording_sha256"] == hashlib.sha256(recording.read_bytes()).hexdigest()
    assert (facts["frames_fitted"], facts["frames_judged"]) == (44, 22)
    assert facts["base_sha256"] == done[0].base.sha256
    assert [each["name"] for each in facts["range"]] == ["input", "first"]
    told = text + (done[1] / "ours" / "tiny" / "manifest.toml").read_text()
    for private in ("probe", recording.stem, str(recording.parent)):  # the stream's name, the file's
        assert private not in told


def test_a_second_calibration_starts_from_the_shipped_ranges_again(done: tuple[Outcome, Path], recording: Path) -> None:
    outcome, home = done
    again = calibrated(recording, config_of(home / "ours", home / "shipped"))
    assert again.base == outcome.base
    assert again.ranges == outcome.ranges
    assert again.manifest.version.count("+site.") == 1


def test_two_calibrations_of_one_day_are_told_apart_and_the_later_is_the_newer(
    shipped: Engine, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    for second in (5, 6):
        moment = time.struct_time((2026, 11, 20, 14, 30, second, 4, 324, 0))
        monkeypatch.setattr(site_run.time, "gmtime", lambda moment=moment: moment)
        found.append(calibrated(recording, config_of(shipped.folder.parent), dry_run=True).manifest.version)
    assert found == ["1+site.20261120.143005", "1+site.20261120.143006"]
    assert is_older("1+site.20261120", found[0])
    assert is_older(*found)


def test_the_phantoms_see_the_refitted_model_before_it_is_anywhere_to_be_found(
    recording: Path, shipped: Engine, tmp_path: Path
) -> None:
    seen: list[str] = []

    def gates(home: Path) -> dict[str, bool]:
        engine = read_engine(home)
        seen.append(hashlib.sha256(engine.read_model()).hexdigest())
        assert home.name == "tiny"
        assert not (tmp_path / "to").exists() or not list((tmp_path / "to").iterdir())
        return GOOD

    outcome = calibrated(recording, config_of(shipped.folder.parent), tmp_path / "to", gates)
    assert seen == [outcome.manifest.sha256]
    assert not outcome.in_force  # the daemon does not search there


def test_a_dry_run_installs_nothing_and_needs_no_place(recording: Path, shipped: Engine, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    outcome = calibrated(recording, config_of(shipped.folder.parent), blocked, dry_run=True)
    assert outcome.failed == []
    assert outcome.installed is None


def test_fluoroscopy_of_12_bits_is_calibrated_too(tmp_path: Path) -> None:
    write_engine(tmp_path / "shipped", modalities=("fluoroscopy",))
    path = record(tmp_path / "beam.lmpr", FEWEST, "fluoroscopy")
    outcome = calibrated(path, config_of(tmp_path / "shipped"), tmp_path / "to")
    assert outcome.failed == []
    assert outcome.recording.shape.bits == 12


def test_colour_frames_are_calibrated_by_their_grey(recording: Path, shipped: Engine, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, (128, 96))
    for frame in read(recording):
        writer.write(cv2.cvtColor(frame.pixels, cv2.COLOR_GRAY2BGR))
    writer.release()
    config = config_of(shipped.folder.parent)
    said = complaint(tmp_path / "film.avi", config, tmp_path / "to")
    assert "--modality ultrasound" in said
    outcome = calibrated(tmp_path / "film.avi", config, tmp_path / "to", modality="ultrasound")
    assert outcome.failed == []


# ---------------------------------------------------------------- what fails a gate is not installed


def failed(outcome: Outcome, to: Path) -> set[str]:
    assert outcome.installed is None
    assert not to.exists() or not list(to.iterdir())
    assert all(gate.found for gate in outcome.failed)
    return {gate.name for gate in outcome.failed}


def test_an_engine_that_invents_on_phantoms_is_not_installed(recording: Path, shipped: Engine, tmp_path: Path) -> None:
    config = config_of(shipped.folder.parent)
    outcome = calibrated(recording, config, tmp_path / "to", lambda home: GOOD | {"none_invented": False})
    assert failed(outcome, tmp_path / "to") == {"phantom_none_invented"}


def test_an_engine_that_changes_more_than_the_configuration_allows_is_not_installed_nor_shown_phantoms(
    recording: Path, shipped: Engine, tmp_path: Path
) -> None:
    config = config_of(shipped.folder.parent, most_change=1.0)
    outcome = calibrated(recording, config, tmp_path / "to", lambda home: pytest.fail("too early"))
    assert failed(outcome, tmp_path / "to") == {"change_bounded"}


def test_ranges_fitted_to_dim_pictures_fail_on_bright_ones_that_follow(tmp_path: Path) -> None:
    write_engine(tmp_path / "shipped", limit=0.5)
    phantom = make("ultrasound", width=128, height=96, furniture=False)
    with Recorder(tmp_path / "dim.lmpr") as recorder:
        for seq in range(FRAMES):
            frame = frame_of(phantom, seq)
            if seq < 50:
                dim = (frame.pixels * 0.35).astype(np.uint8)
                frame = Frame(**{name: getattr(frame, name) for name in Frame.__slots__} | {"pixels": dim})
            recorder.add(frame)
    outcome = calibrated(tmp_path / "dim.lmpr", config_of(tmp_path / "shipped"), tmp_path / "to")
    assert failed(outcome, tmp_path / "to") == {"near_float"}
    assert outcome.figures["gained_db"] < 0


@pytest.mark.parametrize(("odd", "gate"), [("growing", "no_drift"), ("strength", "strength_zero"), ("nan", "finite")])
def test_an_engine_that_is_odd_fails_the_gate_that_is_for_it(
    recording: Path, shipped: Engine, tmp_path: Path, odd: str, gate: str
) -> None:
    engine = write_engine(tmp_path / "odd", odd=odd)
    ours = open_recording(recording, "", silent)
    found = site_gates.judge(engine, shipped, ours, open_backend("openvino_cpu", 1), 0.12, silent)
    assert gate in {each.name for each in found.gates if not each.met}


def test_a_pixel_outside_the_region_that_changes_fails_its_gate(
    recording: Path, shipped: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = site_gates.regions.put_back

    def careless(original: Pixels, pixel_format: PixelFormat, enhanced: Pixels, region: Region, out: Pixels) -> None:
        whole(original, pixel_format, enhanced, region, out)
        out[0, 0] += 1

    ours = open_recording(recording, "", silent)
    assert ours.region.mask[0, 0] == 0
    monkeypatch.setattr(site_gates.regions, "put_back", careless)
    found = site_gates.judge(shipped, shipped, ours, open_backend("openvino_cpu", 1), 0.12, silent)
    assert {each.name for each in found.gates if not each.met} == {"outside_unchanged"}


# ---------------------------------------------------------------- recordings and engines that cannot serve


def test_too_few_frames(shipped: Engine, tmp_path: Path) -> None:
    path = record(tmp_path / "short.lmpr", 5)
    assert f"5 frames; {FEWEST} are needed" in complaint(path, config_of(shipped.folder.parent), tmp_path / "to")


@pytest.mark.parametrize("harm", ["one bit", "cut short", "empty", "text"])
def test_a_damaged_recording(recording: Path, shipped: Engine, tmp_path: Path, harm: str) -> None:
    whole = recording.read_bytes()
    bit = bytearray(whole)
    bit[len(whole) // 2] ^= 4
    path = tmp_path / "harmed.lmpr"
    path.write_bytes({"one bit": bytes(bit), "cut short": whole[:-9], "empty": b"", "text": b"not a recording"}[harm])
    said = complaint(path, config_of(shipped.folder.parent), tmp_path / "to")
    assert str(path) in said
    assert "damaged" in said or "is not a recording" in said
    assert not (tmp_path / "to" / "tiny").exists()


def test_no_recording_at_all(shipped: Engine, tmp_path: Path) -> None:
    said = complaint(tmp_path / "nowhere.lmpr", config_of(shipped.folder.parent), tmp_path / "to")
    assert "No such file" in said


def test_a_recording_of_another_modality(recording: Path, tmp_path: Path) -> None:
    write_engine(tmp_path / "shipped", modalities=("fluoroscopy", "unknown"))
    said = complaint(recording, config_of(tmp_path / "shipped"), tmp_path / "to")
    assert "shows ultrasound; tiny is made for fluoroscopy" in said


def test_frames_without_an_image(shipped: Engine, tmp_path: Path) -> None:
    blank = Frame(np.zeros((96, 128), np.uint8), "probe", 0, 1, 1, modality=Modality.ULTRASOUND)
    with Recorder(tmp_path / "black.lmpr") as recorder:
        for _ in range(FEWEST):
            recorder.add(blank)
    said = complaint(tmp_path / "black.lmpr", config_of(shipped.folder.parent), tmp_path / "to")
    assert "no image was found" in said


def changed_midway(path: Path, at: int, **changes: object) -> Path:
    """From one frame on, the scanner shows something else."""
    before, after = make("ultrasound", width=128, height=96), make("ultrasound", width=144, height=112)
    with Recorder(path) as recorder:
        for seq in range(80):
            frame = frame_of(before if seq < at or changes else after, seq)
            if seq >= at:
                frame = Frame(**{name: getattr(frame, name) for name in Frame.__slots__} | changes)
            recorder.add(frame)
    return path


def test_frames_of_another_screen_are_left_out(shipped: Engine, tmp_path: Path) -> None:
    ours = open_recording(changed_midway(tmp_path / "late.lmpr", at=15), "", silent)
    assert ours.usable == tuple(range(15, 80))


def with_a_menu(path: Path, frames: int, covered: set[int]) -> Path:
    """In some frames a menu lies over everything but the image."""
    phantom = make("ultrasound", width=128, height=96)
    with Recorder(path) as recorder:
        for seq in range(frames):
            frame = frame_of(phantom, seq)
            if seq in covered:
                pixels = np.where(phantom.mask == 0, 200, frame.pixels).astype(np.uint8)
                frame = Frame(**{name: getattr(frame, name) for name in Frame.__slots__} | {"pixels": pixels})
            recorder.add(frame)
    return path


def test_the_screen_of_the_most_frames_is_the_one_whichever_is_looked_at_last(tmp_path: Path) -> None:
    ours = open_recording(with_a_menu(tmp_path / "menu.lmpr", 82, {80, 81}), "", silent)
    assert ours.usable == tuple(range(80))


@pytest.mark.parametrize("covered", [{85, 86}, set[int]()], ids=["a menu shortly before the end", "undisturbed"])
def test_drift_is_looked_for_in_the_longest_run_without_an_interruption(tmp_path: Path, covered: set[int]) -> None:
    write_engine(tmp_path / "shipped", odd="growing")
    path = with_a_menu(tmp_path / "menu.lmpr", 90, covered)
    outcome = calibrated(path, config_of(tmp_path / "shipped"), tmp_path / "to")
    assert [gate.name for gate in outcome.failed] == ["no_drift"]
    zero = next(gate for gate in outcome.gates if gate.name == "strength_zero")
    assert "10 of 10 frames" in zero.found


def test_a_recording_that_is_interrupted_too_often_to_show_drift_is_refused(tmp_path: Path) -> None:
    write_engine(tmp_path / "shipped", odd="growing")
    path = with_a_menu(tmp_path / "menu.lmpr", 66, {61, 62})
    said = complaint(path, config_of(tmp_path / "shipped"), tmp_path / "to")
    assert "at most 18 follow each other without an interruption; 20 are needed" in said
    assert not list((tmp_path / "to").iterdir())


def test_of_nothing_there_is_no_likeness() -> None:
    nothing = site_gates.Likeness(255, np.ones((2, 2), bool))
    assert np.isnan(nothing.decibels)


def test_a_screen_that_changes_too_often(shipped: Engine, tmp_path: Path) -> None:
    path = changed_midway(tmp_path / "half.lmpr", at=40)
    said = complaint(path, config_of(shipped.folder.parent), tmp_path / "to")
    assert "only 40 of its frames show one and the same screen" in said


def test_two_streams_in_one_recording(shipped: Engine, tmp_path: Path) -> None:
    path = changed_midway(tmp_path / "two.lmpr", at=40, stream="other")
    assert "more than one stream" in complaint(path, config_of(shipped.folder.parent), tmp_path / "to")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fp32": "", "fp32_sha256": ""}, "no float twin"),
        ({"precision": "fp32"}, "has no ranges to fit"),
        ({"scale": 2}, "enlarges"),
        ({"version": "1+site.20250101"}, "only a calibrated version"),
        ({"name": "other"}, 'no engine "tiny"; there are: '),
        ({"judged": Judged("0" * 64, "judge 1", True, {"kept": True})}, "judged as another model"),
    ],
)
def test_engines_that_cannot_be_calibrated_are_told_apart(
    recording: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    write_engine(tmp_path / "shipped", **changes)
    assert said in complaint(recording, config_of(tmp_path / "shipped"), tmp_path / "to")


def test_a_damaged_model_or_twin_is_refused(recording: Path, shipped: Engine, tmp_path: Path) -> None:
    for file in ("fp32.onnx", "model.onnx"):
        path = shipped.folder / file
        path.write_bytes(path.read_bytes()[:-1])
        said = complaint(recording, config_of(shipped.folder.parent), tmp_path / "to")
        assert f"{file} is damaged or altered" in said
    assert not list((tmp_path / "to").iterdir())


def test_a_folder_that_somebody_else_put_there_is_not_replaced(recording: Path, shipped: Engine) -> None:
    home = shipped.folder.parent
    said = complaint(recording, config_of(home), home)
    assert "was put there by hand" in said
    assert read_engine(home / "tiny").manifest.version == "1"


def test_without_a_judge_nothing_is_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "calibration.judge", None)
    with pytest.raises(ConfigError, match="the judge cannot be used"):
        site_run.run(Options(tmp_path / "nowhere", "tiny"), Config(), silent)


# ---------------------------------------------------------------- installing, whatever interrupts it


class PowerCut(BaseException):
    """Nothing runs after it: no handler in the code catches it."""


def files_of(engine: Engine) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in engine.folder.iterdir()}


@pytest.fixture
def versions(tmp_path: Path) -> dict[str, dict[str, bytes]]:
    return {v: files_of(write_engine(tmp_path / f"v{v}", limit=float(v), version=v)) for v in "123"}


CALLS = [
    (os, "fsync"), (Path, "rename"), (Path, "symlink_to"), (Path, "open"), (os, "open"), (Path, "chmod"),
    (os, "write"), (Path, "unlink"),
]  # fmt: skip


def install(to: Path, name: str, files: dict[str, bytes]) -> Path:
    """As a calibration does, once it has judged: into the store, and active."""
    manifest = msgspec.convert(tomllib.loads(files["manifest.toml"].decode()), Manifest)
    return EngineStore(to, Keyring(to / ".keys"), "calibrate").install_files(name, manifest.version, files)


def installed_versions(to: Path) -> list[str]:
    return [version.number for version in EngineStore(to, Keyring(to / ".keys"), "test").versions("tiny")]


def cut_at(moment: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The power goes just before the `moment`-th thing that is done to the disk."""
    done: list[str] = []

    def counting(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **more: object) -> object:
            if len(done) == moment:
                raise PowerCut
            done.append(name)
            return real(*arguments, **more)

        return call

    for owner, name in CALLS:
        monkeypatch.setattr(owner, name, counting(name, getattr(owner, name)))
    return done


def test_a_power_cut_at_any_moment_leaves_the_old_engine_or_the_new_one(
    versions: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    to = tmp_path / "to"
    install(to, "tiny", versions["1"])
    seen: list[str] = []
    moment = 0
    while not seen or seen[-1] != "done":
        with pytest.MonkeyPatch.context() as patched:
            cut_at(moment, patched)
            try:
                install(to, "tiny", versions["2"])
                seen.append("done")
            except PowerCut:
                pass
        catalog = Catalog([to])
        assert catalog.refused == {}
        engine = catalog.engines["tiny"]
        assert len(engine.read_model()) > 1000
        if not seen or seen[-1] != "done":
            seen.append(engine.manifest.version)
        moment += 1
    assert seen[0] == "1"
    assert seen == sorted(seen)  # old, then new, and never back
    assert moment > 10
    assert Catalog([to]).engines["tiny"].manifest.version == "2"


def test_everything_is_on_the_disk_before_the_link_turns(
    versions: dict[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cut_at(10**6, monkeypatch)
    install(tmp_path / "to", "tiny", versions["1"])
    named = done.index("rename")
    assert done[:named].count("fsync") == len(versions["1"]) + 1  # each file, and their folder
    turns = [n for n, call in enumerate(done) if call == "rename"]
    assert len(turns) == 3  # the folder gets its name, the generation is made, the link turns
    for turn in turns:
        assert "fsync" in done[turn : turn + 3]  # the folder that holds it, before anything else is done


def test_a_process_killed_between_writing_and_turning_leaves_the_old_engine(
    versions: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    to = tmp_path / "to"
    install(to, "tiny", versions["1"])
    script = (
        "import os, signal, sys; from pathlib import Path; from edge.engine_store import EngineStore\n"
        "from edge.signing import Keyring\n"
        "source, to = Path(sys.argv[2]), Path(sys.argv[1])\n"
        "files = {p.name: p.read_bytes() for p in source.iterdir()}\n"
        "EngineStore(to, Keyring(to / '.keys'), 'calibrate').put_files('tiny', '2', files)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    line = [sys.executable, "-c", script, str(to), str(tmp_path / "v2" / "tiny")]
    killed = subprocess.run(line, cwd=Path(__file__).parents[3], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert installed_versions(to) == ["1", "2"]
    assert Catalog([to]).engines["tiny"].manifest.version == "1"
    assert len(Catalog([to]).engines) == 1
    install(to, "tiny", versions["3"])
    assert Catalog([to]).engines["tiny"].manifest.version == "3"
    assert installed_versions(to) == ["1", "2", "3"]


def test_a_daemon_that_runs_the_version_before_can_still_read_it(
    versions: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    to = tmp_path / "to"
    install(to, "tiny", versions["1"])
    running = Catalog([to]).engines["tiny"]
    install(to, "tiny", versions["2"])
    assert running.read_model() == versions["1"]["model.onnx"]
    assert Catalog([to]).engines["tiny"].read_model() == versions["2"]["model.onnx"]
    assert running.read_model() == versions["1"]["model.onnx"]


def test_of_many_calibrations_the_last_few_are_kept(versions: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    to = tmp_path / "to"
    for _ in range(4):
        for version in "123":
            install(to, "tiny", versions[version])
    assert len(installed_versions(to)) == KEPT_GENERATIONS


def test_the_daemon_of_another_user_can_read_what_was_installed(
    versions: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    link = install(tmp_path / "to", "tiny", versions["1"])
    assert link.resolve().stat().st_mode & 0o055 == 0o055
    assert not link.readlink().is_absolute()  # the folder may be moved, or mounted elsewhere


# ---------------------------------------------------------------- what is written can be read


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    judged = Judged(
        "0" * 64, 'judge "1"', True, {"odd name": True, "x": False}, {"t": False}, {"t": "é\n\\"}, {"db": -1e-7}
    )
    engine = write_engine(tmp_path, limits='say "no"\tor \\ not\x7f', judged=judged)
    assert engine.manifest.judged == judged
    assert engine.manifest.limits == 'say "no"\tor \\ not\x7f'
    assert tomllib.loads(manifest_toml(engine.manifest))["judged"]["gates"] == {"odd name": True, "x": False}


def test_tables_within_tables() -> None:
    facts = {
        "a": 1,
        "none": None,
        "deep": {"b": [1.5, 2], "deeper": {"c": "d"}},
        "many": [{"n": 1}, {"n": 2, "m": {"k": True}}],
    }
    told = tomllib.loads(toml_text(facts))
    assert told == {key: value for key, value in facts.items() if value is not None}


# ---------------------------------------------------------------- the command


def limpid(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["limpid", *map(str, arguments)])
    monkeypatch.setattr(cli.app, "registered_commands", list(cli.app.registered_commands))
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.fixture
def configured(tmp_path: Path, shipped: Engine, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ours").mkdir()
    path = tmp_path / "limpid.toml"
    path.write_text(f'[engines]\nfolders = ["{tmp_path}/ours", "{shipped.folder.parent}"]\nthreads = 1\n')
    monkeypatch.setattr(site_run, "phantom_gates", lambda: lambda home: GOOD)
    return path


def test_the_command_is_one_of_limpids() -> None:
    assert [point.value for point in entry_points(group=cli.EXTRA_COMMANDS, name="calibrate")] == [
        "calibration.site:calibrate"
    ]


def test_with_json_it_prints_one_object(
    recording: Path, configured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = limpid(monkeypatch, "calibrate", recording, "--engine", "tiny", "--config", configured, "--json")
    assert status == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert told["in_force"]
    assert told["installed"] == str(configured.parent / "ours" / "tiny")
    assert told["ranges"]["first"]["new"] < told["ranges"]["first"]["old"]
    assert told["gates"] == dict.fromkeys(told["gates"], True)
    assert recording.stem not in json.dumps(told)


def test_a_failed_gate_ends_with_1_and_says_which_and_by_how_much(
    recording: Path, configured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured.write_text(configured.read_text() + "max_change_percent = 1\n")
    status = limpid(monkeypatch, "calibrate", recording, "--engine", "tiny", "--config", configured)
    shown = capsys.readouterr().out
    assert status == 1
    assert "not installed: change_bounded" in shown
    assert "1 % is allowed" in shown
    assert not list((configured.parent / "ours").iterdir())


def test_success_is_told_with_the_next_step(
    recording: Path, configured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    to = configured.parent / "elsewhere"
    assert limpid(monkeypatch, "calibrate", recording, "--engine", "tiny", "-c", configured, "--to", to) == 0
    shown = capsys.readouterr().out
    assert f"installed: {to}/tiny" in shown
    assert f'add "{to}" to folders in [engines]' in shown
    assert open_catalog([str(to)]).engines["tiny"].manifest.is_judged


def test_the_operators_mistake_is_one_line_and_2(
    configured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = limpid(monkeypatch, "calibrate", "nowhere.lmpr", "--engine", "tiny", "--config", configured)
    assert status == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_an_engine_that_is_refused_is_not_its_operators_mistake(
    recording: Path, configured: Path, shipped: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shipped.folder / "fp32.onnx").unlink()
    assert limpid(monkeypatch, "calibrate", recording, "--engine", "tiny", "--config", configured) == 1
    with pytest.raises(EngineRefused, match="No such file"):
        calibrated(recording, config_of(shipped.folder.parent), configured.parent / "to")
