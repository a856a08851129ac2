"""Cards, manifests and figures for machines: complete, the same each time, and read back by the catalogue."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from calibration.judging import cards, gates, report
from calibration.judging.figures import Found, Judged, for_machines
from calibration.site.folder import manifest_toml
from edge import catalog
from edge.catalog import Catalog, read_engine, shipped_folder
from edge.errors import EngineRefused
from tests.unit.calibration.judged_engines import ENGINE, faultless

ASKED = (
    "psnr_db", "psnr_input_db", "psnr_best_peer_db", "best_peer", "gcnr", "gcnr_input", "gcnr_best_peer", "cho",
    "cho_input", "cho_best_peer", "int8_minus_fp32_db", "drift_db", "invented_per_1000", "lesion_contrast_recovery",
    "ghost_percent", "ms_int8", "ms_fp32", "kmac_per_px", "gates", "worst_stratum", "strata", "targets_missed",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of engines that holds one."""
    shutil.copytree(shipped_folder() / "handbuilt-small", tmp_path / "handbuilt-small")
    return tmp_path


def judged_as(folder: Path, **changes: object) -> Judged:
    judged = faultless()
    judged.sha256 = read_engine(folder).manifest.sha256
    for name, value in changes.items():
        setattr(judged, name, value)
    gates.decide(judged)
    return judged


@pytest.mark.parametrize("kind", ["ultrasound", "fluoroscopy", "superres"])
def test_machines_find_every_figure_that_was_asked_for(kind: str) -> None:
    judged = faultless(kind)
    gates.decide(judged)
    told = json.loads(msgspec.json.encode(for_machines(judged)))
    assert set(ASKED) <= set(told)
    assert set(told["lesion_contrast_recovery"]) == {"min", "median", "max"}
    assert all(isinstance(met, bool) for met in told["gates"].values())
    assert set(judged.gates) | set(judged.targets) == set(told["gates"])
    assert told["worst_stratum"] in told["strata"]
    assert told["best_peer"] == "nlm"


def test_what_was_written_is_read_by_the_catalogue(home: Path) -> None:
    folder = home / "handbuilt-small"
    before = read_engine(folder).manifest
    cards.write(judged_as(folder), folder)
    after = read_engine(folder).manifest
    assert after.judged is not None
    assert after.judged.sha256 == before.sha256
    assert after.judged.full
    assert after.judged.unsafe == []
    assert after.judged.figures["psnr_db"] == 31.0
    assert msgspec.structs.replace(after, judged=None) == before
    assert "handbuilt-small" in Catalog([home]).engines


@pytest.mark.parametrize(("what", "other"), [("engine", "handbuilt-large"), ("sha256", "5" * 64)])
def test_what_is_told_of_another_engine_is_not_written(home: Path, what: str, other: str) -> None:
    folder = home / "handbuilt-small"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(EngineRefused, match="not of what lies here"):
        cards.write(judged_as(folder, **{what: other}), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_card_says_what_each_peer_gains_and_what_of_a_lesion_goes_with_it(home: Path) -> None:
    folder = home / "handbuilt-small"
    judged = judged_as(folder)
    cards.write(judged, folder)
    card = (folder / "CARD.md").read_text()
    assert f"| {judged.engine} | 31.00 | 0.95 | 2.00 | 0.97 | 5.00 |" in card
    assert "| nlm | 27.00 | 0.80 | 1.60 | 0.44 | 200.00 |" in card
    told = json.loads((folder / "judged.json").read_text())
    assert told["plain_lesions_keep"] == {judged.engine: 0.97, "nlm": 0.44}


def test_an_unsafe_engine_is_refused_by_the_catalogue(home: Path) -> None:
    folder = home / "handbuilt-small"
    cards.write(judged_as(folder, invented=Found(1000, 90, 50, 30, 40.0, 11.8)), folder)
    found = Catalog([home])
    assert found.engines == {}
    assert "none_invented" in str(found.refused)


def test_writing_twice_changes_nothing_and_a_later_judgement_replaces_the_earlier(home: Path) -> None:
    folder = home / "handbuilt-small"
    cards.write(judged_as(folder), folder)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    cards.write(judged_as(folder), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    cards.write(judged_as(folder, drift_db=0.2, quick=True), folder)
    text = (folder / "manifest.toml").read_text(encoding="utf-8")
    assert text.count("[judged]") == 1
    again = read_engine(folder).manifest.judged
    assert again is not None
    assert not again.full
    assert again.unsafe == ["no_drift"]


def test_a_judgement_of_calibrates_is_replaced_too(home: Path) -> None:
    folder = home / "handbuilt-small"
    before = read_engine(folder).manifest
    by_calibrate = catalog.Judged(before.sha256, "limpid calibrate", full=False, gates={"near_float": True})
    (folder / "manifest.toml").write_text(manifest_toml(msgspec.structs.replace(before, judged=by_calibrate)))
    cards.write(judged_as(folder), folder)
    after = read_engine(folder).manifest
    assert after.judged is not None
    assert after.judged.judge == cards.WHO
    assert msgspec.structs.replace(after, judged=None) == before
    assert "handbuilt-small" in Catalog([home]).engines


@pytest.mark.parametrize("table", ["[judged]", "[ judged ]"], ids=["tables behind it", "spelt otherwise"])
def test_where_a_judgement_would_cost_the_manifest_anything_no_file_is_touched(home: Path, table: str) -> None:
    folder = home / "handbuilt-small"
    judged = judged_as(folder)
    manifest = folder / "manifest.toml"
    head, tables = manifest.read_text().split("\n[[state]]", 1)
    told = f'{table}\nsha256 = "{judged.sha256}"\njudge = "x"\nfull = true\n[judged.gates]\nkept = true\n'
    manifest.write_text(f"{head}\n{told}\n[[state]]{tables}")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(EngineRefused, match=r"manifest\.toml"):
        cards.write(judged, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_cut_off_anywhere_no_file_is_torn_and_the_manifest_is_written_last(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "handbuilt-small"
    cards.write(judged_as(folder), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = judged_as(folder, drift_db=0.2, quick=True)
    renamed: list[str] = []

    def rename(path: Path, target: Path) -> Path:
        if len(renamed) == 2:
            raise KeyboardInterrupt
        renamed.append(target.name)
        return path.replace(target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        cards.write(again, folder)
    assert renamed == ["judged.json", "CARD.md"]
    assert (folder / "manifest.toml").read_bytes() == before["manifest.toml"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(before)
    assert read_engine(folder).manifest.judged is not None


def test_missed_targets_say_why(home: Path) -> None:
    folder = home / "handbuilt-small"
    cards.write(judged_as(folder, kmac_per_px=99.0), folder)
    found = read_engine(folder).manifest.judged
    assert found is not None
    assert list(found.shortfalls) == ["cost_per_pixel"]
    assert "99.0 kMAC" in found.shortfalls["cost_per_pixel"]


def test_a_card_holds_what_was_found_and_says_what_is_not_known(home: Path) -> None:
    folder = home / "handbuilt-small"
    cards.write(judged_as(folder), folder)
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    manifest = read_engine(folder).manifest
    for words in (manifest.sha256, manifest.licence, manifest.limits, "probe: curved", "31.00", "no training.json"):
        assert words in card
    (folder / "training.json").write_text(
        '{"seeds": {"fluoroscopy": [0, 599]}, "steps": 5646, "recipe": {"rate": 0.002}}'
    )
    (folder / "calibration.json").write_text(
        '{"float_psnr_db": 30.5, "frames": ["ab", "cd"], "trimmed": {"calm": 0.25}}'
    )
    cards.write(judged_as(folder), folder)
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    for words in ("fluoroscopy 0 to 599", "5646", "rate 0.002", "2 frames", "30.5", "calm 0.25"):
        assert words in card
    assert "no training.json" not in card


def test_the_report_escapes_and_links_within_its_folder(tmp_path: Path) -> None:
    judged = faultless("fluoroscopy")
    judged.notes = ["<script>"]
    gates.decide(judged)
    report.write(tmp_path, [judged], {ENGINE: "<p>pictures</p>"})
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = (tmp_path / f"{ENGINE}.html").read_text(encoding="utf-8")
    assert f'href="{ENGINE}.html"' in index
    assert "<script>" not in page
    assert page.count("<svg") == 2
    assert not any(word in index + page for word in ("http:", "https:", "//"))
    for words in ("Safety gates", "Targets", "Finding weak lesions", "pictures", "met"):
        assert words in page
