"""What is told of a processor, from what Linux says of it."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edge import processor

EPYC = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nflags\t: fpu avx512_vnni sse\n"
ORIN = "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nFeatures\t: fp asimd asimddp\n"


def test_a_processor_is_told_by_more_than_its_name() -> None:
    told = processor.facts(f"{EPYC}\n{EPYC.replace('25', '26')}")
    assert processor.exactly(told) == "AMD EPYC, family 25, model 17, AVX-512 VNNI"
    assert processor.exactly(processor.facts(ORIN)) == "ARMv8 Processor rev 1 (v8l), dot product"


def test_where_linux_says_nothing_the_kind_of_machine_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    assert processor.exactly(processor.described()) == platform.machine()
    assert processor.int8_of({}) == []
