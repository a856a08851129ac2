"""The pictures offered over OpenIGTLink to 3D Slicer and its like: `STREAM_Enhanced`, and `STREAM_Label`.

The label says what the picture is, goes out before it, and goes out alone when the picture stops being live.
The live thread only puts references into slots; each client has a thread of its own, which packs and sends
the newest picture it has not had. Messages are pyigtl's, the sockets are ours: pyigtl's server queues a
hundred messages, knows one client, and takes over the process's signal handlers.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
import socket
import threading
import time
import zlib
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from pyigtl import ImageMessage, StringMessage

from edge.clock import SECOND
from edge.errors import ConfigError
from edge.frame import PixelFormat, Shown, Treatment
from edge.slot import Latest
from edge.wire import Flag

_LONGEST_NAME = 20  # of an OpenIGTLink device
_PICTURE, _LABEL = "_Enhanced", "_Label"
_LONGEST_STALL_S = 5.0
_POLL_S = 0.2
_SEND_BUFFER = 512 << 10  # what the kernel holds is age: about a frame, not its default of many


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[display.openigtlink]"""

    host: str = "127.0.0.1"  # the address to listen on
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 18945  # 0 takes a free one
    max_clients: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """What is handed over: a picture, its label, and its age when it was handed over."""

    shown: Shown
    label: str
    age_ns: int
    handed_ns: int  # of time.monotonic_ns, whatever clock the daemon runs on


class OpenIgtLinkDisplay:
    """The server. `show` and `notice` belong to the live thread."""

    def __init__(self, options: Options) -> None:
        self.superseded = 0  # pictures a client was too slow for; written by the live thread
        self.refused = 0  # clients beyond max_clients; written by the accept thread
        self._options = options
        self._clients: tuple[Client, ...] = ()  # replaced whole by the accept thread; the live thread reads it
        self._stop = threading.Event()
        self._listener = _listening(options)
        self._accepting = threading.Thread(target=self._accept, name="openigtlink-accept", daemon=True)
        self._accepting.start()

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def clients(self) -> int:
        return sum(client.is_alive for client in self._clients)

    @property
    def sent(self) -> int:
        """Pictures sent to the clients that are here now."""
        return sum(client.sent for client in self._clients)

    def show(self, shown: Shown, flags: Flag, now_ns: int) -> None:
        if self._clients:
            self._hand_over(Item(shown, label(shown, flags), now_ns - shown.frame.captured_ns, time.monotonic_ns()))

    def notice(self, last: Shown, flags: Flag, now_ns: int) -> None:
        self.show(last, flags, now_ns)  # a client that has the picture gets the label alone

    def tend(self) -> None:
        """Its own threads do."""

    def close(self) -> None:
        self._stop.set()
        self._accepting.join()
        self._listener.close()
        for client in self._clients:
            client.close()

    def _hand_over(self, item: Item) -> None:
        for client in self._clients:
            if client.is_alive:
                client.slot.put(item.shown.frame.stream, item)

    def _count(self, item: Item) -> None:
        self.superseded += item.shown.treatment is not Treatment.NONE

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                peer, _ = self._listener.accept()
            except TimeoutError:
                peer = None
            except OSError:  # the client was gone before it was let in
                self._stop.wait(_POLL_S)
                continue
            here = tuple(client for client in self._clients if client.is_alive)
            if peer is not None and len(here) >= self._options.max_clients:
                self.refused += 1
                peer.close()
            elif peer is not None:
                here += (Client(peer, Latest(self._count)),)
            self._clients = here


class Client:
    """One receiver, and the thread that packs and sends for it."""

    def __init__(self, peer: socket.socket, slot: Latest[Item]) -> None:
        self.slot = slot
        self.sent = 0  # written by the client's thread
        self.is_alive = True  # likewise
        self._peer = peer
        self._had: dict[str, tuple[int, int]] = {}  # stream -> session and seq of the last picture sent
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._thread = threading.Thread(target=self._run, name="openigtlink-client", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.is_alive = False
        self.slot.close()
        with contextlib.suppress(OSError):  # the peer was faster
            self._peer.shutdown(socket.SHUT_RDWR)  # frees a thread that is sending
        self._thread.join(_LONGEST_STALL_S)

    def _run(self) -> None:
        try:
            while self.is_alive and self._is_there():
                item = self.slot.take(_POLL_S)
                if item is not None and self.is_alive:
                    self._send(item)
        except OSError:
            pass  # gone, or so slow that it is as good as gone
        finally:
            self.is_alive = False
            self._peer.close()

    def _is_there(self) -> bool:
        """What a receiver says is not for us; that it has closed is."""
        self._peer.settimeout(0)
        try:
            return self._peer.recv(1 << 16) != b""
        except BlockingIOError:
            return True
        finally:
            self._peer.settimeout(_LONGEST_STALL_S)

    def _send(self, item: Item) -> None:
        frame = item.shown.frame
        since_handed = time.monotonic_ns() - item.handed_ns
        stamp = time.time() - (item.age_ns + since_handed) / SECOND  # wall time: the protocol has no other
        name = device(frame.stream, _LABEL)
        message = bytes(StringMessage(item.label, timestamp=stamp, device_name=name).pack())
        # A notice says what holds of the picture that is there; the same picture is not sent twice for it.
        is_new = self._had.get(frame.stream) != (frame.session, frame.seq)
        if is_new:
            message += bytes(image(item.shown, stamp).pack())
        self._peer.sendall(message)
        self._had[frame.stream] = (frame.session, frame.seq)
        self.sent += is_new


def label(shown: Shown, flags: Flag) -> str:
    """What the picture is, in a line that can stand beside it."""
    if not flags & Flag.LIVE:
        return "NOT LIVE"
    if shown.treatment is Treatment.ENHANCED:
        words = f"ENHANCED {shown.engine.name} {shown.strength * 100:.0f}%"
    else:
        words = f"ORIGINAL {shown.why.words}"
    return f"FROZEN {words}" if flags & Flag.FROZEN else words


def device(stream: str, suffix: str) -> str:
    """A device name for a stream. Long names are cut, and kept apart by a sum over the whole."""
    room = _LONGEST_NAME - max(len(_PICTURE), len(_LABEL))
    if len(stream) > room:
        stream = f"{stream[: room - 5]}-{zlib.crc32(stream.encode()) & 0xFFFF:04x}"
    return stream + suffix


def image(shown: Shown, stamp: float) -> ImageMessage:
    """An IMAGE message: axes (k, j, i[, RGB]), spacing on the diagonal."""
    pixels = shown.pixels[:, :, ::-1] if shown.frame.format is PixelFormat.BGR8 else shown.pixels
    matrix = np.eye(4)
    matrix[0, 0], matrix[1, 1] = shown.frame.spacing_mm or (1.0, 1.0)
    return ImageMessage(
        np.ascontiguousarray(pixels)[np.newaxis],
        ijk_to_world_matrix=matrix,
        timestamp=stamp,
        device_name=device(shown.frame.stream, _PICTURE),
    )


def _listening(options: Options) -> socket.socket:
    try:
        listener = socket.create_server((options.host, options.port), backlog=options.max_clients)
    except OSError as error:
        raise ConfigError(f"[display.openigtlink] {options.host}:{options.port}: {error.strerror}") from error
    listener.settimeout(_POLL_S)
    return listener


def open_display(options: Options) -> OpenIgtLinkDisplay:
    return OpenIgtLinkDisplay(options)
