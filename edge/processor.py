"""What Linux tells of the processor: its name, which of that name it is, and its instructions for INT8. Pure, but for
`described`, which reads it.
"""

from __future__ import annotations

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
INT8_FLAGS = {  # as Linux names them
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "i8mm": "INT8 matrices",
    "asimddp": "dot product",
}


def described() -> dict[str, str]:
    """The first core's facts by their names; empty where Linux does not say."""
    try:
        return facts(CPUINFO.read_text(encoding="utf-8"))
    except OSError:
        return {}


def facts(cpuinfo: str) -> dict[str, str]:
    first = cpuinfo.split("\n\n")[0].splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first)}


def name_of(told: dict[str, str]) -> str:
    return told.get("model name", platform.machine())


def int8_of(told: dict[str, str]) -> list[str]:
    flags = told.get("flags", told.get("Features", "")).split()
    return [words for flag, words in INT8_FLAGS.items() if flag in flags]


def exactly(told: dict[str, str]) -> str:
    """The name and more: "AMD EPYC" alone does not tell how many INT8 products it takes at a time."""
    which = [f"{name.removeprefix('cpu ')} {told[name]}" for name in ("cpu family", "model") if name in told]
    return ", ".join((name_of(told), *which, *int8_of(told)))
