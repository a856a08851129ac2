"""Writing that is there after a power cut, or not at all; the fuller tests are of those who write through it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import durable


def test_a_new_file_is_never_an_old_one_nor_written_through_a_link(tmp_path: Path) -> None:
    durable.create_durably(tmp_path / "a", b"1", mode=0o644)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
    (tmp_path / "link").symlink_to("elsewhere")
    for name in ("a", "link"):
        with pytest.raises(FileExistsError):
            durable.create_durably(tmp_path / name, b"2")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_is_turned_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable.turn_link(tmp_path / "current", "versions/1")
    assert (tmp_path / "current").readlink() == Path("versions/1")

    def cut(self: Path, target: Path) -> Path:
        raise OSError("the power goes")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", cut)
        with pytest.raises(OSError, match="power"):
            durable.turn_link(tmp_path / "current", "versions/2")
    assert (tmp_path / "current").readlink() == Path("versions/1")
    assert [path.name for path in tmp_path.iterdir()] == ["current"]
    durable.turn_link(tmp_path / "current", "versions/2")
    assert (tmp_path / "current").readlink() == Path("versions/2")


def test_a_tree_can_be_made_durable(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    durable.sync_tree(tmp_path)
    with pytest.raises(FileNotFoundError):
        durable.sync_tree(tmp_path / "none")
