"""An association as the user of a small service (worklist, MPPS): opened, used and released within one question.

Runs in whoever asks: a child of the live process for the worklist, the forward process for MPPS. Never in live itself.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Generator

from pydicom.uid import UID
from pynetdicom import AE, _config
from pynetdicom.association import Association

from edge.config import Peer
from edge.dicom.part10 import IMPLEMENTATION_VERSION
from edge.dicom.services import PLAIN_SYNTAXES
from edge.dicom.uids import IMPLEMENTATION_CLASS
from edge.errors import SinkUnavailable
from edge.sinks._tls import client_context

_config.LOG_HANDLER_LEVEL = "none"  # its own log would write out whole messages, patients and all


@contextlib.contextmanager
def associated(peer: Peer, calling: str, sop_class: str) -> Generator[Association, None, None]:
    """An open association on which `sop_class` was accepted, or SinkUnavailable with what is in the way."""
    entity = AE(ae_title=calling)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS)
    entity.implementation_version_name = IMPLEMENTATION_VERSION
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = peer.timeout_s
    entity.add_requested_context(sop_class, list(PLAIN_SYNTAXES))
    try:
        assoc = entity.associate(peer.host, peer.port, ae_title=peer.called, tls_args=_tls(peer))
    except OSError as error:  # the name cannot be resolved
        raise SinkUnavailable(f"{peer.host}: {error}") from error
    if not assoc.is_established:
        raise SinkUnavailable(_why_not(assoc, peer))
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()


def _why_not(assoc: Association, peer: Peer) -> str:
    if assoc.is_rejected:
        return f'"{peer.called}" rejected the association: does it know us, and by this AE title?'
    if assoc.acceptor.primitive is not None:
        return f'"{peer.called}" does not offer this service'
    return f"{peer.host}:{peer.port} cannot be reached, or did not answer"


def _tls(peer: Peer) -> tuple[ssl.SSLContext, str] | None:
    if peer.tls is None:
        return None
    return client_context(peer.tls, "tls"), peer.tls.server_name or peer.host
