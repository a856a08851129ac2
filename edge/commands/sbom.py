"""`limpid sbom`: what this installation is made of, as CycloneDX 1.6: packages, engines, libraries of the system.

It is made from what is installed, not from what was asked for: the closure of this package's requirements as they lie
here, each engine with its SHA-256 and, where the catalogue refuses it, why, and the Debian packages whose libraries are
loaded when the appliance's own libraries are.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from edge import __version__, durable
from edge import config as configs
from edge.catalog import Engine, open_catalog, read_engine
from edge.config import Config
from edge.errors import ConfigError, EngineRefused

ROOT = "limpid-edge"
FORMAT, VERSION = "CycloneDX", "1.6"
LOADED = (
    "cv2",
    "zmq",
    "openvino",
    "cryptography.hazmat.bindings._rust",
    "jpeg_ls",
    "psutil",
    "pygame",
    "msgspec",
    "ssl",
)
EVERY_EXTRA = "*"  # of our own package: whatever of it is installed
REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^]]*)\])?")
ONLY_FOR = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
OFFICIAL = {"MIT License": "MIT", "Apache Software License": "Apache-2.0", "BSD License": "BSD-3-Clause"}
Component = dict[str, Any]


def run(path: Path | None, out: Path | None) -> int:
    made = bill(configs.load(path), now())
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    if out is None:
        print(text, end="")
        return 0
    try:
        durable.write_durably(out, text.encode(), mode=0o644)
    except OSError as error:
        raise ConfigError(f"{out}: {error.strerror}") from error
    print(f"{out}: {len(made['components'])} components")
    return 0


def now() -> datetime:
    """Or the moment that whoever builds reproducibly names."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(epoch), timezone.utc) if epoch.isdigit() else datetime.now(timezone.utc)


def bill(config: Config, when: datetime) -> dict[str, Any]:
    packages, needs = closure(ROOT)
    root = packages.pop(ROOT)
    engines = [_engine(engine, why) for engine, why in _engines(config)]
    libraries = list(system_libraries())
    components = [*packages.values(), *engines, *libraries]
    ours = [*needs.get(ROOT, []), *(one["bom-ref"] for one in (*engines, *libraries))]
    graph = {**needs, ROOT: ours}
    refs = {ROOT: root["bom-ref"], **{name: one["bom-ref"] for name, one in packages.items()}}
    content = json.dumps([root, components], sort_keys=True)
    return {
        "bomFormat": FORMAT,
        "specVersion": VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "limpid sbom", "version": __version__}]},
            "component": {**root, "type": "application"},
            "properties": [
                {"name": "limpid:python", "value": platform.python_version()},
                {"name": "limpid:machine", "value": platform.machine()},
            ],
        },
        "components": components,
        "dependencies": [
            {"ref": refs[name], "dependsOn": sorted({refs.get(one, one) for one in graph.get(name, [])})}
            for name in refs
        ],
    }  # fmt: skip


# ------------------------------------------------ Python


def closure(root: str) -> tuple[dict[str, Component], dict[str, list[str]]]:
    """Every package that is installed here because of `root`, and what each of them needs."""
    found: dict[str, Component] = {}
    needs: dict[str, set[str]] = {}
    waiting, seen = [(root, EVERY_EXTRA)], set[tuple[str, str]]()
    while waiting:
        name, extra = one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed
        found[name] = _package(package)
        asked = list(_asked(package, extra))
        needs.setdefault(name, set()).update(other for other, _ in asked)
        waiting += asked
    return found, {name: sorted(one for one in asked if one in found) for name, asked in needs.items()}


def _asked(package: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    """(package, extra) that it requires, without extras and for this one."""
    for text in package.requires or ():
        requirement, _, marker = text.partition(";")
        parts, only = REQUIREMENT.match(requirement), ONLY_FOR.search(marker)
        if parts is None or (only is not None and extra not in (only[1], EVERY_EXTRA)):
            continue
        for one in ("", *filter(None, (parts[2] or "").replace(" ", "").split(","))):
            yield _normal(parts[1]), one


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(package: Distribution) -> Component:
    name, version = _normal(package.metadata["Name"]), package.version
    component: Component = {
        "bom-ref": f"pkg:pypi/{name}@{version}", "type": "library", "name": name, "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
    }  # fmt: skip
    if summary := _field(package, "Summary"):
        component["description"] = summary[:500]
    licences = _licences(package)
    return {**component, "licenses": licences} if licences else component


def _licences(package: Distribution) -> list[dict[str, Any]]:
    """As the package states them."""
    if expression := _field(package, "License-Expression"):
        return [{"expression": expression}]
    classes = package.metadata.get_all("Classifier") or ()
    names = [one.rsplit(" :: ", 1)[-1] for one in classes if one.startswith("License :: OSI")]
    if not names and (text := _field(package, "License").strip()):
        names = [text.splitlines()[0][:100]]
    return [{"license": {"id": OFFICIAL[one]} if one in OFFICIAL else {"name": one}} for one in names]


def _field(package: Distribution, name: str) -> str:
    return str((package.metadata.get_all(name) or [""])[0])


# ------------------------------------------------ engines


def _engines(config: Config) -> list[tuple[Engine, str]]:
    """Also those that are refused: their files are here. With the reason, which is empty for the others."""
    catalog = open_catalog(config.engines.folders, config.engines.keys)
    found = {name: (engine, "") for name, engine in catalog.engines.items()}
    for home, why in catalog.refused.items():
        with contextlib.suppress(EngineRefused):  # not even its manifest can be read: there is nothing to name
            engine = read_engine(Path(home))
            found.setdefault(engine.manifest.name, (engine, why))
    return [found[name] for name in sorted(found)]


def _engine(engine: Engine, why_refused: str) -> Component:
    manifest = engine.manifest
    refused = [{"name": "limpid:refused", "value": why_refused}] if why_refused else []
    return {
        "bom-ref": f"engine:{manifest.name}@{manifest.version}", "type": "machine-learning-model",
        "name": manifest.name, "version": manifest.version, "description": manifest.task,
        "hashes": [{"alg": "SHA-256", "content": manifest.sha256}],
        "licenses": [{"license": {"id": manifest.licence}}],
        "modelCard": {
            "modelParameters": {"task": manifest.task, "architectureFamily": manifest.family},
            "considerations": {"technicalLimitations": [manifest.limits]},
        },
        "properties": [{"name": "limpid:precision", "value": manifest.precision}, *refused],
    }  # fmt: skip


# ------------------------------------------------ the system


def system_libraries() -> Iterator[Component]:
    """The Debian packages of which something is loaded together with our libraries; none elsewhere."""
    if shutil.which("dpkg-query") is None:
        return
    for package in sorted(_packages_of(_loaded_files())):
        found = _query("--show", "--showformat=${Package}|${Version}|${Architecture}", package)
        name, version, architecture = [*found.split("|"), "", "", ""][:3]
        if version:
            purl = f"pkg:deb/debian/{name}@{version.replace(':', '%3A').replace('+', '%2B')}?arch={architecture}"
            yield {"bom-ref": purl, "type": "library", "name": name, "version": version, "purl": purl}


def _loaded_files() -> list[str]:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it would write into our answer
    for name in LOADED:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # an extra that is not installed
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    return sorted({line.split(maxsplit=5)[5] for line in maps if ".so" in line and len(line.split(maxsplit=5)) == 6})


def _packages_of(files: list[str]) -> set[str]:
    """dpkg may know a file by its name before /lib became a link to /usr/lib."""
    wanted = [name for file in files for name in (file, file.removeprefix("/usr"))]
    found = _query("--search", *wanted).splitlines() if wanted else []
    return {line.split(": ", 1)[0].split(",")[0] for line in found if ": " in line and not line.startswith("diversion")}


def _query(*words: str) -> str:
    done = subprocess.run(["dpkg-query", *words], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout
