"""Engines on disk: what is found, what is refused and why, and which variant is chosen."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from edge.catalog import CONTRACT, Catalog, State, float_twin, open_catalog, read_engine, shipped_folder
from edge.config import Engines
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
    assert all("found unsafe by calibration.judge" in why for why in catalog.refused.values()), catalog.refused
    for modality in ("ultrasound", "fluoroscopy", "unknown"):
        variants = catalog.family("handbuilt", modality)
        assert set(variants) == set(SIZES)
        for size, engine in variants.items():
            assert engine.manifest.size == size
            assert len(engine.read_model()) > 1000


def test_every_trained_engine_that_is_shipped_was_judged_as_it_is() -> None:
    """And the families a configuration begins with are there: a refused one must not be anybody's default."""
    trained = [path.parent for path in shipped_folder().glob("*/fp32.onnx")]
    assert len(trained) == 7
    for home in trained:
        engine = read_engine(home)
        assert engine.manifest.judged is not None
        assert engine.manifest.judged.sha256 == engine.manifest.sha256
        assert engine.read_model()
        assert float_twin(engine).read_model()
        assert (home / "CARD.md").read_text(encoding="utf-8").count(engine.manifest.sha256) >= 1
    defaults = Engines()
    families = {defaults.ultrasound, defaults.fluoroscopy, defaults.unknown}
    assert families <= set(open_catalog([]).families)


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


def test_ones_own_engine_wins_over_the_shipped_one_of_its_family_and_size_whatever_it_is_called(home: Path) -> None:
    rewritten(home, 'name = "handbuilt-small"', 'name = "a-small-one-of-ours"')
    sizes = open_catalog([str(home)]).family("handbuilt", "ultrasound")
    assert {size: engine.manifest.name for size, engine in sizes.items()} == {
        "small": "a-small-one-of-ours", "medium": "handbuilt-medium", "large": "handbuilt-large",
    }  # fmt: skip


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


# ---------------------------------------------------------------- what the judge found


def judged(home: Path, sha256: str = "", gates: str = "lesions_kept = true", more: str = "") -> Path:
    """Adds a judgement to the engine's manifest, of its own model where no other is named."""
    manifest = home / "handbuilt-small" / "manifest.toml"
    sha256 = sha256 or read_engine(manifest.parent).manifest.sha256
    manifest.write_text(
        f'{manifest.read_text()}\n[judged]\nsha256 = "{sha256}"\njudge = "judge 1"\nfull = true\n'
        f"[judged.gates]\n{gates}\n{more}"
    )
    return manifest.parent


def catalogue_refuses(home: Path) -> str:
    catalog = Catalog([home])
    assert catalog.engines == {}
    return catalog.refused[str(home / "handbuilt-small")]


def test_an_engine_that_nobody_judged_is_admitted_and_says_so(home: Path) -> None:
    assert not Catalog([home]).engines["handbuilt-small"].manifest.is_judged


def test_an_engine_that_met_its_gates_is_admitted(home: Path) -> None:
    judged(home, more="[judged.figures]\npsnr_db = 31\nworst = -0.5\n")
    manifest = Catalog([home]).engines["handbuilt-small"].manifest
    assert manifest.is_judged
    assert manifest.judged is not None
    assert manifest.judged.figures == {"psnr_db": 31.0, "worst": -0.5}
    assert manifest.judged.full


def test_an_engine_that_misses_a_gate_is_refused_and_every_one_is_named(home: Path) -> None:
    judged(home, gates="no_drift = false\nlesions_kept = true\ninvents_none = false")
    said = catalogue_refuses(home)
    assert "found unsafe by judge 1: fails invents_none, no_drift" in said
    assert "lesions_kept" not in said


def test_a_missed_target_is_stated_and_refuses_nothing(home: Path) -> None:
    more = '[judged.targets]\nfast = true\nsharp = false\nlight = false\n[judged.missed]\nsharp = "0.4 dB short"\n'
    judged(home, more=more)
    judgement = Catalog([home]).engines["handbuilt-small"].manifest.judged
    assert judgement is not None
    assert judgement.shortfalls == {"sharp": "0.4 dB short", "light": "no reason given"}


def test_a_judgement_of_another_model_counts_for_nothing(home: Path) -> None:
    judged(home, sha256="0" * 64)
    assert "judged as another model (sha256 000000000000…" in catalogue_refuses(home)


def test_the_judge_can_read_what_the_catalogue_refuses(home: Path) -> None:
    """Else no engine could ever be judged again."""
    folder = judged(home, sha256="0" * 64, gates="lesions_kept = false")
    assert len(read_engine(folder).read_model()) > 1000


def test_a_refused_engine_gives_way_to_one_of_its_name_in_a_later_folder(home: Path) -> None:
    judged(home, gates="lesions_kept = false")
    catalog = Catalog([home, shipped_folder()])
    assert not catalog.engines["handbuilt-small"].manifest.is_judged
    assert [folder for folder in catalog.refused if "handbuilt" in folder] == [str(home / "handbuilt-small")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lesions_kept = true", "", "gates"),
        ("lesions_kept = true", 'lesions_kept = "yes"', "[judged.gates"),
        ('judge = "judge 1"', "", "judge"),
        ("full = true", "", "full"),
        ("full = true", "full = true\nfast = true", "fast"),
        ("[judged.gates]", "[judged.figures]\ndb = true\n[judged.gates]", "[judged.figures"),
    ],
)
def test_a_judgement_with_a_mistake_is_refused_and_names_it(home: Path, old: str, new: str, said: str) -> None:
    judged(home)
    assert said in refusal(rewritten(home, old, new))


# ---------------------------------------------------------------- float twins, engines that enlarge, installations


def twinned(home: Path, sha256: str = "") -> Path:
    """Any bytes will do for a twin: nothing here runs it."""
    (home / "handbuilt-small" / "fp32.onnx").write_bytes(b"the same net in float")
    sha256 = sha256 or hashlib.sha256(b"the same net in float").hexdigest()
    return rewritten(home, "multiple = 4", f'multiple = 4\nfp32 = "fp32.onnx"\nfp32_sha256 = "{sha256}"')


def test_a_float_twin_is_an_engine_of_its_own_file(home: Path) -> None:
    engine = read_engine(twinned(home))
    twin = float_twin(engine)
    assert twin.read_model() == b"the same net in float"
    assert (twin.manifest.name, twin.manifest.precision) == (engine.manifest.name, "fp32")
    assert twin.manifest.state == engine.manifest.state
    assert not twin.manifest.is_judged


def test_a_damaged_twin_is_never_read(home: Path) -> None:
    twin = float_twin(read_engine(twinned(home, sha256="0" * 64)))
    with pytest.raises(EngineRefused, match=r"fp32\.onnx is damaged or altered"):
        twin.read_model()


def test_an_engine_without_a_twin_says_so(home: Path) -> None:
    with pytest.raises(EngineRefused, match="has no float twin"):
        float_twin(read_engine(home / "handbuilt-small"))


def test_a_twin_without_its_hash_is_refused(home: Path) -> None:
    assert "belong together" in refusal(rewritten(home, "multiple = 4", 'multiple = 4\nfp32 = "fp32.onnx"'))


def test_engines_that_enlarge_are_never_on_the_ladder(home: Path) -> None:
    rewritten(home, "multiple = 4", "multiple = 4\nscale = 2")
    rewritten(home, 'modalities = ["ultrasound", "fluoroscopy", "unknown"]', 'modalities = ["fluoroscopy"]')
    catalog = Catalog([home])
    assert catalog.family("handbuilt", "fluoroscopy") == {}
    assert catalog.families == []
    assert list(catalog.upscalers("fluoroscopy")) == ["handbuilt-small"]
    assert catalog.upscalers("ultrasound") == {}
    assert open_catalog([]).upscalers("unknown").get("handbuilt-small") is None


def test_other_scales_are_refused(home: Path) -> None:
    assert "scale" in refusal(rewritten(home, "multiple = 4", "multiple = 4\nscale = 3"))


def test_a_hidden_folder_is_no_engine_yet(home: Path) -> None:
    rewritten(home, 'version = "1"', 'version = "half"')
    (home / "handbuilt-small").rename(home / ".handbuilt-small~new")
    catalog = Catalog([home])
    assert (catalog.engines, catalog.refused) == ({}, {})


def test_an_engine_behind_a_link_stays_the_one_it_was_when_the_link_is_turned(home: Path) -> None:
    (home / "handbuilt-small").rename(home / ".one")
    (home / "handbuilt-small").symlink_to(".one")
    engine = Catalog([home]).engines["handbuilt-small"]
    (home / ".two").mkdir()
    (home / "handbuilt-small").unlink()
    (home / "handbuilt-small").symlink_to(".two")
    assert len(engine.read_model()) > 1000
