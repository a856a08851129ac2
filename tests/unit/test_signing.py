"""Keys: private ones are kept so, public ones are what their id says, revoked ones stay revoked."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge.errors import ConfigError, EngineRefused
from edge.signing import Keyring, load_signer, make_key


def test_a_private_key_is_its_owners_alone_and_comes_back_as_it_was(tmp_path: Path) -> None:
    made = make_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert load_signer(tmp_path / "key").id == made.id
    assert made.id in repr(made)
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others: chmod 600"):
        load_signer(tmp_path / "key")


def test_no_key_is_written_over(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    with pytest.raises(ConfigError, match="there already"):
        make_key(tmp_path / "key")
    (tmp_path / "key.pub").unlink()
    with pytest.raises(ConfigError, match="exists"):
        make_key(tmp_path / "key")


def test_what_is_no_ed25519_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text").chmod(0o600)
    with pytest.raises(ConfigError, match="no private key"):
        load_signer(tmp_path / "text")
    with pytest.raises(ConfigError, match="no public key"):
        Keyring(tmp_path / "keys").trust(tmp_path / "text")
    other = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "text").write_bytes(other)
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        load_signer(tmp_path / "text")
    with pytest.raises(ConfigError, match="No such file"):
        load_signer(tmp_path / "nowhere")


def test_a_message_is_only_taken_from_a_key_that_is_trusted_and_is_what_its_name_says(tmp_path: Path) -> None:
    signer, other = make_key(tmp_path / "a"), make_key(tmp_path / "b")
    ring = Keyring(tmp_path / "keys")
    assert ring.states() == {}
    with pytest.raises(EngineRefused, match="not trusted here"):
        ring.check(signer.id, b"m", signer.sign(b"m"))
    assert ring.trust(tmp_path / "a.pub") == signer.id
    ring.check(signer.id, b"m", signer.sign(b"m"))
    with pytest.raises(EngineRefused, match="altered, or forged"):
        ring.check(signer.id, b"n", signer.sign(b"m"))
    (ring.folder / f"{other.id}.pub").write_bytes(signer.public_pem)
    with pytest.raises(EngineRefused, match="another key than its name says"):
        ring.check(other.id, b"m", signer.sign(b"m"))


def test_a_revoked_key_is_not_trusted_again(tmp_path: Path) -> None:
    signer = make_key(tmp_path / "a")
    ring = Keyring(tmp_path / "keys")
    ring.trust(tmp_path / "a.pub")
    ring.revoke(signer.id)
    assert ring.states() == {signer.id: "revoked"}
    with pytest.raises(ConfigError, match="was revoked here"):
        ring.trust(tmp_path / "a.pub")
    with pytest.raises(EngineRefused, match="was revoked here"):
        ring.check(signer.id, b"m", signer.sign(b"m"))
    with pytest.raises(ConfigError, match="no key id"):
        ring.revoke("../../etc")
