"""Engines on disk: find them, check them, choose the variant. Nothing here runs one.

An engine is a folder with a `manifest.toml` and an ONNX file. The contract (number 1) is the file's signature:

    inputs    frame       float [1, 1, h, w]   levels 0..full_scale
              full_scale  float []             255, 1023 .. 65535
              strength    float []             0..1
              NAME_in     float                recurrent state, zeros where there is no past
    outputs   enhanced    float [1, 1, h, w]   whole levels 0..full_scale; [1, 1, 2h, 2w] of an engine of scale 2
              NAME_out    float                the state for the next frame

so a backend needs to know nothing of what an engine does. What the judge found stands in the manifest, too: an engine
that is not safe by it, or that was judged as another model, is not in the catalogue. Nor is one that came as a signed
bundle and is no longer what was signed, or whose key was revoked since.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge import bundle
from edge.config import parse_section, tomllib
from edge.errors import ConfigError, EngineRefused
from edge.signing import Keyring

CONTRACT = 1
SIZES = ("large", "medium", "small")
CHOICE_FILE = "verified.json"
KEYS = ".keys"  # in a folder of engines: which keys are trusted there, unless the configuration names another place
Dim = Annotated[str, msgspec.Meta(pattern=r"^[hw](/[1-9][0-9]*)?\Z")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Gates = Annotated[dict[str, bool], msgspec.Meta(min_length=1)]


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One recurrent tensor. Its shape may depend on the picture's: "h", "w/4"."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*\Z")]
    shape: tuple[int | Dim, ...]

    def resolve(self, height: int, width: int) -> tuple[int, ...]:
        return tuple(_resolve(dim, height, width) for dim in self.shape)


class Judged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[judged]: what the judge found, and of which model. One gate that is not met and the engine is not opened."""

    sha256: Sha256
    judge: Annotated[str, msgspec.Meta(min_length=1)]  # who judged, and which version
    full: bool  # false: a quick run, on fewer frames
    gates: Gates  # safety: lesions kept, none invented, INT8 near float, no drift ...
    targets: dict[str, bool] = {}  # aims: a miss is stated, and refuses nothing
    missed: dict[str, str] = {}  # for each target that is missed, why
    figures: dict[str, float] = {}

    @property
    def unsafe(self) -> list[str]:
        return sorted(name for name, met in self.gates.items() if not met)

    @property
    def shortfalls(self) -> dict[str, str]:
        """Target -> why it is missed."""
        return {name: self.missed.get(name, "no reason given") for name, met in self.targets.items() if not met}


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    contract: int
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,47}\Z")]
    family: str
    size: Literal["large", "medium", "small"]
    version: str
    task: str
    modalities: tuple[Literal["ultrasound", "fluoroscopy", "unknown"], ...]
    model: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]+\Z")]
    sha256: Sha256
    precision: Literal["int8", "fp16", "fp32"]
    multiple: Annotated[int, msgspec.Meta(ge=1, le=64)]  # sides of the picture are padded to a multiple of this
    kmac_per_px: float
    licence: str
    limits: str
    state: tuple[State, ...] = ()
    scale: Literal[1, 2] = 1  # the result's sides against the frame's
    fp32: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]*\Z")] = ""  # the same net in float
    fp32_sha256: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    judged: Judged | None = None

    @property
    def is_judged(self) -> bool:
        return self.judged is not None

    @property
    def inputs(self) -> set[str]:
        return {"frame", "full_scale", "strength", *(f"{s.name}_in" for s in self.state)}

    @property
    def outputs(self) -> set[str]:
        return {"enhanced", *(f"{s.name}_out" for s in self.state)}


class Choice(msgspec.Struct, frozen=True):
    """`verified.json`, beside an installed engine: what was found on this device before it was activated."""

    backend: str
    precision: str  # which of its two nets may run here: its own, or the float twin's where INT8 is not worth it
    verdict: str  # the same in words, with the reason


@dataclass(frozen=True, slots=True)
class Engine:
    """A manifest that was read, and where it lies. Its model is checked at each opening, not here."""

    manifest: Manifest
    folder: Path
    choice: Choice | None = None

    @property
    def model_path(self) -> Path:
        return self.folder / self.manifest.model

    def read_model(self) -> bytes:
        """The model's bytes, exactly those the manifest vouches for."""
        try:
            model = self.model_path.read_bytes()
        except OSError as error:
            raise EngineRefused(f"{self.manifest.name}: {self.model_path}: {error.strerror}") from error
        found = hashlib.sha256(model).hexdigest()
        if found != self.manifest.sha256:
            raise EngineRefused(
                f"{self.manifest.name}: {self.manifest.model} is damaged or altered "
                f"(sha256 {found[:12]}…, the manifest says {self.manifest.sha256[:12]}…)"
            )
        return model


def read_engine(folder: Path) -> Engine:
    """An engine whatever its judgement: the judge itself reads by this. Raises EngineRefused."""
    path = folder / "manifest.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise EngineRefused(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EngineRefused(f"{path}: {error}") from error
    manifest = parse_manifest(text, path)
    if manifest.contract != CONTRACT:
        raise EngineRefused(f"{manifest.name}: made for contract {manifest.contract}, this daemon has {CONTRACT}")
    if bool(manifest.fp32) != bool(manifest.fp32_sha256):
        raise EngineRefused(f"{manifest.name}: fp32 and fp32_sha256 belong together")
    return Engine(manifest, folder, _choice(folder))


def parse_manifest(text: str, path: Path) -> Manifest:
    """PATH: where it stands, or is to stand. Raises EngineRefused."""
    try:
        return parse_section(tomllib.loads(text), Manifest, "")
    except (tomllib.TOMLDecodeError, ConfigError) as error:
        raise EngineRefused(f"{path}: {error}") from error


def _choice(folder: Path) -> Choice | None:
    try:
        return msgspec.json.decode((folder / CHOICE_FILE).read_bytes(), type=Choice)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None  # it was never verified here: its own precision


def check_judgement(manifest: Manifest) -> None:
    """Raises EngineRefused for one that was found unsafe, or whose judgement is of another model."""
    judged = manifest.judged
    if judged is None:
        return
    if judged.sha256 != manifest.sha256:
        raise EngineRefused(
            f"{manifest.name}: judged as another model (sha256 {judged.sha256[:12]}…, "
            f"the manifest's model is {manifest.sha256[:12]}…)"
        )
    if judged.unsafe:
        raise EngineRefused(f"{manifest.name}: found unsafe by {judged.judge}: fails {', '.join(judged.unsafe)}")


def float_twin(engine: Engine) -> Engine:
    """The same net in float, as an engine of its own: what its INT8 form is judged against."""
    manifest = engine.manifest
    if not manifest.fp32:
        raise EngineRefused(f"{manifest.name}: has no float twin")
    twin = msgspec.structs.replace(
        manifest, model=manifest.fp32, sha256=manifest.fp32_sha256, precision="fp32", judged=None
    )
    return replace(engine, manifest=twin)


def as_chosen(engine: Engine, backend: str) -> Engine:
    """The engine as it is to run on this backend: itself, or its float twin where that was found to be the one."""
    choice = engine.choice
    chosen = choice is not None and choice.backend == backend and choice.precision != engine.manifest.precision
    return float_twin(engine) if chosen and engine.manifest.fp32 else engine


class Catalog:
    """Every engine found, and every folder refused with its reason.

    Any thread reads; one thread reloads. What is read is replaced whole, so that a reader sees the old or the new.
    """

    def __init__(self, folders: Iterable[Path], keys: str = "") -> None:
        self._folders = tuple(folders)
        self._keys = keys
        self.edition = 0  # how often it was reloaded
        self.versions: dict[str, str] = {}  # sha256 of a model -> its version; also of those that were here once
        self.engines, self.refused = self._read()

    def reload(self) -> None:
        """See what is on the disk now. What is open goes on; the survey opens what changed (a new edition)."""
        self.engines, self.refused = self._read()
        self.edition += 1

    def _read(self) -> tuple[dict[str, Engine], dict[str, str]]:
        engines: dict[str, Engine] = {}
        refused: dict[str, str] = {}
        for folder in self._folders:
            keyring = Keyring(Path(self._keys).expanduser() if self._keys else folder / KEYS)
            for home in sorted(path.parent for path in folder.glob("*/manifest.toml")):
                if home.name.startswith("."):  # being installed, or replaced
                    continue
                try:
                    # A link is followed once, here: what it is turned to later is another engine than this manifest's.
                    engine = read_engine(home.resolve())
                    bundle.check_folder(engine.folder, keyring)
                    check_judgement(engine.manifest)
                except (EngineRefused, ConfigError) as error:
                    refused[str(home)] = str(error)
                    continue
                engines.setdefault(engine.manifest.name, engine)  # earlier folders win
        # One dict for good: captures hold on to it, and a picture by an engine that is gone may be stored yet.
        self.versions |= {engine.manifest.sha256: engine.manifest.version for engine in engines.values()}
        self.versions |= {e.manifest.fp32_sha256: e.manifest.version for e in engines.values() if e.manifest.fp32}
        return engines, refused

    @property
    def families(self) -> list[str]:
        """Those of the live path."""
        return sorted({engine.manifest.family for engine in self.engines.values() if engine.manifest.scale == 1})

    def family(self, name: str, modality: str) -> dict[str, Engine]:
        """Size -> engine, for one family and modality of the live path; empty where there is none. Of two of one size
        the one that was found first: one's own before a shipped one.
        """
        found: dict[str, Engine] = {}
        for engine in self.engines.values():
            manifest = engine.manifest
            if manifest.family == name and modality in manifest.modalities and manifest.scale == 1:
                found.setdefault(manifest.size, engine)
        return found

    def upscalers(self, modality: str) -> dict[str, Engine]:
        """Name -> engine, of those whose result is twice the frame's sides."""
        return {
            name: engine
            for name, engine in self.engines.items()
            if engine.manifest.scale == 2 and modality in engine.manifest.modalities
        }


def shipped_folder() -> Path:
    """The engines that came with the package: beside it, in a checkout as where it is installed."""
    return Path(__file__).resolve().parent.parent / "engines"


def open_catalog(folders: Iterable[str], keys: str = "") -> Catalog:
    own = [Path(folder).expanduser() for folder in folders]
    for folder in own:
        if not folder.is_dir():
            raise ConfigError(f"[engines] folders: {folder} is not a folder")
    return Catalog([*own, shipped_folder()], keys)


def _resolve(dim: int | str, height: int, width: int) -> int:
    if isinstance(dim, int):
        return dim
    match = re.fullmatch(r"([hw])(?:/([0-9]+))?", dim)
    assert match is not None, dim  # the manifest's pattern has checked it
    return (height if match[1] == "h" else width) // int(match[2] or 1)
