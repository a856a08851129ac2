"""`limpid engine build` and `verify`: what may be asked for, and what a wrong word is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.backends import Shape
from edge.catalog import read_engine, shipped_folder
from edge.commands.engine_plans import choose, parse_sizes, parse_sm, status_of
from edge.errors import ConfigError
from edge.verification import Row, Verification

SHIPPED = {path.parent.name for path in shipped_folder().glob("*/manifest.toml")}


def test_all_is_every_shipped_engine_also_those_the_judge_refused() -> None:
    assert {engine.manifest.name for engine in choose([], True, None)} == SHIPPED


def test_an_engine_is_named_or_pointed_to() -> None:
    (named,) = choose(["handbuilt-small"], False, None)
    (pointed,) = choose([str(shipped_folder() / "handbuilt-small")], False, None)
    assert named.manifest == pointed.manifest


def test_a_wrong_name_lists_the_right_ones_and_no_name_asks_for_one() -> None:
    with pytest.raises(ConfigError, match="handbuilt-small"):
        choose(["handbilt"], False, None)
    with pytest.raises(ConfigError, match="--all"):
        choose([], False, None)


def test_an_engine_of_the_configurations_own_folder_comes_before_the_shipped_one(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(shipped_folder() / "handbuilt-small", tmp_path / "engines" / "handbuilt-small")
    config = tmp_path / "limpid.toml"
    config.write_text(f'[engines]\nfolders = ["{tmp_path}/engines"]\n')
    (found,) = choose(["handbuilt-small"], False, config)
    assert found.folder == tmp_path / "engines" / "handbuilt-small"


def test_compute_capabilities_are_read_without_their_dot() -> None:
    assert parse_sm("86, 89,120") == [86, 89, 120]
    assert parse_sm("") == []
    with pytest.raises(ConfigError, match="without their dot"):
        parse_sm("8.6")


def test_a_size_has_the_depth_of_its_modality_unless_told() -> None:
    ultrasound = read_engine(shipped_folder() / "ultrasound-clarity-small")
    fluoroscopy = read_engine(shipped_folder() / "fluoroscopy-clarity-small")
    assert parse_sizes(["640x480", "any"], None, ultrasound) == [(Shape(480, 640, 8), 8), (None, 8)]
    assert parse_sizes(["640x480"], None, fluoroscopy) == [(Shape(480, 640, 12), 12)]
    assert parse_sizes(["640x480"], 16, ultrasound) == [(Shape(480, 640, 16), 16)]
    with pytest.raises(ConfigError, match="depth 9"):
        parse_sizes(["640x480"], 9, ultrasound)


def verification(met: bool | None, chosen: str) -> Verification:
    return Verification("e", "", "tensorrt_int8", Shape(64, 64, 8), (Row("a check", met),), chosen, "")


@pytest.mark.parametrize(("met", "chosen", "status"), [(True, "int8", 0), (False, "", 1), (None, "", 3)])
def test_the_exit_status_tells_met_from_not_met_from_not_checked(met: bool | None, chosen: str, status: int) -> None:
    assert status_of([verification(met, chosen)]) == status
    assert status_of([verification(True, "int8"), verification(met, chosen)]) == status
