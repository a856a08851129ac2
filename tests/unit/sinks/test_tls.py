"""DICOM over TLS: the peer's certificate is always checked, and nothing older than TLS 1.2 is spoken."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from edge.config import Tls
from edge.errors import ConfigError
from edge.sinks._tls import client_context, server_context

PACS = "pacs.example"


def certificate(folder: Path, label: str, *, name: str = PACS, ends: timedelta = timedelta(days=1)) -> Path:
    """Signed by itself, so that it is its own authority; certificate and key in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9)).not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / f"{label}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + private)
    path.chmod(0o600)
    return path


def peer(shows: Path, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shows)
    if newest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = newest
    return context


def shake(ours: ssl.SSLContext, theirs: ssl.SSLContext) -> str | None:
    """A whole handshake in memory. Gives the version that both speak; raises what ours has to say."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(down, up, server_hostname=PACS)
    server = theirs.wrap_bio(up, down, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for end in (client, server):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                continue
        if len(done) == 2:
            return client.version()
    raise AssertionError("the handshake does not end")


def test_a_peer_that_is_known_is_spoken_to(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "known")
    assert shake(client_context(Tls(ca=str(shown)), "x"), peer(shown)) == "TLSv1.3"


def test_an_expired_peer_is_refused(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "old", ends=-timedelta(days=1))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake(client_context(Tls(ca=str(shown)), "x"), peer(shown))


def test_an_unknown_peer_is_refused_with_an_authority_and_by_default(tmp_path: Path) -> None:
    known, shown = certificate(tmp_path, "known"), certificate(tmp_path, "stranger")
    for tls in (Tls(ca=str(known)), Tls()):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(client_context(tls, "x"), peer(shown))


def test_a_peer_with_another_name_is_refused(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "other", name="other.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="ostname"):
        shake(client_context(Tls(ca=str(shown)), "x"), peer(shown))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_protocol_is_not_spoken(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "known")
    with pytest.raises(ssl.SSLError):
        shake(client_context(Tls(ca=str(shown)), "x"), peer(shown, ssl.TLSVersion.TLSv1_1))


def test_who_calls_back_must_show_a_certificate(tmp_path: Path) -> None:
    ours = certificate(tmp_path, "ours")
    context = server_context(Tls(ca=str(ours), certificate=str(ours), key=str(ours)), "x")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    with pytest.raises(ConfigError, match="needs ca"):
        server_context(Tls(), "x")


def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    ours = certificate(tmp_path, "ours")
    ours.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        client_context(Tls(certificate=str(ours), key=str(ours)), "x")
