"""The plan cache: what was built for exactly this is loaded, and nothing else ever is."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import msgspec
import pytest

from edge import plans
from edge.plans import MAGIC, REASONS, PlanCache, PlanKey, PlanRefused, default_folder

KEY = PlanKey(
    engine="ultrasound-clarity-small", model="ab" * 32, recipe="r1", runtime="tensorrt 10.3.0", gpu="sm87 Orin",
    precision="int8", power_mode="MAXN", shape="640x480x8",
)  # fmt: skip
PLAN = bytes(range(256)) * 40


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


def reason_of(cache: PlanCache, key: PlanKey = KEY) -> str:
    with pytest.raises(PlanRefused) as refused:
        cache.load(key)
    assert REASONS[refused.value.reason] in str(refused.value)
    return refused.value.reason


def test_what_was_stored_is_loaded(cache: PlanCache) -> None:
    path = cache.store(KEY, PLAN, 12.5)
    assert cache.load(KEY) == PLAN
    assert path.stat().st_mode & 0o077 == 0
    (entry,) = cache.entries()
    assert (entry.key, entry.fault) == (KEY, "")


def test_what_was_never_built_is_missing(cache: PlanCache) -> None:
    assert reason_of(cache) == "missing"


OTHERS = {
    "model": "cd" * 32, "recipe": "r2", "runtime": "tensorrt 10.16.0", "gpu": "sm110 Thor", "precision": "fp16",
    "power_mode": "15W", "shape": "320x240x8", "engine": "another", "dla": "0",
}  # fmt: skip


@pytest.mark.parametrize("field", PlanKey.__struct_fields__)
def test_a_plan_of_anything_else_is_refused_with_a_reason_of_its_own(cache: PlanCache, field: str) -> None:
    other = msgspec.structs.replace(KEY, **{field: OTHERS[field]})
    stored = cache.store(other, PLAN, 1.0)
    mine = cache.folder / KEY.slot
    mine.parent.mkdir(exist_ok=True)
    if stored != mine:
        stored.replace(mine)  # somebody copied it here
    assert reason_of(cache) == field


def test_each_refusal_has_a_message_of_its_own() -> None:
    assert set(PlanKey.__struct_fields__) < set(REASONS)
    assert len(set(REASONS.values())) == len(REASONS)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.03, 0.5, 0.99])
def test_a_plan_cut_short_is_refused(cache: PlanCache, part: float) -> None:
    path = cache.store(KEY, PLAN, 1.0)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert reason_of(cache) == "truncated"


def test_a_changed_byte_of_the_plan_is_seen(cache: PlanCache) -> None:
    path = cache.store(KEY, PLAN, 1.0)
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(bytes(content))
    assert reason_of(cache) == "altered"
    path.write_bytes(bytes(content) + b"more")
    assert reason_of(cache) == "altered"


def test_a_file_of_another_kind_is_no_plan(cache: PlanCache) -> None:
    path = cache.store(KEY, PLAN, 1.0)
    for content in (b"ptrt" * 100, MAGIC + struct.pack(">Q", 1 << 40) + b"x", MAGIC + struct.pack(">Q", 3) + b"{]}"):
        path.write_bytes(content)
        assert reason_of(cache) == "damaged"


def test_a_folder_in_its_place_cannot_be_read(cache: PlanCache) -> None:
    (cache.folder / KEY.slot).mkdir(parents=True)
    assert reason_of(cache) == "unreadable"


def test_a_newer_plan_replaces_the_one_of_its_slot_alone(cache: PlanCache) -> None:
    cache.store(KEY, b"old", 1.0)
    slower = msgspec.structs.replace(KEY, power_mode="15W")
    cache.store(slower, b"slow", 1.0)
    newer = msgspec.structs.replace(KEY, runtime="tensorrt 10.16.0")
    cache.store(newer, b"new", 1.0)
    assert cache.load(newer) == b"new"
    assert cache.load(slower) == b"slow"
    assert reason_of(cache) == "runtime"
    assert len(list(cache.entries())) == 2


def test_what_a_dead_process_left_half_written_is_swept_and_a_live_ones_is_not(cache: PlanCache) -> None:
    path = cache.store(KEY, b"old", 1.0)
    dead = path.with_name(f"{path.name}.{2**22 + 1}-5.tmp")
    live = path.with_name(f"{path.name}.{os.getpid()}-999999.tmp")
    dead.write_bytes(b"half")
    live.write_bytes(b"half")
    cache.store(KEY, b"new", 1.0)
    assert not dead.exists()
    assert live.exists()


def test_a_dropped_plan_is_missing_and_dropping_twice_is_dropping_once(cache: PlanCache) -> None:
    cache.store(KEY, PLAN, 1.0)
    cache.drop(KEY)
    cache.drop(KEY)
    assert reason_of(cache) == "missing"


def test_a_damaged_file_is_listed_with_its_fault(cache: PlanCache) -> None:
    cache.store(KEY, PLAN, 1.0).write_bytes(b"nothing of the kind")
    (entry,) = cache.entries()
    assert entry.key is None
    assert "no plan" in entry.fault


def test_plans_lie_where_the_service_keeps_its_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", f"{tmp_path}/a:{tmp_path}/b")
    assert default_folder() == tmp_path / "a" / "plans"
    monkeypatch.delenv("CACHE_DIRECTORY")
    monkeypatch.setattr(plans, "SYSTEM_CACHE", tmp_path)
    assert default_folder() == tmp_path / "plans"
    monkeypatch.setattr(plans, "SYSTEM_CACHE", tmp_path / "not there")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine/limpid/plans"
