"""A store of versions and tiny signed updates for it: what the tests of updates share. Not a test itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from edge.signing import Signer, make_key
from edge.update import bundle
from edge.update.bundle import TREE, Listing, Made
from edge.update.install import VENV, Step
from edge.update.store import VersionStore
from edge.update.target import Target

FILES = 5
ANYWHERE = Target()


def quick_install(listing: Listing, files: Path, home: Path, final: Path, step: Step) -> None:
    """In place of an environment: a few files that say which version they are of."""
    (home / VENV / "bin").mkdir(parents=True)
    content = (files / listing.files[0].name).read_bytes()
    for number in range(FILES):
        (home / VENV / f"{number}.py").write_bytes(content)
    step("installing")


@dataclass
class Bench:
    home: Path
    store: VersionStore
    signer: Signer

    def update(self, version: str, signer: Signer | None = None, minimum: str = "", target: Target = ANYWHERE) -> bytes:
        """The bytes of a signed update that holds nearly nothing."""
        archive = self.home / f"{version}.tar"
        content = self.home / f"content-{version}"
        (content / f"limpid_edge-{version}.dist-info").mkdir(parents=True, exist_ok=True)
        (content / "version.py").write_text(f"version = {version!r}\n")
        made = bundle.tree(content, archive)
        made = Made(made.version, "tree", target, made.unpacked, {TREE: archive})
        place, _ = bundle.write(made, minimum, f"notes of {version}", signer or self.signer, self.home / "out", _quiet)
        return place.read_bytes()

    def stage(self, content: bytes) -> str:
        version, _ = self.store.stage(io.BytesIO(content), install=quick_install)
        return version.number


def _quiet(_what: str, _done: int, _total: int) -> None: ...


def bench_at(home: Path) -> Bench:
    (home / "out").mkdir(parents=True)
    signer = make_key(home / "key")
    found = Bench(home, store_at(home), signer)
    found.store.keys.trust(home / "key.pub")
    found.store.check_place()
    return found


def store_at(home: Path) -> VersionStore:
    return VersionStore(home / "opt", home / "var", bundle.keyring(home / "keys"), "test")
