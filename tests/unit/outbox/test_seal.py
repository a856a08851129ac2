"""What is sealed opens with its own key, in any order, and not at all where a single bit is another."""

from __future__ import annotations

import io
import os
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError, OutboxFault
from edge.outbox import Outbox, Settings
from edge.outbox.seal import CHUNK, HEADER, TAG, Key, Sealer, Unsealer, load_key
from tests.outbox_rig import ROOMY, Rig, content, dicom, draft, pair

KEY = Key(b"k" * 32)
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7]


def seal(plain: bytes, key: Key = KEY, piece: int = 100_000) -> bytes:
    sealed = bytearray()
    sealer = Sealer(key, sealed.extend)
    for start in range(0, len(plain), piece):
        sealer.write(plain[start : start + piece])
    sealer.finish()
    return bytes(sealed)


def unseal(sealed: bytes, key: Key = KEY) -> bytes:
    return io.BufferedReader(Unsealer(io.BytesIO(sealed), key)).read()


@pytest.mark.parametrize("size", SIZES)
def test_it_opens_as_it_was(size: int):
    plain = content("plain", size)
    sealed = seal(plain)
    assert unseal(sealed) == plain
    assert len(sealed) == HEADER.size + size + TAG * max(1, -(-size // CHUNK))


def test_nothing_of_it_lies_in_plain():
    plain = b"PHANTOM^ONE" * 40_000
    assert b"PHANTOM" not in seal(plain)
    assert seal(plain) != seal(plain)


@given(positions=st.lists(st.tuples(st.integers(0, 2 * CHUNK + 99), st.integers(0, 70_000)), max_size=12))
def test_it_can_be_read_from_anywhere(positions: list[tuple[int, int]]):
    plain = content("seek", 2 * CHUNK + 100)
    reader = io.BufferedReader(Unsealer(io.BytesIO(_SEALED_FOR_SEEKING), KEY))
    assert reader.seek(0, os.SEEK_END) == len(plain)
    for position, count in positions:
        assert reader.seek(position) == position
        assert reader.read(count) == plain[position : position + count]


_SEALED_FOR_SEEKING = seal(content("seek", 2 * CHUNK + 100))


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_other_bit_anywhere_and_it_does_not_open(place: float, bit: int):
    sealed = bytearray(_SEALED_FOR_SEEKING)
    sealed[int(place * len(sealed))] ^= 1 << bit
    with pytest.raises((OutboxFault, ConfigError)):
        unseal(bytes(sealed))


def _chunk(number: int) -> slice:
    start = HEADER.size + number * (CHUNK + TAG)
    return slice(start, start + CHUNK + TAG)


@pytest.mark.parametrize(
    "harm", ["cut at a chunk", "cut in a chunk", "cut in the header", "exchanged", "repeated", "longer"]
)
def test_chunks_that_were_moved_or_cut_do_not_open(harm: str):
    sealed = seal(content("chunks", 3 * CHUNK))
    first, second = sealed[_chunk(0)], sealed[_chunk(1)]
    header, rest = sealed[: HEADER.size], sealed[_chunk(2).start :]
    harmed = {
        "cut at a chunk": sealed[: _chunk(2).start],
        "cut in a chunk": sealed[:-5],
        "cut in the header": sealed[:20],
        "exchanged": header + second + first + rest,
        "repeated": header + first + first + second + rest,
        "longer": sealed + b"more",
    }[harm]
    with pytest.raises(OutboxFault):
        unseal(harmed)


def test_a_file_without_its_last_chunk_does_not_open():
    sealed = bytearray()
    Sealer(KEY, sealed.extend).write(content("unfinished", 2 * CHUNK))
    with pytest.raises(OutboxFault):
        unseal(bytes(sealed))


def test_another_key_is_told_by_its_id_and_is_no_damage():
    with pytest.raises(ConfigError, match=KEY.id):
        unseal(seal(b"plain"), Key(b"o" * 32))


def key_file(path: Path, text: bytes | None = None, mode: int = 0o600) -> str:
    path.write_bytes(secrets.token_bytes(32) if text is None else text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("text", [b"\x07" * 32, b"07" * 32 + b"\n"])
def test_a_key_is_bytes_or_digits(tmp_path: Path, text: bytes):
    key = load_key(Settings(key_file=key_file(tmp_path / "key", text)))
    assert key is not None
    assert key.id == Key(b"\x07" * 32).id
    assert "07" * 8 not in repr(key)


@pytest.mark.parametrize("text", [b"", b"short", b"0" * 63, b"not hexadecimal" * 5])
def test_what_is_no_key_is_refused(tmp_path: Path, text: bytes):
    with pytest.raises(ConfigError, match="key"):
        load_key(Settings(key_file=key_file(tmp_path / "key", text)))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int):
    with pytest.raises(ConfigError, match="chmod 600"):
        load_key(Settings(key_file=key_file(tmp_path / "key", mode=mode)))


def test_a_key_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        load_key(Settings(key_file=str(tmp_path / "key")))


def test_a_key_may_come_from_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="LoadCredential"):
        load_key(Settings(key_credential="spool"))
    key_file(tmp_path / "spool", b"\x07" * 32, mode=0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    key = load_key(Settings(key_credential="spool"))
    assert key is not None
    assert key.id == Key(b"\x07" * 32).id
    with pytest.raises(ConfigError, match="one of them"):
        load_key(Settings(key_credential="spool", key_file=str(tmp_path / "spool")))


@pytest.fixture
def sealed_rig(tmp_path: Path) -> Rig:
    return Rig(
        tmp_path / "outbox", Settings(watermark_percent=100, least_free_mb=0, key_file=key_file(tmp_path / "key"))
    )


def test_a_sealed_outbox_holds_nothing_in_plain_and_gives_all_of_it(sealed_rig: Rig):
    thing = dicom()
    sealed_rig.box.put(draft(thing))
    for path in sealed_rig.folder.rglob("*"):
        assert not path.is_file() or b"PHANTOM" not in path.read_bytes()
    item = sealed_rig.box.next("pacs")
    assert item is not None
    assert item.object.file == "1-original.dcm.sealed"
    with sealed_rig.box.open(item) as file:
        assert file.read() == thing.content


def test_a_wrong_key_sets_nothing_aside(sealed_rig: Rig, tmp_path: Path):
    sealed_rig.box.put(draft(*pair()))
    sealed_rig.box.close()
    for settings in (ROOMY, Settings(key_file=key_file(tmp_path / "other"))):
        box = Outbox(sealed_rig.folder, settings)
        item = box.next("pacs")
        assert item is not None
        with pytest.raises(ConfigError, match="sealed with key"):
            box.open(item)
        assert box.next("pacs") == item


def test_the_key_may_come_later_and_what_lies_in_plain_still_goes(tmp_path: Path):
    rig = Rig(tmp_path / "outbox")
    things = pair()
    rig.box.put(draft(*things))
    rig.settings = Settings(watermark_percent=100, least_free_mb=0, key_file=key_file(tmp_path / "key"))
    rig.restart()
    rig.box.put(draft(*things))
    seen = []
    while (item := rig.box.next("pacs")) is not None:
        with rig.box.open(item) as file:
            seen.append((bool(item.object.sealed), file.read()))
        rig.box.sent(item)
    assert seen == [(sealed, thing.content) for sealed in (False, True) for thing in things]


def test_what_damage_and_key_agree_on_is_still_noticed(sealed_rig: Rig):
    """A sealed file and its sum exchanged together by someone without the key."""
    sealed_rig.box.put(draft(*pair()))
    item = sealed_rig.box.next("pacs")
    assert item is not None
    path = sealed_rig.captures_folder() / item.capture.id / item.object.file
    forged = bytearray(path.read_bytes())
    forged[-1] ^= 1
    path.write_bytes(forged)
    import hashlib

    import msgspec

    stored = msgspec.structs.replace(item.object, sha256=hashlib.sha256(forged).hexdigest())
    record = msgspec.structs.replace(item.capture.record, objects=(stored, item.capture.objects[1]))
    (path.parent / "capture.json").write_bytes(record.encoded())
    sealed_rig.restart()
    item = sealed_rig.box.next("pacs")
    assert item is not None
    with pytest.raises(OutboxFault, match="chunk"):
        sealed_rig.box.open(item)
    assert sealed_rig.box.count("pacs", "damaged") == 1
