"""Versions side by side: what is let in, which is current, which way leads back, and what is kept."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from edge.errors import ConfigError, LimpidError, UpdateRefused
from edge.signing import make_key
from edge.update import store as stores
from edge.update.bundle import Listing
from edge.update.install import Step
from edge.update.store import VersionStore
from edge.update.target import Target
from edge.update.trial import Trial
from tests.update_bench import Bench, bench_at, quick_install, store_at


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_at(tmp_path)


def trial(store: VersionStore, version: str) -> Trial:
    return Trial(version, store.current, "")


def everything(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_a_version_is_staged_beside_what_runs(bench: Bench) -> None:
    assert bench.stage(bench.update("1.0")) == "1.0"
    assert bench.store.current == ""
    (version,) = bench.store.versions()
    assert version.states == ()
    assert version.listing is not None
    assert version.listing.notes == "notes of 1.0"
    assert bench.store.check(version).version == "1.0"
    assert not [path for path in bench.store.root.iterdir() if path.name.startswith(stores.STAGING)]


def test_the_same_again_is_no_mistake_and_another_under_its_number_is(bench: Bench) -> None:
    content = bench.update("1.0")
    bench.stage(content)
    assert bench.store.stage(io.BytesIO(content), install=quick_install)[1] is False
    with pytest.raises(UpdateRefused, match="other content"):
        bench.stage(bench.update("1.0", minimum="0.5"))


# ---------------------------------------------------------------- refused, and nothing touched


def refused(bench: Bench, content: bytes, match: str, install: stores.Install = quick_install) -> None:
    before = everything(bench.store.root)
    with pytest.raises(LimpidError, match=match):
        bench.store.stage(io.BytesIO(content), install=install)
    assert everything(bench.store.root) in (before, sorted([*before, ".lock"]))


def test_no_update(bench: Bench) -> None:
    refused(bench, b"something else entirely", "no update")


def test_unsigned(bench: Bench) -> None:
    content = bytearray(bench.update("1.0"))
    length = int.from_bytes(content[8:12], "big")
    content[12 + length : 12 + length + 64] = bytes(64)
    refused(bench, bytes(content), "not signed")


def test_altered(bench: Bench) -> None:
    content = bytearray(bench.update("1.0"))
    content[-1] ^= 1
    refused(bench, bytes(content), "tree.tar in it is damaged or altered")
    content[-1] ^= 1
    content[40] ^= 1
    refused(bench, bytes(content), "altered, or forged|damaged|one form")


def test_truncated(bench: Bench) -> None:
    refused(bench, bench.update("1.0")[:-100], "cut short: tree.tar lacks 100")


def test_with_something_behind_it(bench: Bench) -> None:
    refused(bench, bench.update("1.0") + b"x", "something follows")


def test_wrong_key(bench: Bench) -> None:
    refused(bench, bench.update("1.0", make_key(bench.home / "other")), "not trusted here.*limpid update keys trust")


def test_revoked_key(bench: Bench) -> None:
    content = bench.update("1.0")
    bench.stage(content)
    bench.store.keys.revoke(bench.signer.id)
    refused(bench, bench.update("2.0"), "was revoked here")
    (version,) = bench.store.versions()
    with pytest.raises(UpdateRefused, match="revoked"):  # nor is what is staged already still to be used
        bench.store.check(version)


@pytest.mark.parametrize(
    ("target", "why"), [(Target("3.99"), "for Python 3.99"), (Target("any", "vax"), "for vax machines")]
)
def test_another_machine(bench: Bench, target: Target, why: str) -> None:
    refused(bench, bench.update("1.0", target=target), why)


def test_older_than_what_is_current(bench: Bench) -> None:
    current(bench, "2.0")
    refused(bench, bench.update("1.9"), "older than 2.0.*limpid update rollback")


def test_what_needs_another_version_first(bench: Bench) -> None:
    current(bench, "1.0")
    refused(bench, bench.update("3.0", minimum="2.0"), "needs 2.0 first; 1.0 is current")


def test_no_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "free_bytes", lambda _folder: 1 << 20)
    refused(bench, bench.update("1.0"), "no room for it: .* MB are needed, 1 are free")


def test_a_disk_that_is_full_on_the_way(bench: Bench) -> None:
    def full(listing: Listing, files: Path, home: Path, final: Path, step: Step) -> None:
        quick_install(listing, files, home, final, step)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    refused(bench, bench.update("1.0"), "not installed: No space left", full)


def test_an_engine_bundle_is_no_update(bench: Bench) -> None:
    refused(bench, b"LIMPENG\1" + bytes(200), "no update")


# ---------------------------------------------------------------- current, and back


def current(bench: Bench, *versions: str) -> None:
    """These, one after the other, each kept."""
    for version in versions:
        bench.stage(bench.update(version))
        bench.store.switch(version, trial(bench.store, version) if bench.store.current else None)
        bench.store.hold()


def test_the_first_has_no_way_back_and_the_second_has(bench: Bench) -> None:
    current(bench, "1.0")
    assert (bench.store.current, bench.store.good, bench.store.previous) == ("1.0", "1.0", "")
    with pytest.raises(ConfigError, match="nothing to go back to"):
        bench.store.roll_back("to try it")
    current(bench, "1.1")
    assert (bench.store.current, bench.store.good, bench.store.previous) == ("1.1", "1.1", "1.0")
    assert bench.store.roll_back("to try it") == "1.0"
    assert (bench.store.current, bench.store.good, bench.store.previous) == ("1.0", "1.0", "")


def test_during_a_trial_the_good_one_is_the_one_before(bench: Bench) -> None:
    current(bench, "1.0")
    bench.stage(bench.update("2.0"))
    bench.store.switch("2.0", trial(bench.store, "2.0"))
    found = bench.store.trial()
    assert found is not None
    assert found.before == "1.0"
    assert (bench.store.current, bench.store.good, bench.store.previous) == ("2.0", "1.0", "1.0")
    bench.store.roll_back("it failed")
    assert bench.store.trial() is None
    assert bench.store.current == "1.0"


def test_a_trial_that_was_written_and_not_begun_is_none(bench: Bench) -> None:
    current(bench, "1.0")
    bench.stage(bench.update("2.0"))
    bench.store.switch("2.0", trial(bench.store, "2.0"))
    link = bench.store.root / "current"
    link.unlink()
    link.symlink_to("versions/1.0")  # as if the power had gone just before the link was turned
    assert bench.store.trial() is None
    assert bench.store.previous == ""


def test_the_last_two_are_kept_and_what_is_newer(bench: Bench) -> None:
    current(bench, "1.0", "1.1")
    bench.stage(bench.update("9.0"))
    current(bench, "1.2")
    assert [version.number for version in bench.store.versions()] == ["1.1", "1.2", "9.0"]
    assert (bench.store.current, bench.store.previous) == ("1.2", "1.1")


def test_current_and_the_way_back_are_never_removed(bench: Bench) -> None:
    current(bench, "1.0", "1.1")
    for number in ("1.0", "1.1"):
        with pytest.raises(ConfigError, match="current, or the way back"):
            bench.store.remove(number)
    bench.stage(bench.update("2.0"))
    bench.store.remove("2.0")
    with pytest.raises(ConfigError, match=r"no version 2\.0"):
        bench.store.remove("2.0")
    with pytest.raises(ConfigError):
        bench.store.remove("../../opt")


def test_a_link_that_leads_elsewhere_is_not_followed(bench: Bench) -> None:
    (bench.store.root / "current").symlink_to("/etc")
    assert bench.store.current == ""


def test_what_was_changed_since_it_was_installed_is_not_used(bench: Bench) -> None:
    bench.stage(bench.update("1.0"))
    (version,) = bench.store.versions()
    (version.home / "venv/1.py").write_text("something else")
    with pytest.raises(UpdateRefused, match=r"venv/1.py is not what was installed"):
        bench.store.check(version)
    bench.stage(bench.update("1.0"))  # and staging it again mends it, as nothing needs it
    (version,) = bench.store.versions()
    assert bench.store.check(version)


def test_a_file_too_many_is_seen(bench: Bench) -> None:
    bench.stage(bench.update("1.0"))
    (version,) = bench.store.versions()
    (version.home / "venv/more.py").write_text("")
    with pytest.raises(UpdateRefused, match=r"venv/more.py"):
        bench.store.check(version)


def test_the_newest_that_is_newer_is_found(bench: Bench) -> None:
    current(bench, "1.0")
    with pytest.raises(ConfigError, match="newer than the current one"):
        bench.store.find()
    for version in ("1.10", "1.9"):
        bench.stage(bench.update(version))
    assert bench.store.find().number == "1.10"
    assert bench.store.find("1.9").number == "1.9"


def test_each_step_is_in_the_audit_log(bench: Bench) -> None:
    current(bench, "1.0", "1.1", "1.2")
    bench.store.roll_back("to try it")
    did = [entry.did for entry in store_at(bench.home).audit.entries()]
    for step in ("staged", "switching", "switched", "held", "removed", "rolling-back", "rolled-back"):
        assert f"update-{step}" in did, step
    assert bench.store.audit.verify().faults == ()
