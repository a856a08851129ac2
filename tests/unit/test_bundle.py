"""Signed bundles: what is refused, each with its own words, and that nothing of a refused one is left."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge import bundle
from edge.bundle import Listed, Listing
from edge.errors import EngineRefused
from edge.signing import Keyring, Signer, make_key

FILES = {"manifest.toml": b"name = 1\n", "model.onnx": bytes(range(256)) * 40}


class Slow(io.RawIOBase):
    """A network: a few bytes at a time."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(min(size, 7))


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_key(tmp_path / "key")


@pytest.fixture
def keys(tmp_path: Path, signer: Signer) -> Keyring:
    ring = Keyring(tmp_path / "keys")
    ring.trust(tmp_path / "key.pub")
    return ring


@pytest.fixture
def packed(signer: Signer) -> bytes:
    return bundle.pack("tiny", "2", 1, FILES, signer)


@pytest.mark.parametrize("file", ["judged.json", "profile.json"])
def test_figures_of_another_model_are_not_signed(signer: Signer, file: str) -> None:
    model = hashlib.sha256(FILES["model.onnx"]).hexdigest()
    assert bundle.pack("tiny", "2", 1, FILES | {file: b'{"sha256": "%s", "more": 1}' % model.encode()}, signer)
    for content in (b'{"sha256": "%s"}' % (b"0" * 64), b"{}", b"[]", b"\xff"):
        with pytest.raises(EngineRefused, match=rf"{file} tells of another model: python -m calibration\.\w+ tiny"):
            bundle.pack("tiny", "2", 1, FILES | {file: content}, signer)


def unpacked(content: bytes, keys: Keyring, into: Path, kind: Callable[[bytes], bundle.Stream] = io.BytesIO) -> Listing:
    stream = kind(content)
    head = bundle.read_head(stream, keys)
    into.mkdir(exist_ok=True)
    bundle.unpack(stream, head, into)
    return head.listing


def refusal(content: bytes, keys: Keyring, into: Path) -> str:
    with pytest.raises(EngineRefused) as caught:
        unpacked(content, keys, into)
    return str(caught.value)


def signed(listing: Listing | bytes, signer: Signer, contents: bytes = b"") -> bytes:
    text = listing if isinstance(listing, bytes) else msgspec.json.encode(listing, order="deterministic")
    head = struct.pack(">7sBI", bundle.MAGIC, bundle.FORMAT, len(text)) + text
    return head + signer.sign(bundle.SIGNED_AS + text) + contents


def listing_of(signer: Signer, *names: str, **more: object) -> Listing:
    files = tuple(Listed(name, 0, "0" * 64) for name in names)
    facts: dict[str, object] = {"format": 1, "contract": 1, "name": "tiny", "version": "2", "key": signer.id, **more}
    return Listing(files=files, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [io.BytesIO, Slow])
def test_what_was_packed_comes_out_as_it_was(
    packed: bytes, keys: Keyring, tmp_path: Path, kind: Callable[[bytes], bundle.Stream]
) -> None:
    listing = unpacked(packed, keys, tmp_path / "out", kind)
    assert (listing.name, listing.version, listing.size) == ("tiny", "2", sum(map(len, FILES.values())))
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found.pop(bundle.HEAD_FILE) == packed[: -listing.size]
    assert found == FILES
    assert bundle.check_folder(tmp_path / "out", keys) == listing


def test_the_same_engine_and_key_give_the_same_bytes(packed: bytes, signer: Signer) -> None:
    assert bundle.pack("tiny", "2", 1, dict(reversed(FILES.items())), signer) == packed


def test_any_bit_that_is_turned_is_found(packed: bytes, keys: Keyring, tmp_path: Path) -> None:
    for place in [*range(0, 600, 7), *range(600, len(packed), 997), len(packed) - 1]:
        harmed = bytearray(packed)
        harmed[place] ^= 1 << (place % 8)
        assert refusal(bytes(harmed), keys, tmp_path / f"out{place}")


def test_one_that_is_cut_short_anywhere_is_refused(packed: bytes, keys: Keyring, tmp_path: Path) -> None:
    for length in [*range(0, 500, 11), *range(500, len(packed), 1499), len(packed) - 1]:
        said = refusal(packed[:length], keys, tmp_path / f"out{length}")
        assert "cut short" in said or (length < 12 and "no engine bundle" in said), (length, said)


def test_each_wrong_has_its_own_words(packed: bytes, signer: Signer, keys: Keyring, tmp_path: Path) -> None:
    text_at = bundle.PREFIX.size
    length = struct.unpack(">I", packed[8:12])[0]
    text, rest = packed[text_at : text_at + length], packed[text_at + length :]
    stranger = make_key(tmp_path / "stranger")
    wrongs = {
        "no engine bundle": b"PK\x03\x04" + packed,
        "format 2": packed[:7] + b"\x02" + packed[8:],
        "head is damaged": packed[:8] + b"\xff\xff\xff\xff" + packed[12:],
        "not signed": packed[: text_at + length] + bytes(64) + rest[64:],
        "altered, or forged": packed[: text_at + length] + rest[1:65] + rest[64:],
        "model.onnx in it is damaged or altered": packed[:-1] + b"!",
        "something follows": packed + b"x",
        "not trusted here": bundle.pack("tiny", "2", 1, FILES, stranger),
        "one form": signed(text.replace(b",", b", ", 1), signer, rest[64:]),
        "listing is damaged": signed(b'{"format":1,"contract":1}', signer),
        "format 7": signed(b'{"format":7,"news":true}', signer),
    }
    for n, (words, content) in enumerate(wrongs.items()):
        assert words in refusal(content, keys, tmp_path / f"out{n}")


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "a/b", ".hidden", "..", "", "a\\b", "x" * 65, "new\nline", "bundle.head"]
)
def test_a_file_may_have_no_name_that_leads_anywhere_else(
    name: str, signer: Signer, keys: Keyring, tmp_path: Path
) -> None:
    said = refusal(signed(listing_of(signer, name, "model.onnx"), signer), keys, tmp_path / "out")
    assert "listing" in said


def test_no_file_is_named_twice_nor_told_larger_than_may_be(signer: Signer, keys: Keyring, tmp_path: Path) -> None:
    assert "twice" in refusal(signed(listing_of(signer, "a.bin", "A.bin"), signer), keys, tmp_path / "out")
    large = tuple(Listed(f"{n}.bin", bundle.LARGEST_FILE, "0" * 64) for n in range(3))
    content = signed(msgspec.structs.replace(listing_of(signer), files=large), signer)
    assert "at most 512" in refusal(content, keys, tmp_path / "out")
    huge = msgspec.json.encode(listing_of(signer, "a", "b")).replace(b'"size":0', b'"size":999999999999', 1)
    assert "listing is damaged" in refusal(signed(huge, signer), keys, tmp_path / "out")


def test_what_lies_in_the_way_is_neither_followed_nor_written_over(
    packed: bytes, keys: Keyring, tmp_path: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    (out / "model.onnx").symlink_to(elsewhere)
    with pytest.raises(FileExistsError):
        unpacked(packed, keys, out)
    assert not elsewhere.exists()


def test_a_key_that_was_revoked_counts_no_more_also_for_what_is_installed(
    packed: bytes, signer: Signer, keys: Keyring, tmp_path: Path
) -> None:
    unpacked(packed, keys, tmp_path / "out")
    keys.revoke(signer.id)
    assert "was revoked here" in refusal(packed, keys, tmp_path / "again")
    with pytest.raises(EngineRefused, match="was revoked here"):
        bundle.check_folder(tmp_path / "out", keys)


def test_installed_files_are_checked_against_what_was_signed(packed: bytes, keys: Keyring, tmp_path: Path) -> None:
    out = tmp_path / "out"
    unpacked(packed, keys, out)
    (out / "model.onnx").write_bytes(FILES["model.onnx"] + b"\0")
    with pytest.raises(EngineRefused, match=r"model\.onnx is damaged or altered"):
        bundle.check_folder(out, keys)
    (out / "model.onnx").unlink()
    with pytest.raises(EngineRefused, match=r"model\.onnx: No such file"):
        bundle.check_folder(out, keys)
    (out / bundle.HEAD_FILE).unlink()
    assert bundle.check_folder(out, keys) is None
