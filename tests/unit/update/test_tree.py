"""An archive may not write anywhere but below its folder, nor anything but plain files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from edge.errors import UpdateRefused
from edge.update import tree


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as out:
        for member, content in members:
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.linkname = kind, mode, link
    return made


def test_what_is_plain_is_unpacked(tmp_path: Path) -> None:
    made = archive(
        tmp_path / "a.tar",
        (member("edge/x.py"), b"x = 1\n"),
        (member("bin/run", mode=0o755), b"#!"),
        (member("d", tarfile.DIRTYPE), b""),
    )
    tree.unpack(made, tmp_path / "into", 100)
    assert (tmp_path / "into/edge/x.py").read_bytes() == b"x = 1\n"
    assert (tmp_path / "into/edge/x.py").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "into/bin/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "into/d").is_dir()


@pytest.mark.parametrize(
    "bad",
    [
        member("../evil"),
        member("a/../../evil"),
        member("/tmp/evil"),
        member("a\nb"),
        member("link", tarfile.SYMTYPE, link="/etc"),
        member("link", tarfile.LNKTYPE, link="../evil"),
        member("pipe", tarfile.FIFOTYPE),
        member("device", tarfile.CHRTYPE),
        member("suid", mode=0o4755),
        member("x" * 500),
    ],
    ids=lambda one: f"{one.name[:8]!r}-{one.type.decode()}-{one.mode:o}",
)
def test_what_is_not_plain_is_refused_before_anything_is_written(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    made = archive(tmp_path / "a.tar", (member("first.py"), b"x"), (bad, b""))
    (tmp_path / "into").mkdir()
    with pytest.raises(UpdateRefused, match="its archive names"):
        tree.unpack(made, tmp_path / "into", 100)
    assert list((tmp_path / "into").iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.tar", (member("a"), b"1"), (member("a"), b"2"))
    with pytest.raises(UpdateRefused, match="twice"):
        tree.unpack(made, tmp_path / "into", 100)


def test_one_that_holds_more_than_it_says_is_refused(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.tar", (member("a"), b"12345"))
    with pytest.raises(UpdateRefused, match="more than it says"):
        tree.unpack(made, tmp_path / "into", 4)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(UpdateRefused, match="no archive"):
        tree.unpack(tmp_path / "a.tar", tmp_path / "into", 100)
