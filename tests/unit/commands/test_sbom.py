"""The bill of materials is by CycloneDX's own schema, names every engine by its sum, and leaves no requirement out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edge.catalog import Catalog
from edge.commands import sbom
from edge.config import Config

WHEN = datetime(2026, 11, 20, 19, 15, 30, tzinfo=timezone.utc)
ENGINES = Path(__file__).parents[3] / "engines"


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return sbom.bill(Config(), WHEN)


def schema(name: str) -> dict[str, Any]:
    found = find_spec("cyclonedx")
    if found is None or not found.submodule_search_locations:
        reason = "cyclonedx-python-lib, which brings the schema, is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(next(iter(found.submodule_search_locations))) / "schema/_res"
    return json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text())


def problems(bill: dict[str, Any]) -> list[str]:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    main, base = schema("bom-1.6"), "http://cyclonedx.org/schema"
    others = [(f"{base}/{name}.SNAPSHOT.schema.json", schema(name)) for name in ("spdx", "jsf-0.82")]
    registry = jsonschema_rs.Registry(others, draft=jsonschema_rs.Draft7)
    validator = jsonschema_rs.validator_for(main, registry=registry)
    return [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(bill)]


def test_it_is_by_the_schema(bill: dict[str, Any]):
    assert problems(bill) == []


def test_the_schema_can_tell(bill: dict[str, Any]):
    broken = {**bill, "components": [{**bill["components"][0], "type": "sandwich"}]}
    assert problems(broken) != []


def test_every_engine_is_in_it_with_the_sum_of_its_file(bill: dict[str, Any]):
    told = {one["name"]: one for one in bill["components"] if one["type"] == "machine-learning-model"}
    assert set(told) == {path.parent.name for path in ENGINES.glob("*/manifest.toml")}
    for name, one in told.items():
        content = (ENGINES / name / "model.onnx").read_bytes()
        assert one["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
        assert one["licenses"]
    refused = {Path(home).name for home in Catalog([ENGINES]).refused}
    assert {
        name for name, one in told.items() if any(p["name"] == "limpid:refused" for p in one["properties"])
    } == refused


def test_what_it_needs_is_in_it_with_version_and_licence(bill: dict[str, Any]):
    told = {one["name"]: one for one in bill["components"]}
    for name in ("numpy", "pyzmq", "openvino", "cryptography", "pydicom", "pynetdicom", "msgspec", "typer"):
        assert told[name]["version"]
        assert told[name]["licenses"], name
    assert "pytest" not in told, "what only developers need is not part of it"


def test_the_graph_names_only_what_is_there(bill: dict[str, Any]):
    refs = [one["bom-ref"] for one in (bill["metadata"]["component"], *bill["components"])]
    assert len(refs) == len(set(refs))
    for one in bill["dependencies"]:
        assert {one["ref"], *one["dependsOn"]} <= set(refs)


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no Debian")
def test_the_systems_libraries_are_in_it(bill: dict[str, Any]):
    debian = {one["name"] for one in bill["components"] if one["bom-ref"].startswith("pkg:deb/")}
    assert "libc6" in debian


def test_the_same_installation_gives_the_same_bill(monkeypatch: pytest.MonkeyPatch, bill: dict[str, Any]):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795202130")
    assert sbom.now() == sbom.now()
    assert sbom.bill(Config(), WHEN)["serialNumber"] == bill["serialNumber"]
