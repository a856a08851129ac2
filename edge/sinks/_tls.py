"""TLS as BCP 195 wants it, for every sink: 1.2 or 1.3, the peer's certificate always checked, ours shown where asked.

No thread of its own: contexts are made when a sink is opened.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

from edge.access.curve import refuse_open
from edge.config import Tls
from edge.errors import ConfigError

HANDSHAKE_S = 5.0


class _ServerContext(ssl.SSLContext):
    """pynetdicom's server shakes hands in the very thread that accepts: a mute caller must not keep out the others."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **more: Any) -> ssl.SSLSocket:
        sock.settimeout(HANDSHAKE_S)
        return super().wrap_socket(sock, *args, **more)


def client_context(tls: Tls, where: str) -> ssl.SSLContext:
    """For connections we open."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, tls, where)
    return context


def server_context(tls: Tls, where: str) -> ssl.SSLContext:
    """For connections the archive opens to us: it must show a certificate as well."""
    if not tls.certificate or not tls.ca:
        raise ConfigError(f"[{where}] an archive that calls back over TLS needs ca, certificate and key")
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    _load(context, tls, where)
    return context


def _load(context: ssl.SSLContext, tls: Tls, where: str) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for name in ("ca", "certificate", "key"):
        path = getattr(tls, name)
        if path and not Path(path).is_file():
            raise ConfigError(f"[{where}] {name}: no file {path}")
    if tls.key:
        refuse_open(Path(tls.key), f"private key [{where}] key =")
    try:
        if tls.ca:
            context.load_verify_locations(tls.ca)
        else:
            context.load_default_certs()
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key or None, password="")
    except (OSError, ssl.SSLError) as error:  # an encrypted key fails here instead of asking the terminal
        raise ConfigError(f"[{where}] cannot be used for TLS: {error}") from error
