"""Talk to a Limpid daemon: one file to copy, needs pyzmq and numpy, speaks protocol version 1.

Send frames from a scanner; a stalled daemon costs a frame, never the scanner:

    with Sender(Scan(stream="probe-1", modality="ultrasound")) as sender:
        for pixels in scanner:
            sender.send(pixels)  # False: nobody could take it now

Show the newest picture, or that there is none:

    with Viewer(stream="probe-1") as viewer:
        for picture in viewer:
            draw(picture.pixels, picture.badge, picture.age_ms())

Ask and steer; hear what happens:

    with Control() as control:
        control.set(strength_percent=60)
        print(control.status())

    for event in Events():
        print(event["event"])

To a daemon that asks for a key, each of them takes `key=`, the file that `limpid keys make` wrote:

    Sender(Scan(stream="probe-1"), "tcp://10.0.0.5:5570", key="probe-1.key")

`docs/wire-protocol.md` describes every byte. Each object belongs to the thread that made it.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import zmq

FRAMES, PICTURES = "tcp://127.0.0.1:5570", "tcp://127.0.0.1:5571"
CONTROL, EVENTS = "tcp://127.0.0.1:5572", "tcp://127.0.0.1:5573"

VERSION = 1
FRAME = struct.Struct("<4s4B3Q3I2BH2f4I8x48s")
SHOWN = struct.Struct("<4s4B3Q3I4B5I4x2Q4I2I2f32s48s48s16s8s48x")
GREY8, GREY16, RGB8, BGR8 = 1, 2, 3, 4
MODALITIES = ("unknown", "ultrasound", "fluoroscopy")
TREATMENTS = ("notice", "enhanced", "original")
REASONS = (
    "", "operator", "strength zero", "opening", "no engine", "no region", "late",
    "busy", "fault", "not finite", "fidelity", "overload", "hot",
)  # fmt: skip
CLOCK_OWN, CLOCK_MONOTONIC, CLOCK_UNIX = 0, 1, 2
LIVE, FROZEN, STAND_IN, HAS_ORIGINAL, HAS_CHANGE, ORIGINAL_VIEW, WARM, OUTSIDE = 1, 2, 4, 8, 16, 32, 64, 128

SILENCE_S = 0.75  # notices come 4 times a second: after this long the daemon itself is gone
_SOCKET_BYTES = 4 << 20
_BYTES_PER_PIXEL = {GREY8: 1, GREY16: 2, RGB8: 3, BGR8: 3}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,48}\Z")


class Malformed(ValueError):  # noqa: N818 - named for what the message is
    """A message that cannot be a picture. A viewer drops and counts it."""


class Refused(Exception):  # noqa: N818
    """The daemon understood the request and said no; the text says why."""


class NoAnswer(Exception):  # noqa: N818
    """The daemon did not answer in time. The request may or may not have been carried out."""


def connect(socket: zmq.Socket[bytes], endpoint: str, key: str | None) -> None:
    """Under the keys in a file, where there is one. Both of the appliance's keys are tried while it changes them."""
    if key is None or not endpoint.startswith("tcp://"):
        socket.connect(endpoint)
        return
    try:
        keys = _keys_in(key)
    except (OSError, ValueError):
        socket.close()
        raise
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys["public"].encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys["secret"].encode())
    socket.setsockopt(zmq.IMMEDIATE, 1)
    if "next" in keys:
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
    host, _, port = endpoint.rpartition(":")
    for name, spelled in (("server", endpoint), ("next", f"{host}:0{port}")):  # each spelling is taken but once
        if name in keys:
            socket.setsockopt(zmq.CURVE_SERVERKEY, keys[name].encode())
            socket.connect(spelled)


def _keys_in(path: str) -> dict[str, str]:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - nothing but what this file needs is imported
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise PermissionError(f"{path} can be read by others: chmod 600 {path}")
        keys = dict(re.findall(r'^(public|secret|server|next) = "([^"]{40})"', file.read(16384), re.MULTILINE))
    if not {"public", "secret", "server"} <= keys.keys():
        raise ValueError(f"{path} is no key file with public, secret and server")
    return keys


# ---------------------------------------------------------------- frames: scanner -> daemon


@dataclass(frozen=True)
class Scan:
    """What stays the same from frame to frame of one stream."""

    stream: str = "scanner"
    modality: str = "unknown"
    bits: int = 16  # significant bits of 16-bit pixels; 8-bit pixels have 8
    colour: str = "rgb"  # order of three-channel pixels: rgb or bgr
    spacing_mm: tuple[float, float] | None = None  # x, y
    region: tuple[int, int, int, int] | None = None  # x, y, width, height of the image inside the frame
    clock: int = CLOCK_MONOTONIC  # on another host than the daemon's: CLOCK_OWN or CLOCK_UNIX

    def __post_init__(self) -> None:
        if not _NAME.match(self.stream):
            raise ValueError("stream: 1 to 48 of A-Z a-z 0-9 . _ -")
        if self.modality not in MODALITIES or self.colour not in ("rgb", "bgr"):
            raise ValueError(f"modality: one of {', '.join(MODALITIES)}; colour: rgb or bgr")


def frame_header(scan: Scan, pixels: np.ndarray, session: int, seq: int, stamped_ns: int, cut: bool) -> bytes:
    """The 128 bytes that go before a frame's pixels."""
    format_, bits = _format_of(scan, pixels)
    height, width = pixels.shape[:2]
    return FRAME.pack(
        b"LMPF", VERSION, format_, bits, MODALITIES.index(scan.modality), session, seq, stamped_ns,
        width, height, width * _BYTES_PER_PIXEL[format_], scan.clock, int(cut), 0,
        *(scan.spacing_mm or (0.0, 0.0)), *(scan.region or (0, 0, 0, 0)), scan.stream.encode("ascii"),
    )  # fmt: skip


def _format_of(scan: Scan, pixels: np.ndarray) -> tuple[int, int]:
    if not all(64 <= side <= 4096 for side in pixels.shape[:2]):
        raise ValueError(f"a daemon takes 64x64 to 4096x4096 pixels, not an array of {pixels.shape}")
    if pixels.dtype == np.uint8 and pixels.ndim == 2:
        return GREY8, 8
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3:
        return (RGB8 if scan.colour == "rgb" else BGR8), 8
    if pixels.dtype == np.uint16 and pixels.ndim == 2 and 10 <= scan.bits <= 16:
        return GREY16, scan.bits
    raise ValueError(f"neither 8-bit grey, 8-bit colour nor 10-16-bit grey: {pixels.dtype} {pixels.shape}")


class Sender:
    """Hands frames to a daemon and never waits for it."""

    def __init__(self, scan: Scan, endpoint: str = FRAMES, key: str | None = None) -> None:
        self.scan = scan
        self.session = secrets.randbits(64) or 1  # a restart is a new session
        self.seq = 0
        self.offered = 0
        self.dropped = 0  # nobody could take them; the daemon counts the same gap
        self._socket = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, 2)
        self._socket.setsockopt(zmq.SNDBUF, _SOCKET_BYTES)
        self._socket.setsockopt(zmq.LINGER, 1000)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # no daemon, no queue: a frame never arrives stale
        connect(self._socket, endpoint, key)

    def wait_for_daemon(self, timeout_s: float) -> bool:
        """Once, before the first frame, if losing the first ones matters."""
        return bool(self._socket.poll(round(timeout_s * 1000), zmq.POLLOUT))

    def send(self, pixels: np.ndarray, captured_ns: int | None = None, *, cut: bool = False) -> bool:
        """Offer one frame. False: it was dropped. `pixels` may be reused at once."""
        self.seq += 1
        self.offered += 1
        stamp = self._now() if captured_ns is None else captured_ns
        header = frame_header(self.scan, pixels, self.session, self.seq, stamp, cut)
        try:
            self._socket.send_multipart([header, np.ascontiguousarray(pixels)], zmq.DONTWAIT)
        except zmq.Again:
            self.dropped += 1
            return False
        return True

    def _now(self) -> int:
        return time.time_ns() if self.scan.clock == CLOCK_UNIX else time.monotonic_ns()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ---------------------------------------------------------------- pictures: daemon -> displays


@dataclass(frozen=True, eq=False)
class Picture:
    """What to show now. `pixels` stay those of the last picture while nothing new comes."""

    stream: str
    seq: int
    session: int
    treatment: str  # "enhanced" or "original"; "notice" where no picture has come yet
    reason: str  # why it is the original
    flags: int
    pixels: np.ndarray | None
    original: np.ndarray | None = None
    change: np.ndarray | None = None  # 8 bits, same size
    engine: str = ""
    engine_sha256: str = ""
    backend: str = ""
    precision: str = ""
    strength_percent: int = 0
    region: tuple[int, int, int, int] | None = None
    spacing_mm: tuple[float, float] | None = None
    bits: int = 8
    colour: str = ""  # "rgb" or "bgr" where there are three channels
    modality: str = "unknown"
    stages_us: tuple[int, int, int, int] = (0, 0, 0, 0)  # queued, prepared, engine, composed
    missing_before: int = 0
    mean_change: float = 0.0
    published_age_ns: int = 0  # its age when the daemon published it
    published_ns: int = 0  # the daemon's monotonic clock
    stamped_ns: int = 0  # the sender's own capture time, as it was sent
    base_ns: int = field(default=0, repr=False)  # when it was that old, on this host's monotonic clock
    held: bool = False  # the last enhanced picture, kept for one late frame

    @property
    def live(self) -> bool:
        return bool(self.flags & LIVE)

    @property
    def frozen(self) -> bool:
        return bool(self.flags & FROZEN)

    @property
    def outside(self) -> bool:
        """Enhanced, but the frames are unlike those that the engine was judged on."""
        return bool(self.flags & OUTSIDE)

    @property
    def badge(self) -> str:
        """The words that belong beside the picture."""
        if not self.live:
            return "NOT LIVE"
        if self.frozen:
            return "FROZEN"
        return f"ORIGINAL: {self.reason}" if self.treatment == "original" else self.treatment.upper()

    def age_ms(self) -> float:
        """How old the picture is now; it goes on counting while the picture stands."""
        return (self.published_age_ns + max(0, time.monotonic_ns() - self.base_ns)) / 1e6


def read_picture(parts: list[Any], *, same_host: bool = False) -> Picture:
    """One message of the picture socket -> `Picture` over the message's own memory, or `Malformed`."""
    if len(parts) < 2 or memoryview(parts[1]).nbytes != SHOWN.size:
        raise Malformed("not a shown message")
    (magic, version, format_, bits, modality, session, seq, stamped, width, height, stride,
     treatment, why, strength, flags, age_us, queued, prepared, engine_us, composed, _, published,
     *box, missing, change_ppm, sx, sy,
     sha, engine, stream, backend, precision) = SHOWN.unpack(parts[1])  # fmt: skip
    if magic != b"LMPS" or version != VERSION:
        raise Malformed("not a shown message of version 1")
    if modality >= len(MODALITIES) or treatment >= len(TREATMENTS) or strength > 100:
        raise Malformed("unknown modality or treatment, or a strength above 100 %")
    _check_place(stream, (sx, sy), box, (width, height))
    shapes = _shapes(format_, bits, width, height, stride)
    pictures = _pictures(parts[2:], shapes, flags)
    if (treatment == 0) != (not pictures):
        raise Malformed("a notice has no picture, and only a notice has none")
    return Picture(
        stream=_text(stream), seq=seq, session=session, treatment=TREATMENTS[treatment],
        reason=REASONS[why] if why < len(REASONS) else "unknown", flags=flags,
        pixels=pictures.get("pixels"), original=pictures.get("original"), change=pictures.get("change"),
        engine=_text(engine), engine_sha256=sha.hex() if any(sha) else "",
        backend=_text(backend), precision=_text(precision), strength_percent=strength,
        region=tuple(box) if any(box) else None, spacing_mm=(sx, sy) if sx or sy else None,  # type: ignore[arg-type]
        bits=bits, colour={RGB8: "rgb", BGR8: "bgr"}.get(format_, ""), modality=MODALITIES[modality],
        stages_us=(queued, prepared, engine_us, composed), missing_before=missing,
        mean_change=change_ppm / 1e6, published_age_ns=age_us * 1000, published_ns=published,
        stamped_ns=stamped, base_ns=published if same_host else time.monotonic_ns(),
    )  # fmt: skip


def _check_place(stream: bytes, spacing: tuple[float, float], box: list[int], size: tuple[int, int]) -> None:
    if not _NAME.match(stream.rstrip(b"\0").decode("ascii", "replace")):
        raise Malformed("stream name")
    if any(spacing) and not all(0.0 < mm < 100.0 for mm in spacing):
        raise Malformed("pixel spacing")
    x, y, width, height = box
    if any(box) and not (width and height and x + width <= size[0] and y + height <= size[1]):
        raise Malformed("region outside the picture")


@dataclass(frozen=True)
class _Shape:
    shape: tuple[int, ...]
    dtype: str
    strides: tuple[int, ...]

    @property
    def least(self) -> int:
        rows, stride, row = self.shape[0], self.strides[0], self.strides[1] * self.shape[1]
        return (rows - 1) * stride + row

    def over(self, part: Any) -> np.ndarray:
        flat = np.frombuffer(part, np.uint8)
        if not self.least <= flat.size <= self.shape[0] * self.strides[0]:
            raise Malformed(f"{flat.size} bytes of pixels for {self.shape}")
        pixels = np.ndarray(self.shape, self.dtype, flat, strides=self.strides)
        pixels.setflags(write=False)  # a display draws beside a picture that is held, never into it
        return pixels


def _shapes(format_: int, bits: int, width: int, height: int, stride: int) -> tuple[_Shape, _Shape]:
    """How the picture lies, and how the change map does."""
    size = _BYTES_PER_PIXEL.get(format_)
    if size is None or not (64 <= width <= 4096 and 64 <= height <= 4096):
        raise Malformed(f"format {format_}, {width}x{height}")
    if not width * size <= stride <= 49152 or (format_ == GREY16 and stride % 2):
        raise Malformed(f"stride {stride}")
    if not (10 <= bits <= 16 if format_ == GREY16 else bits == 8):
        raise Malformed(f"{bits} bits")
    change = _Shape((height, width), "u1", (width, 1))
    if size == 3:
        return _Shape((height, width, 3), "u1", (stride, 3, 1)), change
    return _Shape((height, width), f"<u{size}", (stride, size)), change


def _pictures(parts: list[Any], shapes: tuple[_Shape, _Shape], flags: int) -> dict[str, np.ndarray]:
    names = ["pixels"] if parts else []
    names += ["original"] if flags & HAS_ORIGINAL else []
    names += ["change"] if flags & HAS_CHANGE else []
    if len(names) != len(parts):
        raise Malformed(f"{len(parts)} pictures where the flags say {len(names)}")
    return {name: shapes[name == "change"].over(part) for name, part in zip(names, parts, strict=True)}


def _text(field_: bytes) -> str:
    text = field_.split(b"\0", 1)[0].decode("ascii", "replace")
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def _has_pixels(parts: list[zmq.Frame]) -> bool:
    return len(parts) > 2  # topic, header, pictures


class Holding:
    """What one stream's display holds: the rules for a late frame, a notice and silence. Pure."""

    def __init__(self, *, stand_in: bool = True) -> None:
        self.current: Picture | None = None
        self._stand_in = stand_in

    def take(self, new: Picture) -> Picture:
        """The picture to show after a message."""
        last = self.current
        if new.pixels is None:
            new = self._after_notice(last, new)
        elif last is not None and self._stand_in and self._may_stand(last, new):
            # One late frame: the enhanced picture stands for one period more, and its age goes on counting.
            new = replace(last, held=True)
        self.current = new
        return new

    def silence(self) -> Picture | None:
        """Nothing at all was heard for too long: the picture to show, or None where it is known already."""
        if self.current is None or not self.current.live:
            return None
        self.current = replace(self.current, flags=self.current.flags & ~LIVE)
        return self.current

    @staticmethod
    def _after_notice(last: Picture | None, notice: Picture) -> Picture:
        if last is None or last.session != notice.session:
            return notice  # what was held belongs to another run of the sender: perhaps another patient
        state = LIVE | FROZEN
        return replace(last, flags=(last.flags & ~state) | (notice.flags & state))

    @staticmethod
    def _may_stand(last: Picture, new: Picture) -> bool:
        if not new.flags & STAND_IN or last.held or last.treatment != "enhanced" or not last.live:
            return False
        if last.pixels is None or new.pixels is None:
            return False
        return last.session == new.session and last.pixels.shape == new.pixels.shape


class Viewer:
    """Iterates over the newest picture of each stream, and says so when there is none.

    `kind`: "picture", "pair" (the original beside it) or "full" (and the change map). `same_host` is guessed
    from the endpoint: where the daemon runs on another host, ages count on from arrival.
    """

    def __init__(
        self, endpoint: str = PICTURES, stream: str = "", kind: str = "picture", key: str | None = None
    ) -> None:
        self.same_host = endpoint.startswith(("ipc:", "inproc:", "tcp://127.", "tcp://localhost"))
        self.stand_in = True
        self.superseded = 0  # came, but a newer one was there already
        self.malformed = 0
        self._held: dict[str, Holding] = {}
        self._due: dict[str, Picture] = {}  # by stream, longest waiting first
        self._heard: dict[str, float] = {}
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 2 if stream else 16)  # two a stream
        self._socket.setsockopt(zmq.RCVBUF, _SOCKET_BYTES)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.subscribe(f"{kind}/{stream}/" if stream else f"{kind}/")
        connect(self._socket, endpoint, key)

    def __iter__(self) -> Iterator[Picture]:
        while True:
            picture = self.next(SILENCE_S)
            if picture is not None:
                yield picture

    def next(self, timeout_s: float) -> Picture | None:
        """What to show now: a new picture, or the last one with NOT LIVE or FROZEN. None: no change."""
        self._socket.poll(0 if self._due else math.ceil(self._patience(timeout_s) * 1000))
        now = time.monotonic()
        for picture in self._receive() + self._silent(now):
            self._due[picture.stream] = picture  # keeps its stream's turn
        return self._due.pop(next(iter(self._due))) if self._due else None

    def _patience(self, timeout_s: float) -> float:
        """No longer than until the first live stream would have been silent for too long."""
        now = time.monotonic()
        live = [self._heard[name] for name, held in self._held.items() if held.current and held.current.live]
        return max(0.0, min([timeout_s, *(heard + SILENCE_S - now for heard in live)]))

    def _receive(self) -> list[Picture]:
        newest: dict[bytes, list[list[zmq.Frame]]] = {}  # of each stream: a picture, and a notice that came after it
        while True:
            try:
                parts = self._socket.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                break
            had = newest.get(parts[0].bytes, [])
            # FROZEN says so of the last picture: whoever throws that away stands on another than was stored.
            kept = [before for before in had if _has_pixels(before) and not _has_pixels(parts)]
            self.superseded += len(had) - len(kept)
            newest[parts[0].bytes] = [*kept, parts]
        shown = ([self._show(parts) for parts in messages] for messages in newest.values())
        pictures = ([picture for picture in each if picture is not None] for each in shown)
        return [each[-1] for each in pictures if each]

    def _show(self, parts: list[zmq.Frame]) -> Picture | None:
        try:
            new = read_picture(parts, same_host=self.same_host)
        except Malformed:
            self.malformed += 1
            return None
        self._heard[new.stream] = time.monotonic()
        return self._held.setdefault(new.stream, Holding(stand_in=self.stand_in)).take(new)

    def _silent(self, now: float) -> list[Picture]:
        """A daemon that is gone sends no notice: hearing nothing at all means NOT LIVE too."""
        before = now - SILENCE_S
        gone = (self._held[stream].silence() for stream, heard in self._heard.items() if heard <= before)
        return [picture for picture in gone if picture is not None]

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ---------------------------------------------------------------- control and events


class Control:
    """Request and reply. A daemon that does not answer costs a timeout; the next request starts afresh."""

    def __init__(self, endpoint: str = CONTROL, timeout_s: float = 2.0, key: str | None = None) -> None:
        self._endpoint = endpoint
        self._key = key
        self._timeout_ms = round(timeout_s * 1000)
        self._socket = self._open()

    def _open(self) -> zmq.Socket[bytes]:
        socket = zmq.Context.instance().socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        connect(socket, self._endpoint, self._key)
        return socket

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """One request; fields that are None are left out. Gives the reply without its "ok"."""
        request = {"do": do, **{key: value for key, value in fields.items() if value is not None}}
        began = time.monotonic()
        ready = self._socket.poll(self._timeout_ms, zmq.POLLOUT)  # with a key: once the daemon has let us in
        if ready:
            self._socket.send(json.dumps(request).encode())
        left_ms = max(0, self._timeout_ms - round((time.monotonic() - began) * 1000))
        if not ready or not self._socket.poll(left_ms):
            # A REQ socket cannot ask again before it was answered: a new one can.
            self._socket.close()
            self._socket = self._open()
            raise NoAnswer(f"no answer to {do!r} from {self._endpoint} within {self._timeout_ms} ms")
        reply = json.loads(self._socket.recv())
        if not reply.pop("ok", False):
            raise Refused(str(reply.get("error", "no reason given")))
        return reply

    def status(self, stream: str | None = None) -> dict[str, Any]:
        return self.ask("status", stream=stream)

    def set(self, *, stream: str | None = None, strength_percent: int | None = None,
            view: str | None = None, engine: str | None = None) -> dict[str, Any]:  # fmt: skip
        """`view`: "enhanced" or "original"; `engine`: a family's name. Without `stream`: all streams."""
        return self.ask("set", stream=stream, strength_percent=strength_percent, view=view, engine=engine)

    def freeze(self, stream: str | None = None) -> dict[str, Any]:
        return self.ask("freeze", stream=stream)

    def unfreeze(self, stream: str | None = None) -> dict[str, Any]:
        return self.ask("unfreeze", stream=stream)

    def engines(self) -> dict[str, Any]:
        return self.ask("engines")

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Events:
    """Iterates over what happens, as JSON objects. `name`: only events whose names begin so."""

    def __init__(self, endpoint: str = EVENTS, name: str = "", key: str | None = None) -> None:
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.subscribe(f"event/{name}")
        connect(self._socket, endpoint, key)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            event = self.next(3600.0)
            if event is not None:
                yield event

    def next(self, timeout_s: float) -> dict[str, Any] | None:
        if not self._socket.poll(round(timeout_s * 1000)):
            return None
        return json.loads(self._socket.recv_multipart()[-1])

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
