"""One association with an archive, kept open between objects: C-ECHO, C-STORE, N-ACTION.

Used by one sending thread at a time. Whatever is not a clear answer of the archive is `SinkUnavailable`, and the
association is not used again.
"""

from __future__ import annotations

import queue
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined] - made when it is imported
    StorageCommitmentPushModel,  # pyright: ignore[reportAttributeAccessIssue]
    StorageCommitmentPushModelInstance,  # pyright: ignore[reportAttributeAccessIssue]
    Verification,  # pyright: ignore[reportAttributeAccessIssue]
)

from edge.dicom.part10 import IMPLEMENTATION_VERSION
from edge.dicom.services import SMALL_SYNTAXES
from edge.dicom.uids import IMPLEMENTATION_CLASS
from edge.errors import SinkUnavailable
from edge.sinks._wire import Entity, WireSocket

_config.LOG_HANDLER_LEVEL = "none"  # its handlers write out every PDU, at a price, and with what is in it

BLOCK = 1 << 20  # bytes of an object in memory at a time (two of them)
LARGEST_FRAGMENT = 256 << 10  # where the archive sets no limit
PDU_HEADER = struct.Struct(">BBLLBB")  # P-DATA-TF with one value: type, 0, length, value length, context, flags
MORE, LAST = 0x00, 0x02  # of the data set
RELEASE_S = 2.0
POLL_S = 0.5  # between two looks at a reply that does not come


@dataclass(frozen=True, slots=True)
class Peer:
    """Where the archive is, who we are to it, and how long we wait."""

    host: str
    port: int
    called: str
    calling: str
    tls: tuple[ssl.SSLContext, str] | None = None
    connect_s: float = 10.0
    stall_s: float = 30.0  # without any progress of the connection
    answer_s: float = 120.0  # from the object's last byte to the answer


@dataclass(frozen=True, slots=True)
class Data:
    """A data set on its way: which object, and the bytes after its file meta information."""

    sop_class: str
    sop_uid: str
    stream: BinaryIO


class OpenAssociation:
    """Made by asking the archive; `contexts` says what it accepted."""

    def __init__(
        self, peer: Peer, proposed: Sequence[tuple[str, str]], on_report: Callable[[evt.Event], tuple[int, None]]
    ) -> None:
        self._peer = peer
        self._assoc = _associate(peer, proposed, on_report)
        self._socket = cast(WireSocket, self._assoc.dul.socket)
        self._message_id = 0
        self.used = time.monotonic()
        self.proposed = frozenset(proposed)
        self.contexts = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])): cast(int, context.context_id)
            for context in self._assoc.accepted_contexts
        }

    @property
    def is_open(self) -> bool:
        """Whether it may be used: a release or an abort that came meanwhile is seen here."""
        assoc = self._assoc
        return (
            assoc.is_established
            and assoc.dul.is_alive()
            and assoc.dul.peek_next_pdu() is None
            and self._socket.socket is not None
        )

    def echo(self) -> None:
        status = self._assoc_thread_runs().send_c_echo(self._next_id())
        if status.get("Status") != 0x0000:
            raise SinkUnavailable(f"C-ECHO was not answered with success ({_status_text(status)})")

    def store(self, data: Data, context_id: int, *, urgent: bool = False) -> Dataset:
        """Send one object and wait for the archive's answer. The data set is read once, in blocks."""
        assoc, sock = self._assoc, self._socket
        self._pause_reactor()
        try:
            with sock.message:
                sock.expecting = True
                sock.write(self._command(data, context_id, urgent))
                for parts in self._fragments(data.stream, context_id):
                    sock.write(parts)
            reply = self._reply()
        except OSError as error:
            self.drop()
            raise SinkUnavailable(f"the connection broke while an object was sent: {error or 'timed out'}") from error
        except BaseException:
            self.drop()  # half a message has left: nothing else may follow on this association
            raise
        finally:
            sock.expecting = False
        self.used = time.monotonic()
        return assoc._check_received_status(reply)  # pyright: ignore[reportPrivateUsage]

    def request_commitment(self, transaction: str, objects: Sequence[tuple[str, str]]) -> None:
        """N-ACTION: (SOP class, SOP instance UID) of what we want to hear about."""
        action = Dataset()
        action.TransactionUID = transaction
        action.ReferencedSOPSequence = [_reference(*each) for each in objects]
        try:
            status, _ = self._assoc_thread_runs().send_n_action(
                action, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance, self._next_id()
            )
        except ValueError as error:
            raise SinkUnavailable("the archive does not accept the storage commitment service") from error
        if status.get("Status") != 0x0000:
            raise SinkUnavailable(f"storage commitment was not taken on ({_status_text(status)})")
        self.used = time.monotonic()

    def rest(self) -> None:
        """Let the reactor answer the archive (a release, say) while we have nothing to send."""
        self._assoc_thread_runs()

    def release(self) -> None:
        was_open = self.is_open
        assoc = self._assoc_thread_runs()
        if was_open:
            assoc.release()
        assoc.join(RELEASE_S)  # also where the archive asked first: its own thread answers it
        if assoc.dul.is_alive():
            self.drop()

    def drop(self) -> None:
        self._socket.cut()
        self._assoc.abort()

    def _assoc_thread_runs(self) -> Association:
        self._assoc._reactor_checkpoint.set()  # pyright: ignore[reportPrivateUsage]
        return self._assoc

    def _pause_reactor(self) -> None:
        """The association's own thread must not take our reply for a request. It stays paused between objects."""
        assoc = self._assoc
        assoc._reactor_checkpoint.clear()  # pyright: ignore[reportPrivateUsage]
        while not assoc._is_paused and assoc.is_alive():  # pyright: ignore[reportPrivateUsage]
            time.sleep(0.0001)

    def _next_id(self) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _command(self, data: Data, context_id: int, urgent: bool) -> list[bytes]:
        request = C_STORE()
        request.MessageID = self._next_id()
        request.Priority = 1 if urgent else 0
        request.AffectedSOPClassUID = UID(data.sop_class)
        request.AffectedSOPInstanceUID = UID(data.sop_uid)
        message = C_STORE_RQ()
        request._dataset_path = ("", 0)  # type: ignore[attr-defined] - "a data set follows", which we send ourselves
        message.primitive_to_message(request)
        message._data_set_path = None  # pyright: ignore[reportPrivateUsage]
        return [P_DATA_TF(part).encode() for part in message.encode_msg(context_id, self._largest_pdu())]

    def _largest_pdu(self) -> int:
        return self._assoc.acceptor.maximum_length

    def _fragments(self, stream: BinaryIO, context_id: int) -> Any:
        """Lists of PDUs, a block at a time. The next block is read before the last is let go: an object that turns
        out damaged at its end has not left whole."""
        largest = min(self._largest_pdu() or LARGEST_FRAGMENT, LARGEST_FRAGMENT) - 6 & ~1  # fragments are even
        blocks = bytearray(BLOCK), bytearray(BLOCK)
        turn, filled = 0, _fill(stream, blocks[0])
        while filled:
            following = _fill(stream, blocks[1 - turn])
            yield _pdus(memoryview(blocks[turn])[:filled], largest, context_id, is_last=not following)
            turn, filled = 1 - turn, following

    def _reply(self) -> Any:
        """The archive's answer. Time counts from when it has the whole object, or last took a piece of it."""
        unsent = self._socket.unsent()
        until = time.monotonic() + self._peer.answer_s
        while True:
            try:
                _, reply = self._assoc.dimse.msg_queue.get(timeout=POLL_S)
            except queue.Empty:
                if not self._assoc.dul.is_alive():
                    raise SinkUnavailable("the connection closed before the archive answered") from None
                if (left := self._socket.unsent()) < unsent:
                    unsent, until = left, time.monotonic() + self._peer.answer_s
                if time.monotonic() > until:
                    raise SinkUnavailable(f"the archive did not answer within {self._peer.answer_s:g} s") from None
                continue
            if reply is None:
                raise SinkUnavailable("the archive aborted the association before it answered")
            if not isinstance(reply, C_STORE) or reply.MessageIDBeingRespondedTo != self._message_id:
                raise SinkUnavailable("the archive answered something else than it was asked")
            return reply


def _associate(
    peer: Peer, proposed: Sequence[tuple[str, str]], on_report: Callable[[evt.Event], tuple[int, None]]
) -> Association:
    entity = Entity(peer.calling)
    entity.stall_s = peer.stall_s
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS)
    entity.implementation_version_name = IMPLEMENTATION_VERSION
    entity.connection_timeout = peer.connect_s
    entity.acse_timeout = peer.stall_s
    entity.dimse_timeout = peer.answer_s
    entity.network_timeout = None  # an idle association is released by us
    contexts = [build_context(UID(sop_class), UID(syntax)) for sop_class, syntax in proposed]
    contexts += [build_context(uid, list(SMALL_SYNTAXES)) for uid in (Verification, StorageCommitmentPushModel)]
    try:
        assoc = entity.associate(
            peer.host,
            peer.port,
            contexts=contexts,
            ae_title=peer.called,
            tls_args=peer.tls,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_report)],
        )
    except OSError as error:  # the name cannot be resolved
        raise SinkUnavailable(f"{peer.host}: {error}") from error
    if not assoc.is_established:
        raise SinkUnavailable(_why_not(assoc, peer))
    return assoc


def _why_not(assoc: Association, peer: Peer) -> str:
    if assoc.is_rejected:
        answer = assoc.acceptor.primitive
        why = f"{answer.result_str}, {answer.reason_str}" if answer is not None else "no reason given"
        return f'"{peer.called}" rejected the association: {why}'
    if assoc.is_aborted:
        return f'"{peer.called}" at {peer.host}:{peer.port} aborted, or did not answer, the request for an association'
    return f"{peer.host}:{peer.port} cannot be reached"


def _fill(stream: BinaryIO, block: bytearray) -> int:
    """What one read gives (a paced stream gives little at a time), made even; 0 at the end."""
    room = memoryview(block)
    got = stream.readinto(room)  # type: ignore[attr-defined] - every stream of ours can
    if got % 2:
        got += stream.readinto(room[got : got + 1])  # type: ignore[attr-defined]
    return got


def _pdus(block: memoryview, largest: int, context_id: int, *, is_last: bool) -> list[bytes | memoryview]:
    parts: list[bytes | memoryview] = []
    for start in range(0, len(block), largest):
        piece = block[start : start + largest]
        flags = LAST if is_last and start + largest >= len(block) else MORE
        parts += [PDU_HEADER.pack(4, 0, len(piece) + 6, len(piece) + 2, context_id, flags), piece]
    return parts


def _reference(sop_class: str, sop_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = sop_uid
    return item


def _status_text(status: Dataset) -> str:
    return f"0x{status.Status:04X}" if "Status" in status else "no answer"
