"""Engines on disk: what is found, what is refused and why, and which variant is chosen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge.catalog import CONTRACT, Catalog, State, open_catalog, read_engine, shipped_folder
from edge.errors import ConfigError, EngineRefused

SIZES = ("large", "medium", "small")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of engines with one good engine in it."""
    shutil.copytree(shipped_folder() / "handbuilt-small", tmp_path / "engines" / "handbuilt-small")
    return tmp_path / "engines"


def rewritten(home: Path, old: str, new: str) -> Path:
    manifest = home / "handbuilt-small" / "manifest.toml"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))
    return manifest.parent


def refusal(folder: Path) -> str:
    with pytest.raises(EngineRefused) as caught:
        read_engine(folder)
    return str(caught.value)


def test_the_shipped_engines_are_there_in_every_size_and_are_what_their_manifests_say() -> None:
    catalog = open_catalog([])
    assert catalog.refused == {}
    for modality in ("ultrasound", "fluoroscopy", "unknown"):
        variants = catalog.family("handbuilt", modality)
        assert set(variants) == set(SIZES)
        for size, engine in variants.items():
            assert engine.manifest.size == size
            assert len(engine.read_model()) > 1000


def test_bigger_engines_cost_more() -> None:
    variants = open_catalog([]).family("handbuilt", "ultrasound")
    costs = [variants[size].manifest.kmac_per_px for size in SIZES]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize("harm", ["one bit", "cut short", "longer", "empty"])
def test_a_damaged_model_is_never_read(home: Path, harm: str) -> None:
    engine = read_engine(home / "handbuilt-small")
    model = bytearray(engine.model_path.read_bytes())
    if harm == "one bit":
        model[len(model) // 2] ^= 1
    harmed = {"one bit": model, "cut short": model[:-1], "longer": model + b"\0", "empty": b""}[harm]
    engine.model_path.write_bytes(harmed)
    with pytest.raises(EngineRefused, match=r"handbuilt-small: model\.onnx is damaged or altered"):
        engine.read_model()


def test_a_model_that_is_not_there_is_named(home: Path) -> None:
    engine = read_engine(home / "handbuilt-small")
    engine.model_path.unlink()
    with pytest.raises(EngineRefused, match="No such file"):
        engine.read_model()


def test_an_altered_manifest_no_longer_vouches_for_the_model(home: Path) -> None:
    digest = read_engine(home / "handbuilt-small").manifest.sha256
    folder = rewritten(home, digest, "0" * 64)
    with pytest.raises(EngineRefused, match="damaged or altered"):
        read_engine(folder).read_model()


def test_an_engine_for_another_contract_is_refused(home: Path) -> None:
    said = refusal(rewritten(home, "contract = 1", "contract = 2"))
    assert f"made for contract 2, this daemon has {CONTRACT}" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('size = "small"', 'sise = "small"', 'unknown key "sise"; did you mean "size"'),
        ('size = "small"', 'size = "tiny"', "size"),
        ('precision = "int8"', 'precision = "int4"', "precision"),
        ('model = "model.onnx"', 'model = "../../etc/passwd"', "model"),
        ('name = "handbuilt-small"', 'name = "Not A Name"', "name"),
        ('name = "handbuilt-small"', 'name = "two-lines\\n"', "name"),
        ("multiple = 4", "multiple = 0", "multiple"),
        ("multiple = 4", "", "multiple"),
        ('shape = [1, 16, "h/4", "w/4"]', 'shape = [1, 16, "h*4", "w"]', "shape"),
        ('shape = [1, 16, "h/4", "w/4"]', 'shape = [1, 16, "h/0", "w/4"]', "shape"),
        ('modalities = ["ultrasound"', 'modalities = ["mri"', "modalities"),
        ("contract = 1", "contract = ", "manifest.toml"),
    ],
)
def test_a_manifest_with_a_mistake_is_refused_and_names_it(home: Path, old: str, new: str, said: str) -> None:
    assert said in refusal(rewritten(home, old, new))


def test_a_refused_engine_costs_the_others_nothing(home: Path) -> None:
    shutil.copytree(home / "handbuilt-small", home / "broken")
    (home / "broken" / "manifest.toml").write_bytes(b"\xff\xfe")
    catalog = Catalog([home])
    assert list(catalog.engines) == ["handbuilt-small"]
    assert list(catalog.refused) == [str(home / "broken")]


def test_an_earlier_folder_wins(home: Path, tmp_path: Path) -> None:
    rewritten(home, 'version = "1"', 'version = "2-ours"')
    assert open_catalog([str(home)]).engines["handbuilt-small"].manifest.version == "2-ours"
    assert Catalog([shipped_folder(), home]).engines["handbuilt-small"].manifest.version == "1"


def test_a_family_that_is_not_made_for_a_modality_is_empty_there(home: Path) -> None:
    rewritten(home, 'modalities = ["ultrasound", "fluoroscopy", "unknown"]', 'modalities = ["fluoroscopy"]')
    catalog = Catalog([home])
    assert catalog.family("handbuilt", "ultrasound") == {}
    assert set(catalog.family("handbuilt", "fluoroscopy")) == {"small"}
    assert catalog.family("nobody", "fluoroscopy") == {}
    assert catalog.families == ["handbuilt"]


def test_a_folder_that_is_none_is_the_operators_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        open_catalog([str(tmp_path / "nowhere")])


def test_a_states_shape_follows_the_pictures() -> None:
    assert State("past", (1, 16, "h/4", "w/4")).resolve(480, 640) == (1, 16, 120, 160)
    assert State("past", (1, "h", "w")).resolve(65, 67) == (1, 65, 67)
