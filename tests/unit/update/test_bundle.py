"""A version as one signed file: made from wheels or from a tree, and read again."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from edge.errors import ConfigError, UpdateRefused
from edge.signing import Signer, make_key
from edge.update import bundle
from edge.update.target import Target

NUMPY = "numpy-2.1.0-cp311-cp311-manylinux2014_x86_64.whl"


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    made = make_key(tmp_path / "key")
    bundle.keyring(tmp_path / "keys").trust(tmp_path / "key.pub")
    return made


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("limpid_edge-1.2.0-py3-none-any.whl", NUMPY):
        with zipfile.ZipFile(folder / name, "w") as out:
            out.writestr("a.py", "x" * 1000)
    return folder


def _quiet(_what: str, _done: int, _total: int) -> None: ...


def test_a_wheelhouse_says_what_it_is_and_for_whom(tmp_path: Path, wheels: Path, signer: Signer) -> None:
    place, written = bundle.write(bundle.wheelhouse(wheels), "1.0", "better", signer, tmp_path, _quiet)
    assert place.name == "limpid-1.2.0-py3.11-x86_64.limpid-update"
    with place.open("rb") as file:
        listing = bundle.read_head(file, bundle.keyring(tmp_path / "keys")).listing
    assert listing == written
    assert (listing.version, listing.holds, listing.minimum, listing.notes) == ("1.2.0", "wheels", "1.0", "better")
    assert listing.target == Target("3.11", "x86_64")
    assert listing.unpacked == 2000


def test_without_our_own_wheel_or_with_two_it_is_none(tmp_path: Path, wheels: Path) -> None:
    (wheels / "limpid_edge-1.3.0-py3-none-any.whl").write_bytes(b"")
    with pytest.raises(ConfigError, match="2 wheels of limpid-edge"):
        bundle.wheelhouse(wheels)
    with pytest.raises(ConfigError, match="0 wheels"):
        bundle.wheelhouse(tmp_path)


def test_a_tree_leaves_out_what_python_caches_and_follows_links(tmp_path: Path, signer: Signer) -> None:
    site = tmp_path / "site-packages"
    (site / "edge/__pycache__").mkdir(parents=True)
    (site / "edge/__pycache__/a.pyc").write_bytes(b"cached")
    (site / "edge/a.py").write_text("a = 1\n")
    (site / "edge/b.py").symlink_to("a.py")
    (site / "limpid_edge-1.2.0.dist-info").mkdir()
    made = bundle.tree(site, tmp_path / "tree.tar")
    assert (made.version, made.unpacked, made.target) == ("1.2.0", 12, Target())
    with pytest.raises(ConfigError, match="no site-packages"):
        bundle.tree(tmp_path, tmp_path / "other.tar")


def test_an_engines_signature_is_none_for_an_update(tmp_path: Path, wheels: Path, signer: Signer) -> None:
    place, _ = bundle.write(bundle.wheelhouse(wheels), "", "", signer, tmp_path, _quiet)
    content = place.read_bytes()
    length = int.from_bytes(content[8:12], "big")
    text = content[12 : 12 + length]
    forged = content[: 12 + length] + signer.sign(b"limpid engine bundle\0" + text) + content[12 + length + 64 :]
    with pytest.raises(UpdateRefused, match="altered, or forged"):
        bundle.read_head(io.BytesIO(forged), bundle.keyring(tmp_path / "keys"))


@pytest.mark.parametrize("version", ["banana", "1.0rc1", ""])
def test_a_version_that_cannot_be_compared_is_none(tmp_path: Path, version: str) -> None:
    (tmp_path / f"limpid_edge-{version}.dist-info").mkdir()
    with pytest.raises(ConfigError, match="not of the form"):
        bundle.tree(tmp_path, tmp_path / "tree.tar")
