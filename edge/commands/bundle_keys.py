"""The key that signs bundles, of engines and of the appliance alike: made where no appliance is."""

from __future__ import annotations

import json
from pathlib import Path

from edge.signing import make_key


def make_keys(path: Path, *, as_json: bool) -> int:
    signer = make_key(path)
    facts = {"key": signer.id, "private": str(path), "public": f"{path}.pub"}
    words = (
        f"key {signer.id}\n{path}: keep it where no appliance is, and a copy elsewhere\n"
        f"{path}.pub: for the appliances; tell their keepers the id on another way"
    )
    print(json.dumps(facts) if as_json else words)
    return 0
