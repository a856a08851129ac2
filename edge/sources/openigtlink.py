"""IMAGE messages over OpenIGTLink, from PLUS, 3D Slicer and research scanners: as their client, or as server.

The feed's thread keeps the connection and reads whole messages; `next` decodes the newest of each device.
Messages are pyigtl's, the connection is ours: pyigtl's own does not notice that its peer has left, and then
spins; its server takes over the process's signal handlers. A sender's clock is not ours: its stamp is passed
on, and age counts from arrival.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
from pyigtl import ImageMessage, MessageBase

from edge import wire
from edge.clock import SECOND, Clock
from edge.errors import BadFrame, ConfigError, SourceUnavailable
from edge.frame import Frame, PixelFormat
from edge.sources._feed import Feed
from edge.sources._picture import MODALITIES, checked_stream, legal_spacing, legal_stream, picture_of

_HEADER = struct.Struct(">H12s20sIIQQ")  # version, type, device, seconds, fraction, body bytes, crc
_LARGEST_BODY = wire.MAX_SIDE * wire.MAX_SIDE * 4 + (1 << 16)
_LONGEST_STALL_S = 5.0  # within a message
_POLL_S = 0.2  # between messages
_MOST_DEVICES = 32
_DAMAGED = (ValueError, LookupError, TypeError, ArithmeticError, RuntimeError, struct.error)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[source.openigtlink]"""

    host: str = "127.0.0.1"  # the server to connect to; with `server`, the address to listen on
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 18944  # with `server`, 0 takes a free one
    server: bool = False  # wait for senders instead of connecting to one
    devices: tuple[str, ...] = ()  # only these; none: every device that sends images
    stream: str = ""  # empty: the device's name
    modality: Literal["unknown", "ultrasound", "fluoroscopy"] = "ultrasound"
    bits: Annotated[int, msgspec.Meta(ge=10, le=16)] = 16  # significant bits of 16-bit samples


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """One IMAGE message, not yet decoded."""

    header: bytes
    body: bytearray
    device: str
    seq: int
    session: int
    captured_ns: int
    received_ns: int


class OpenIgtLink:
    """Frames from one peer at a time. `superseded` counts images not fetched before the device's next one."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._listener = _listening(options) if options.server else None
        self._feed: Feed[Arrived] = Feed("openigtlink", self._connected)

    @property
    def ended(self) -> bool:
        return False

    @property
    def superseded(self) -> int:
        return self._feed.superseded

    @property
    def port(self) -> int:
        """Where senders are awaited, or the server's port."""
        return self._listener.getsockname()[1] if self._listener else self._options.port

    def next(self, timeout_s: float) -> Frame | None:
        arrived = self._feed.take(timeout_s)
        return None if arrived is None else decode(arrived, self._options)

    def close(self) -> None:
        self._feed.close()
        if self._listener:
            self._listener.close()

    def _connected(self, session: int) -> Link | None:
        peer = self._accepted(self._listener) if self._listener else self._called()
        return Link(peer, self._options, self._clock, session) if peer else None

    def _accepted(self, listener: socket.socket) -> socket.socket | None:
        try:
            return listener.accept()[0]
        except TimeoutError:
            return None
        except OSError as error:
            raise SourceUnavailable(f"a sender was gone before it was let in ({error})") from error

    def _called(self) -> socket.socket:
        where = (self._options.host, self._options.port)
        try:
            return socket.create_connection(where, timeout=_LONGEST_STALL_S)
        except OSError as error:
            raise SourceUnavailable(f"no server at {where[0]}:{where[1]} ({error}); trying again") from error


class Link:
    """One connection. Owned by the feed's thread."""

    def __init__(self, peer: socket.socket, options: Options, clock: Clock, session: int) -> None:
        self._peer = peer
        self._options = options
        self._clock = clock
        self._session = session
        self._seqs: dict[str, int] = {}
        peer.settimeout(_POLL_S)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3)):
            peer.setsockopt(socket.IPPROTO_TCP, option, value)  # a pulled cable is noticed within 11 s

    def read(self) -> tuple[str, Arrived] | None:
        header = self._header()
        if header is None:
            return None
        captured = self._clock.now()
        _, kind, name, _, _, size, _ = _HEADER.unpack(header)
        if size > _LARGEST_BODY:
            raise SourceUnavailable(f"the peer announced a message of {size} bytes; connecting again")
        body = self._exactly(bytearray(size))
        device = name.rstrip(b" \t\r\n\0").decode("ascii", "replace")
        if kind.rstrip(b"\0") != b"IMAGE" or not self._wanted(device):
            return None
        seq = self._seqs.get(device, 0)
        self._seqs[device] = seq + 1
        arrived = Arrived(header, body, device, seq, self._session, captured, self._clock.now())
        return device, arrived

    def close(self) -> None:
        self._peer.close()

    def _wanted(self, device: str) -> bool:
        if self._options.devices:
            return device in self._options.devices
        return device in self._seqs or len(self._seqs) < _MOST_DEVICES

    def _header(self) -> bytes | None:
        first = bytearray(1)
        try:
            got = self._peer.recv_into(first)
        except TimeoutError:
            return None
        except OSError as error:
            raise SourceUnavailable(f"the peer is gone ({error}); trying again") from error
        if not got:
            raise SourceUnavailable("the peer closed the connection; trying again")
        return bytes(first + self._exactly(bytearray(_HEADER.size - 1)))

    def _exactly(self, buffer: bytearray) -> bytearray:
        left = memoryview(buffer)
        self._peer.settimeout(_LONGEST_STALL_S)
        try:
            while left:
                got = self._peer.recv_into(left)
                if not got:
                    raise SourceUnavailable("the peer left in the middle of a message; trying again")
                left = left[got:]
        except OSError as error:
            raise SourceUnavailable(f"the peer stopped in the middle of a message ({error}); trying again") from error
        finally:
            self._peer.settimeout(_POLL_S)
        return buffer


def decode(arrived: Arrived, options: Options) -> Frame:
    """One message to one frame. Raises BadFrame, whatever the bytes are."""
    message = ImageMessage()
    try:
        with np.errstate(all="ignore"):  # a hostile matrix is no picture's fault: spacing is checked below
            message.unpack(MessageBase.parse_header(arrived.header), bytes(arrived.body))
    except _DAMAGED as error:
        raise BadFrame("malformed", f"not an IMAGE message that can be read ({type(error).__name__})") from error
    picture = picture_of(_plane(message.image), PixelFormat.RGB8, options.bits)
    return Frame(
        pixels=picture.pixels,
        stream=options.stream or legal_stream(arrived.device, "openigtlink"),
        seq=arrived.seq,
        captured_ns=arrived.captured_ns,
        received_ns=arrived.received_ns,
        format=picture.format,
        bits=picture.bits,
        modality=MODALITIES[options.modality],
        session=arrived.session,
        stamped_ns=stamp_ns(arrived.header),
        spacing_mm=_spacing(message.ijk_to_world_matrix),
    )


def stamp_ns(header: bytes) -> int:
    """The sender's capture time since 1970: whole seconds, and a binary fraction of one."""
    _, _, _, seconds, fraction, _, _ = _HEADER.unpack(header)
    return seconds * SECOND + (fraction * SECOND >> 32)


def _plane(image: np.ndarray | None) -> np.ndarray:
    """(k, j, i[, channels]) with one k -> (rows, columns[, channels])."""
    if image is None:
        raise BadFrame("malformed", "an IMAGE message without an image")
    if image.shape[0] != 1:
        raise BadFrame("volume", f"{image.shape[0]} slices; only single ones are frames")
    plane = image[0]
    return plane[:, :, :3] if plane.ndim == 3 and plane.shape[2] == 4 else plane


def _spacing(matrix: np.ndarray) -> tuple[float, float] | None:
    x, y = (float(np.linalg.norm(matrix[:3, axis])) for axis in (0, 1))
    # The identity is what senders give that know no calibration.
    return None if (x, y) == (1.0, 1.0) else legal_spacing(x, y)


def _listening(options: Options) -> socket.socket:
    try:
        listener = socket.create_server((options.host, options.port), backlog=1)
    except OSError as error:
        raise ConfigError(f"[source.openigtlink] {options.host}:{options.port}: {error.strerror}") from error
    listener.settimeout(_POLL_S)
    return listener


def open_source(options: Options, clock: Clock) -> OpenIgtLink:
    if options.stream:
        checked_stream(options.stream)
    return OpenIgtLink(options, clock)
