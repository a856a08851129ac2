"""What was touched is named: which line, and what was done to it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.audit import Audit, chain
from edge.audit.chain import FIRST, Entry
from edge.signing import Signer


def wall() -> datetime:
    return datetime(2026, 11, 20, 19, 15, 30, tzinfo=timezone.utc)


def lines(count: int) -> list[bytes]:
    """A log's lines, without their ends."""
    made, before = list[bytes](), FIRST
    for n in range(1, count + 1):
        made.append(chain.encoded(Entry(n, "2026-11-20", "test", "sent", f"capture-{n}", {}, before))[:-1])
        before = chain.sum_of(made[-1])
    return made


def judged(made: list[bytes]) -> list[tuple[str, int]]:
    return [(fault.kind, fault.line) for fault in chain.faults([chain.link(line) for line in made])]


def forged(line: bytes, **changes: object) -> bytes:
    entry = chain.decoded(line)
    assert entry is not None
    return chain.encoded(msgspec.structs.replace(entry, **changes))[:-1]


def test_a_log_that_nobody_touched_has_no_fault():
    assert judged(lines(8)) == []
    assert judged([]) == []


HARM = {
    "altered": (lambda x: [*x[:2], x[2].replace(b"sent", b"lost"), *x[3:]], [("altered", 3)]),
    "the first altered": (lambda x: [x[0].replace(b"sent", b"lost"), *x[1:]], [("altered", 1)]),
    "the last but one altered": (lambda x: [*x[:4], x[4].replace(b"sent", b"lost"), x[5]], [("altered", 5)]),
    "its number altered": (lambda x: [*x[:2], forged(x[2], n=77), *x[3:]], [("altered", 3)]),
    "its sum altered": (lambda x: [*x[:2], forged(x[2], before=FIRST), *x[3:]], [("altered", 3)]),
    "unreadable": (lambda x: [*x[:2], b"?", *x[3:]], [("altered", 3)]),
    "no text": (lambda x: [*x[:2], b"\xff\xfe", *x[3:]], [("altered", 3)]),
    "removed": (lambda x: [*x[:2], *x[3:]], [("removed", 3)]),
    "two removed": (lambda x: [*x[:2], *x[4:]], [("removed", 3)]),
    "the beginning removed": (lambda x: x[2:], [("removed", 1)]),
    "a copy inserted": (lambda x: [*x[:4], x[1], *x[4:]], [("inserted", 5)]),
    "a copy added": (lambda x: [*x, x[1]], [("inserted", 7)]),
    "a forged line inserted": (
        lambda x: [*x[:2], forged(x[2], did="discarded"), *x[2:]],
        [("inserted", 3)],
    ),
    "exchanged": (lambda x: [x[0], x[2], x[1], *x[3:]], [("moved", 2)]),
    "moved to the end": (lambda x: [*x[:1], *x[2:], x[1]], [("moved", 2), ("moved", 6)]),
    "two things": (lambda x: [x[0].replace(b"sent", b"lost"), *x[1:3], *x[4:]], [("altered", 1), ("removed", 4)]),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_was_done_is_named_with_its_place(harm: str):
    touch, found = HARM[harm]
    assert judged(touch(lines(6)))[: len(found)] == found


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_one_harm_is_seen_near_its_place(data: st.DataObject):
    made = lines(12)
    at = data.draw(st.integers(0, 10), label="place")  # of the last line nothing is left that could tell
    to = data.draw(st.integers(0, 11).filter(lambda to: to != at), label="to")
    harm = data.draw(st.sampled_from(["flip", "remove", "copy", "move"]), label="harm")
    touched = list(made)
    if harm == "flip":
        byte = data.draw(st.integers(0, len(made[at]) - 1))
        touched[at] = made[at][:byte] + bytes([made[at][byte] ^ 1]) + made[at][byte + 1 :]
        near = [at + 1]
    elif harm == "remove":
        del touched[at]
        near = [at + 1]
    elif harm == "copy":
        touched.insert(to, made[at])
        near = [min(at, to) + 1, to + 1, at + 1, at + 2]
    else:
        touched.insert(to, touched.pop(at))
        near = [min(at, to) + 1, max(at, to) + 1]
    if touched != made:
        found = judged(touched)
        assert found
        assert min(abs(found[0][1] - place) for place in near) <= 1, found


def test_what_is_cut_off_at_the_end_shows_where_the_head_was_noted(tmp_path: Path):
    audit = Audit(tmp_path / "audit.jsonl", wall, "test")
    for n in range(5):
        audit.append("sent", f"capture-{n}")
    head = audit.verify().head
    assert audit.verify(heads=[head]).faults == ()
    kept = audit.path.read_bytes().splitlines(keepends=True)
    audit.path.write_bytes(b"".join(kept[:4]))
    assert audit.verify().faults == ()
    assert [fault.kind for fault in audit.verify(heads=[head]).details] == ["cut"]


# Seals


@pytest.fixture
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def sealed_log(folder: Path, signer: Signer, name: str = "outbox") -> Audit:
    audit = Audit(folder / "audit.jsonl", wall, "test", name=name)
    for n in range(3):
        audit.append("sent", f"capture-{n}")
    assert audit.seal(signer)
    assert not audit.seal(signer), "nothing came since"
    audit.append("sent", "capture-3")
    return audit


def test_a_seal_says_up_to_where_the_log_is_vouched_for(tmp_path: Path, signer: Signer):
    verdict = sealed_log(tmp_path, signer).verify(signer.key.public_key())
    assert (verdict.entries, verdict.sealed, verdict.faults) == (5, 4, ())


def test_a_log_written_anew_is_seen_though_its_chain_is_whole(tmp_path: Path, signer: Signer):
    audit = sealed_log(tmp_path, signer)
    told = list(audit.entries())
    audit.path.unlink()
    forger = Audit(audit.path, wall, "test", name="outbox")
    for entry in told:
        forger.append(entry.did, entry.to, {**entry.facts, "forged": True} if entry.n == 2 else entry.facts)
    assert forger.verify().faults == (), "a chain alone cannot tell"
    verdict = forger.verify(signer.key.public_key())
    assert [fault.kind for fault in verdict.details] == ["seal", "seal"]


def test_a_log_without_the_seals_it_should_have_is_seen(tmp_path: Path, signer: Signer):
    forger = Audit(tmp_path / "audit.jsonl", wall, "test")
    forger.append("sent", "capture-0")
    forger.seal(Signer(Ed25519PrivateKey.generate()))
    verdict = forger.verify(signer.key.public_key())
    assert verdict.sealed == 0
    assert "no line is sealed by key" in verdict.faults[0]


def test_the_seal_of_one_log_is_no_seal_of_another(tmp_path: Path, signer: Signer):
    sealed_log(tmp_path, signer, name="outbox")
    moved = Audit(tmp_path / "audit.jsonl", wall, "test", name="engines")
    assert "forged" in moved.verify(signer.key.public_key()).faults[0]
