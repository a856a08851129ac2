"""Who takes part: the unprocessed picture, engines in INT8 and in float, and the classical peers.

Each is opened once for each sample depth and kept; the judge runs in one thread.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import cv2

from calibration.peers import LOOK_BACK, PEERS, open_peer
from calibration.treatment import Treatment
from edge.backends import Session, Shape
from edge.backends.openvino_cpu import OpenVinoCpu
from edge.catalog import Engine, float_twin
from edge.clock import SECOND
from edge.errors import EngineFault
from edge.frame import Pixels

Role = Literal["input", "engine", "float", "peer"]
Kind = Literal["ultrasound", "fluoroscopy", "superres"]
KINDS: tuple[Kind, ...] = ("ultrasound", "fluoroscopy", "superres")
INPUT = "input"
_PATIENCE = 60 * SECOND
_SESSIONS = 3  # sizes kept open at a time
# Peers that take a large part of a second for a screen. They get a third of the observer's samples, and say so.
SLOW = frozenset({"nlm", "wavelet", "srad", "obnlm", "anscombe_nlm", "anscombe_wavelet", "block_matching"})


def kind_of(engine: Engine) -> Kind:
    """Which of the three sets of scenes and thresholds an engine is judged by."""
    if engine.manifest.scale > 1:
        return "superres"
    return "ultrasound" if "ultrasound" in engine.manifest.modalities else "fluoroscopy"


class EngineTreatment:
    """An engine as the daemon runs it, and waited for."""

    def __init__(self, engine: Engine, bits: int, backend: OpenVinoCpu) -> None:
        self.name = engine.manifest.name
        self.strength = 1.0
        self._engine, self._bits, self._backend = engine, bits, backend
        self._sessions: OrderedDict[tuple[int, int], Session] = OrderedDict()

    def at(self, strength: float) -> EngineTreatment:
        """The same engine at another strength; its sessions are shared."""
        other = copy.copy(self)
        other.strength = strength
        return other

    def forget(self) -> None:
        for session in self._sessions.values():
            session.forget()

    def __call__(self, pixels: Pixels) -> Pixels:
        session = self._session(cast("tuple[int, int]", pixels.shape))
        session.start(pixels, self.strength)
        if not session.wait(_PATIENCE):
            raise EngineFault("hung", f"{self.name}: no result in {_PATIENCE // SECOND} s")
        return session.result().copy()

    def _session(self, shape: tuple[int, int]) -> Session:
        if shape not in self._sessions:
            self._sessions[shape] = self._backend.open(self._engine, Shape(*shape, self._bits))
            while len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)[1].close()
        self._sessions.move_to_end(shape)
        return self._sessions[shape]


class Unprocessed:
    """The picture as it came."""

    name = INPUT

    def forget(self) -> None: ...

    def __call__(self, pixels: Pixels) -> Pixels:
        return pixels


class MerelyEnlarged:
    """A small picture at twice its sides, by an interpolation of OpenCV's and nothing else."""

    name = INPUT

    def __init__(self, interpolation: int) -> None:
        self._interpolation = interpolation

    def forget(self) -> None: ...

    def __call__(self, pixels: Pixels) -> Pixels:
        return cast("Pixels", cv2.resize(pixels, None, fx=2, fy=2, interpolation=self._interpolation))


@dataclass(frozen=True)
class Contestant:
    name: str
    role: Role
    open: Callable[[int], Treatment]  # for a sample depth
    remembers: bool = True  # its result depends on the frames before
    slow: bool = False  # gets fewer samples where many are asked for

    @property
    def key(self) -> str:
        return f"{self.name} (float)" if self.role == "float" else self.name


def of_engine(engine: Engine, backend: OpenVinoCpu) -> list[Contestant]:
    """The engine, and its float twin where it has one."""

    def opener(which: Engine) -> Callable[[int], Treatment]:
        return lambda bits: EngineTreatment(which, bits, backend)

    name = engine.manifest.name
    found = [Contestant(name, "engine", opener(engine))]
    if engine.manifest.fp32:
        found.append(Contestant(name, "float", opener(float_twin(engine))))
    return found


def unprocessed(kind: Kind) -> Contestant:
    """What a display shows without us: of a small picture nearest neighbours would show squares, so it blends."""
    return _untouched(kind, cv2.INTER_LINEAR)


def given(kind: Kind) -> Contestant:
    """All that a picture holds: what is not there was invented. Of a small one its own pixels, four for each: what
    blends also calms grain, and beside that the grain which was given looks like something new.
    """
    return _untouched(kind, cv2.INTER_NEAREST)


def _untouched(kind: Kind, interpolation: int) -> Contestant:
    blank = MerelyEnlarged(interpolation) if kind == "superres" else Unprocessed()
    return Contestant(INPUT, "input", lambda _bits: blank, remembers=False)


def of_peers(kind: Kind, names: tuple[str, ...] = ()) -> list[Contestant]:
    """The classical peers: all, or those named."""
    return [_peer(name) for name in PEERS[kind] if not names or name in names]


def _peer(name: str) -> Contestant:
    return Contestant(name, "peer", lambda bits: open_peer(name, bits), name in LOOK_BACK, name in SLOW)
