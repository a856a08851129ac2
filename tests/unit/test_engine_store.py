"""Versions side by side: what is let in, which one is active, and the way back."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from edge.bundle import PREFIX, SIGNATURE
from edge.catalog import Catalog, shipped_folder
from edge.config import Engines
from edge.engine_disk import KEPT_GENERATIONS
from edge.engine_store import EngineStore, is_older, keyring_of
from edge.errors import ConfigError, EngineRefused
from edge.signing import Signer, make_key
from tests.engine_making import NAME, make_version, packed, put, store_at


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return store_at(tmp_path / "store")


@pytest.fixture
def signer(tmp_path: Path, store: EngineStore) -> Signer:
    made = make_key(tmp_path / "key")
    store.keys.trust(tmp_path / "key.pub")
    return made


def bundle_of(tmp_path: Path, version: str, signer: Signer, *edits: tuple[str, str], as_: str = "") -> bytes:
    engine = make_version(tmp_path / f"made-{version}{as_}", version)
    path = engine.folder / "manifest.toml"
    for old, new in edits:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    return packed(engine, signer)


def active(store: EngineStore) -> str:
    engine = Catalog([store.root]).engines.get(NAME)
    return engine.manifest.version if engine is not None else "shipped"


def done(store: EngineStore) -> list[str]:
    assert store.audit.verify().faults == ()
    return [entry.did for entry in store.audit.entries()]


def test_a_bundle_is_installed_beside_what_is_there_and_activated_by_itself_never(
    store: EngineStore, signer: Signer, tmp_path: Path
) -> None:
    version, new = store.install(io.BytesIO(bundle_of(tmp_path, "2", signer)))
    assert new
    assert (version.number, version.signed_by, version.active, version.fault) == ("2", signer.id, False, "")
    assert active(store) == "shipped"
    store.activate(NAME, version.home)
    assert active(store) == "2"
    assert not (store.root / NAME).readlink().is_absolute()
    assert done(store) == ["engine-installed", "engine-activating", "engine-activated"]


def test_the_same_bundle_again_is_no_mistake_another_of_the_same_version_is(
    store: EngineStore, signer: Signer, tmp_path: Path
) -> None:
    content = bundle_of(tmp_path, "2", signer)
    first, _ = store.install(io.BytesIO(content))
    again, new = store.install(io.BytesIO(content))
    assert (again.home, new) == (first.home, False)
    other = bundle_of(tmp_path, "2", signer, ("Hand-set weights", "Other weights"), as_="-other")
    with pytest.raises(EngineRefused, match="a new engine needs a new version"):
        store.install(io.BytesIO(other))
    (first.home / "model.onnx").write_bytes(b"")
    mended, new = store.install(io.BytesIO(content))
    assert new
    assert mended.home != first.home


def test_each_refused_bundle_has_its_own_words_and_what_is_active_stays(
    store: EngineStore, signer: Signer, tmp_path: Path
) -> None:
    version, _ = store.install(io.BytesIO(bundle_of(tmp_path, "5", signer)))
    store.activate(NAME, version.home)
    before = sorted(path.name for path in store.root.iterdir())
    good = bundle_of(tmp_path, "6", signer)
    signed_at = PREFIX.size + int.from_bytes(good[8:12], "big")
    stranger = make_key(tmp_path / "stranger")
    wrongs = {
        "no engine bundle": good[20:],
        "cut short": good[:-1],
        "damaged or altered": good[:-1] + b"!",
        "not signed": good[:signed_at] + bytes(SIGNATURE) + good[signed_at + SIGNATURE :],
        "bundle of format 2": good[:7] + b"\x02" + good[8:],
        "not trusted here": bundle_of(tmp_path, "7", stranger),
        "older than the active 5": bundle_of(tmp_path, "4", signer),
        "contract 2": bundle_of(tmp_path, "8", signer, ("contract = 1", "contract = 2")),
        "is not of the form": bundle_of(tmp_path, "latest", signer),
    }
    for words, content in wrongs.items():
        with pytest.raises(EngineRefused, match=words):
            store.install(io.BytesIO(content), lambda _name: "5")
        assert active(store) == "5"
        assert sorted(path.name for path in store.root.iterdir()) == before
    store.keys.revoke(signer.id)
    with pytest.raises(EngineRefused, match="revoked"):
        store.install(io.BytesIO(good))
    # And what it signed before is not opened again: the shipped one is there.
    assert Catalog([store.root, shipped_folder()]).engines[NAME].manifest.version == "1"


def test_what_a_bundle_says_must_be_what_it_holds(store: EngineStore, signer: Signer, tmp_path: Path) -> None:
    engine = make_version(tmp_path / "made", "3")
    manifest = engine.folder / "manifest.toml"
    text = manifest.read_text()
    wrongs = {
        "it holds handbuilt-small 4": text.replace('version = "3"', 'version = "4"'),
        "the manifest says": text.replace(engine.manifest.sha256, "0" * 64),
        "unknown key": text.replace("kmac_per_px", "kmac_per_pixel"),
        "contract 9": text.replace("contract = 1", "contract = 9"),
        "found unsafe by a judge: fails no_ghost": text
        + f'\n[judged]\nsha256 = "{engine.manifest.sha256}"\njudge = "a judge"\nfull = true\n'
        + "[judged.gates]\nno_ghost = false\n",
    }
    for words, wrong in wrongs.items():
        manifest.write_text(wrong)
        with pytest.raises(EngineRefused, match=words):
            store.install(io.BytesIO(packed(engine, signer)))
    assert store.versions(NAME) == []
    assert not [path for path in store.root.iterdir() if path.name.startswith(f".{NAME}")]


def test_going_back_is_on_purpose(store: EngineStore, signer: Signer, tmp_path: Path) -> None:
    old = bundle_of(tmp_path, "2", signer)
    version, _ = store.install(io.BytesIO(old), lambda _name: "3", downgrade=True)
    assert version.number == "2"


@pytest.mark.parametrize(
    ("one", "other"), [("1", "2"), ("1.9", "1.10"), ("1", "1+site.20261121"), ("1+site.20261120", "1+site.20261121"),
                       ("1+site.20261121", "1.1"), ("2", "2.0.1")],
)  # fmt: skip
def test_versions_are_compared_as_numbers_and_a_sites_own_comes_after_its_base(one: str, other: str) -> None:
    assert is_older(one, other)
    assert not is_older(other, one)
    assert not is_older("1.0", "1")


def test_the_way_back_is_the_way_that_was_gone(store: EngineStore, tmp_path: Path) -> None:
    homes = {version: put(store, make_version(tmp_path / version, version)) for version in "234"}
    for version in "234":
        store.activate(NAME, homes[version])
    assert [v.number for v in store.versions(NAME) if v.previous] == ["3"]
    store.roll_back(NAME, "worse")
    assert active(store) == "3"
    store.activate(NAME, homes["4"])  # what was gone back from is no way back any more
    store.roll_back(NAME, "still worse")
    assert not store.goes_back_to_shipped(NAME)
    store.roll_back(NAME, "and this one")
    assert active(store) == "2"
    assert store.goes_back_to_shipped(NAME)
    assert store.roll_back(NAME, "as it came") is None
    assert active(store) == "shipped"
    assert not store.goes_back_to_shipped(NAME)
    with pytest.raises(ConfigError, match="nothing to go back from"):
        store.roll_back(NAME, "again")
    assert [v.number for v in store.versions(NAME)] == ["2", "3", "4"]


def test_of_many_activations_the_last_few_can_be_gone_back(store: EngineStore, tmp_path: Path) -> None:
    for version in "23456789":
        store.activate(NAME, put(store, make_version(tmp_path / version, version)))
    assert [v.number for v in store.versions(NAME)] == list("6789")
    for expected in "876"[: KEPT_GENERATIONS - 1]:
        store.roll_back(NAME, "")
        assert active(store) == expected
    with pytest.raises(ConfigError, match="no version from before is kept"):
        store.roll_back(NAME, "")
    assert active(store) == "6"


def test_what_is_active_or_the_way_back_cannot_be_removed(store: EngineStore, tmp_path: Path) -> None:
    homes = [put(store, make_version(tmp_path / version, version)) for version in "234"]
    for home in homes:
        store.activate(NAME, home)
    for home in homes[1:]:
        with pytest.raises(ConfigError, match="active, or the way back"):
            store.remove(NAME, home)
    store.remove(NAME, homes[0])
    assert [v.number for v in store.versions(NAME)] == ["3", "4"]


def test_a_link_that_an_older_calibration_turned_can_be_gone_back_to(store: EngineStore, tmp_path: Path) -> None:
    store.check_place(NAME)
    make_version(tmp_path / "2", "2").folder.rename(store.root / f".{NAME}~abc123")
    (store.root / NAME).symlink_to(f".{NAME}~abc123")
    assert active(store) == "2"
    store.activate(NAME, put(store, make_version(tmp_path / "3", "3")))
    store.roll_back(NAME, "")
    assert active(store) == "2"


def test_a_trial_is_that_of_the_active_generation_alone(store: EngineStore, tmp_path: Path) -> None:
    homes = [put(store, make_version(tmp_path / version, version)) for version in "23"]
    store.activate(NAME, homes[0], trial=True)
    trial = store.trial(NAME)
    assert trial is not None
    assert trial.state == "due"
    store.set_trial(NAME, "running")
    store.activate(NAME, homes[1])
    assert store.trial(NAME) is None
    store.activate(NAME, homes[0], trial=True)
    store.set_trial(NAME, "over")
    assert store.trial(NAME) is None


def test_what_was_put_there_by_hand_is_left_alone(store: EngineStore, tmp_path: Path) -> None:
    home = put(store, make_version(tmp_path / "2", "2"))
    (store.root / NAME).mkdir()
    with pytest.raises(ConfigError, match="by hand"):
        store.activate(NAME, home)
    with pytest.raises(ConfigError, match="no engine's name"):
        store.versions("../../etc")
    with pytest.raises(ConfigError, match="version 9 is installed"):
        store.find(NAME, "9")


def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"File exists|Not a directory"):
        store_at(tmp_path / "file").refused("x", "y")


def test_keys_lie_beside_the_engines_unless_another_folder_is_named(tmp_path: Path) -> None:
    assert keyring_of(Engines(folders=(str(tmp_path),))).folder == tmp_path / ".keys"
    assert keyring_of(Engines(folders=(str(tmp_path),), keys="/etc/limpid/keys")).folder == Path("/etc/limpid/keys")
