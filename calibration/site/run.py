"""The site's own calibration, step by step: read, re-fit, judge, install. What it says is in `calibration/site`."""

from __future__ import annotations

import hashlib
import importlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from calibration.profiling import with_site
from calibration.refit import Range, Refit, Sample, refit
from calibration.site.folder import manifest_toml, toml_text
from calibration.site.gates import Findings, Gate, judge
from calibration.site.recording import SiteRecording, Tell, open_recording
from edge import __version__
from edge.backends import open_backend
from edge.catalog import Catalog, Engine, Judged, Manifest, float_twin, open_catalog, read_engine, shipped_folder
from edge.config import Config
from edge.drift import Profile, statistics
from edge.engine_store import EngineStore, home_of, keyring_of
from edge.errors import ConfigError, EngineRefused
from edge.profiles import PROFILE_FILE, read_profile

QuickGates = Callable[[Path], dict[str, bool]]
SITE_MARK = "+site."
JUDGE = f"limpid calibrate {__version__}"


@dataclass(frozen=True, slots=True)
class Options:
    recording: Path
    engine: str
    to: Path | None = None
    modality: str = ""  # where the recording knows none
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found, and what was done about it."""

    manifest: Manifest
    base: Manifest
    recording: SiteRecording
    ranges: tuple[Range, ...]
    gates: list[Gate] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    installed: Path | None = None
    in_force: bool = False  # the daemon's configuration will find it

    @property
    def failed(self) -> list[Gate]:
        return [gate for gate in self.gates if not gate.met]


def run(options: Options, config: Config, tell: Tell, quick_gates: QuickGates | None = None) -> Outcome:
    """Raises ConfigError or EngineRefused where there is nothing to judge; a failed gate is an outcome."""
    quick_gates = quick_gates or phantom_gates()
    base = base_engine(config, options.engine)
    store = EngineStore(options.to or home_of(config.engines), keyring_of(config.engines), "calibrate")
    if not options.dry_run:
        store.check_place(options.engine)
    recording = open_recording(options.recording, options.modality, tell)
    _check_fits(base.manifest, recording)
    refitted = _refitted(base, recording, tell)
    manifest = _manifest(base.manifest, refitted.model)
    profile = _profile(base, manifest, recording, tell)
    files = {
        PROFILE_FILE: msgspec.json.encode(profile),
        manifest.model: refitted.model,
        manifest.fp32: float_twin(base).read_model(),
        "site.toml": _record(base.manifest, recording, refitted.ranges).encode(),
        "manifest.toml": manifest_toml(manifest).encode(),
    }
    found = _judged(base, files, recording, config, tell, quick_gates)
    manifest = msgspec.structs.replace(manifest, judged=_judgement(manifest, found))
    files["manifest.toml"] = manifest_toml(manifest).encode()
    wanted = all(gate.met for gate in found.gates) and not options.dry_run
    installed = store.install_files(manifest.name, manifest.version, files) if wanted else None
    return Outcome(
        manifest, base.manifest, recording, refitted.ranges, found.gates, found.figures,
        installed, installed is not None and _is_in_force(config, manifest),
    )  # fmt: skip


def phantom_gates() -> QuickGates:
    """The judge's own quick run; looked for before any long work."""
    try:
        return importlib.import_module("calibration.judge").quick_gates
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigError(f"the judge cannot be used, and nothing is installed without it: {error}") from error


def base_engine(config: Config, name: str) -> Engine:
    """The engine as it was shipped: ranges are always fitted anew from it, never from an earlier site's."""
    known: set[str] = set()
    for folder in (*(Path(folder).expanduser() for folder in config.engines.folders), shipped_folder()):
        catalog = Catalog([folder], config.engines.keys)
        known |= set(catalog.engines)
        for reason in catalog.refused.values():
            if reason.startswith(f"{name}: "):
                raise EngineRefused(reason)
        engine = catalog.engines.get(name)
        if engine is not None and SITE_MARK not in engine.manifest.version:
            _check_can_be_refitted(engine.manifest)
            return engine
    if name in known:
        raise ConfigError(f'of "{name}" there is only a calibrated version; the shipped one is needed beside it')
    raise ConfigError(f'no engine "{name}"; there are: {", ".join(sorted(known)) or "none"}')


def _check_can_be_refitted(manifest: Manifest) -> None:
    if manifest.precision != "int8":
        raise ConfigError(f"{manifest.name} is {manifest.precision}: it has no ranges to fit")
    if not manifest.fp32:
        raise ConfigError(f"{manifest.name} has no float twin: nothing to judge new ranges by")
    if manifest.scale != 1:
        raise ConfigError(f"{manifest.name} enlarges: only engines of the live path are calibrated")


def _check_fits(manifest: Manifest, recording: SiteRecording) -> None:
    if recording.modality not in manifest.modalities:
        made_for = ", ".join(each for each in manifest.modalities if each != "unknown")
        raise ConfigError(f"{recording.path}: shows {recording.modality}; {manifest.name} is made for {made_for}")


def _refitted(base: Engine, recording: SiteRecording, tell: Tell) -> Refit:
    shots = recording.shots(recording.fitting, tell, "fitting the ranges")
    return refit(base, (Sample(shot.grey, shot.begins) for shot in shots), recording.shape)


def _manifest(base: Manifest, model: bytes) -> Manifest:
    # To the second, by a clock that no season turns back: another content needs another version.
    version = f"{base.version}{SITE_MARK}{time.strftime('%Y%m%d.%H%M%S', time.gmtime())}"
    return msgspec.structs.replace(base, version=version, sha256=hashlib.sha256(model).hexdigest(), judged=None)


def _profile(base: Engine, manifest: Manifest, recording: SiteRecording, tell: Tell) -> Profile:
    """What the engine was judged on, and this recording."""
    shots = recording.shots(recording.judging, tell, "looking at what the pictures are like")
    mask, full = recording.region.mask, recording.shape.full_scale
    found = [statistics(shot.grey, mask, full) for shot in shots]
    rows = [figures for figures in found if figures is not None]
    if not rows:
        raise ConfigError(f"{recording.path}: the image in it is too small to tell what it is like")
    of = f"the site's recording, sha256 {recording.sha256[:12]}"
    return with_site(read_profile(base), manifest.sha256, manifest.name, rows, of)


def _judged(
    base: Engine,
    files: dict[str, bytes],
    recording: SiteRecording,
    config: Config,
    tell: Tell,
    quick_gates: QuickGates,
) -> Findings:
    backend = open_backend("openvino_cpu", config.engines.threads)
    with tempfile.TemporaryDirectory(prefix="limpid-calibrate-") as temporary:
        home = Path(temporary) / base.manifest.name
        home.mkdir()
        for name, content in files.items():
            (home / name).write_bytes(content)
        most = config.engines.max_change_percent / 100
        found = judge(read_engine(home), base, recording, backend, most, tell)
        if all(gate.met for gate in found.gates):
            tell("judging on phantoms", 0.0)
            for name, met in quick_gates(home).items():
                found.add(f"phantom_{name}", met, "on the judge's phantoms")
            tell("judging on phantoms", 1.0)
    return found


def _judgement(manifest: Manifest, found: Findings) -> Judged:
    gates = {gate.name: gate.met for gate in found.gates}
    return Judged(manifest.sha256, JUDGE, full=False, gates=gates, figures=found.figures)


def _record(base: Manifest, recording: SiteRecording, ranges: tuple[Range, ...]) -> str:
    """What the engine was fitted to: enough to find the very recording again, and nothing about a patient."""
    facts: dict[str, object] = {
        "made_by": JUDGE,
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "base_version": base.version,
        "base_sha256": base.sha256,
        "recording_sha256": recording.sha256,
        "modality": recording.modality,
        "region": [recording.shape.width, recording.shape.height],
        "bits": recording.shape.bits,
        "frames_fitted": len(recording.fitting),
        "frames_judged": len(recording.judging),
        "range": [msgspec.to_builtins(each) for each in ranges],
    }
    return toml_text(facts)


def _is_in_force(config: Config, manifest: Manifest) -> bool:
    found = open_catalog(config.engines.folders, config.engines.keys).engines.get(manifest.name)
    return found is not None and found.manifest.sha256 == manifest.sha256
