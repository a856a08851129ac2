"""One way to choose a plugin: a file of a folder, found by name, imported only when chosen."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType

from edge.errors import ConfigError


def kinds(package: ModuleType) -> list[str]:
    """Every plugin of a folder: one file each; a leading underscore keeps a file private."""
    found: Iterable[pkgutil.ModuleInfo] = pkgutil.iter_modules(package.__path__)
    return sorted(module.name for module in found if not module.name.startswith("_"))


def load(package: ModuleType, kind: str) -> ModuleType:
    """The plugin's module. An unknown kind lists the known ones; a missing library names its extra."""
    known = kinds(package)
    if kind not in known:
        noun = package.__name__.rsplit(".", 1)[-1].removesuffix("s")
        raise ConfigError(f'unknown {noun} "{kind}"; known: {", ".join(known)}')
    try:
        return importlib.import_module(f"{package.__name__}.{kind}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("edge"):
            raise
        extra = _EXTRAS.get(error.name)
        remedy = f"pip install 'limpid-edge[{extra}]'" if extra else f"pip install {error.name}"
        raise ConfigError(f'"{kind}" needs the library {error.name}: {remedy}') from error


_EXTRAS = {"pyigtl": "igtl", "pydicom": "dicom", "jtop": "jetson"}
