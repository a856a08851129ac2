"""Seals: lines that sign all lines before them. Pure but for the key.

A hash chain alone shows who touched a line, not who wrote the whole log anew. A seal is a line of the log whose
signature (Ed25519) holds the number of the line, the sum of the line before and the log's name. The private key is at
one process alone, the one that forwards: whoever gets into the console or the live process can add lines, and can seal
none. What came after the last seal is protected by the chain only, and `verify` says how much that is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.audit.chain import Entry, Fault
from edge.signing import Signer, key_id

SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Seals:
    """What the seals of a log say."""

    up_to: int  # the last line that a good seal signs; 0: none
    lines: int  # of the log
    faults: tuple[Fault, ...]


def message(log: str, n: int, before: str) -> bytes:
    return f"limpid audit seal\n{log}\n{n}\n{before}\n".encode()


def facts_of(signer: Signer, log: str, n: int, before: str) -> dict[str, str]:
    return {"signature": signer.sign(message(log, n, before)).hex()}


def check(entries: Iterable[Entry], log: str, public: Ed25519PublicKey) -> Seals:
    """Every seal of this key. Seals of another key say nothing here, unless there are no others."""
    ours, up_to, lines, faults, strange = key_id(public), 0, 0, list[Fault](), set[str]()
    for entry in entries:
        lines += 1
        if entry.did != SEALED:
            continue
        if entry.to != ours:
            strange.add(entry.to)
        elif _is_good(entry, log, public):
            up_to = entry.n
        else:
            faults.append(Fault("seal", lines, f"the seal in line {lines} is not that of key {ours}: it is forged"))
    if lines and not up_to:
        others = f", only by {', '.join(sorted(strange))}" if strange else ""
        faults.append(Fault("seal", 0, f"no line is sealed by key {ours}{others}: the log may be another one"))
    return Seals(up_to, lines, tuple(faults))


def _is_good(entry: Entry, log: str, public: Ed25519PublicKey) -> bool:
    try:
        public.verify(bytes.fromhex(str(entry.facts.get("signature", ""))), message(log, entry.n, entry.before))
    except (InvalidSignature, ValueError):
        return False
    return True
