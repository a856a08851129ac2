"""An engine from a signed bundle, by a real Chromium: tried on this device, active, in the picture, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from edge.catalog import read_engine, shipped_folder
from edge.signing import load_signer, make_key
from tests.engine_making import NAME, make_judged, packed, store_at
from tests.system.browser import CHROMIUM, DRIVER, need
from tests.system.console_stage import Stage, staged

pytestmark = pytest.mark.timeout(240)
SHIPPED = read_engine(shipped_folder() / NAME).manifest.sha256
VERIFIED_S = 120.0  # the engine is run on this device first, and others want the processor too


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    need(CHROMIUM, DRIVER)
    home = tmp_path_factory.mktemp("home")
    store = store_at(home / "store")
    make_key(home / "key")
    store.root.mkdir()
    store.keys.trust(home / "key.pub")
    for version in ("2", "3"):
        bundle = packed(make_judged(home / version, version), load_signer(home / "key"))
        (home / f"{version}.bundle").write_bytes(bundle)
        with (home / f"{version}.bundle").open("rb") as stream:
            store.install(stream)
    # The stage's configuration ends in [engines]: one more key of it.
    with staged(home, f'folders = ["{store.root}"]\n') as made:
        yield made


def sum_of(stage: Stage, version: str) -> str:
    return read_engine(stage.scene.home / version / NAME).manifest.sha256


def is_shown(stage: Stage, sha256: str, what: str) -> None:
    """By the daemon's own account of the pictures that it enhances."""
    stage.page.until(lambda: stage.status().get("engine", {}).get("sha256") == sha256, what, VERIFIED_S)


def row(version: str) -> str:
    return f'[data-version="{NAME} {version}"]'


def state(stage: Stage, version: str, tag: str) -> None:
    stage.page.until(lambda: stage.page.is_there(f"{row(version)} .tag", tag), f"{version}: {tag}", VERIFIED_S)


def test_an_installed_engine_is_activated_followed_by_another_and_gone_back_from_to_the_shipped_one(
    stage: Stage,
) -> None:
    page = stage.page
    stage.live()
    is_shown(stage, SHIPPED, "the shipped engine")
    page.go("engines")
    for version in ("2", "3"):
        state(stage, version, "installed")
        page.press("Activate", row(version))
        page.find("dialog", f"{NAME} {version} is tried on this device first")
        page.press("Activate", "dialog")
        state(stage, version, "active")
        page.find(".notice", f"{NAME} {version} is active")
        is_shown(stage, sum_of(stage, version), f"version {version} in the picture")
    state(stage, "2", "the one before")

    page.press("Back to 2", row("2"))
    page.press("Back to 2", "dialog")
    page.find("dialog .wrong", "Say why")
    page.type('dialog input[name="reason"]', "more grain than before")
    page.press("Back to 2", "dialog")
    state(stage, "2", "active")
    is_shown(stage, sum_of(stage, "2"), "version 2 again")

    page.press("Back to the shipped one", row("2"))
    page.type('dialog input[name="reason"]', "to compare")
    page.press("Back to the shipped one", "dialog")
    state(stage, "2", "installed")
    is_shown(stage, SHIPPED, "the shipped engine again")
    page.go("live")
    stage.until_enhanced()

    told = [(entry.did, entry.facts.get("why")) for entry in store_at(stage.scene.home / "store").audit.entries()]
    assert ("engine-rolled-back", "more grain than before") in told
    assert ("engine-rolled-back", "to compare") in told


def test_one_that_was_altered_on_the_disk_cannot_be_activated_and_says_why(stage: Stage) -> None:
    store = store_at(stage.scene.home / "store")
    (spoilt,) = [one for one in store.versions(NAME) if one.number == "3"]
    model = Path(spoilt.home) / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    stage.page.open("engines")
    state(stage, "3", "refused")
    assert not stage.page.all(f"{row('3')} button")
    stage.page.find(f"{row('3')} .bad-text")
    is_shown(stage, SHIPPED, "still the shipped engine")
