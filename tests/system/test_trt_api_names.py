"""Every name of TensorRT's API that the code uses, looked for in the binary of every release it says it serves.

The wheels of the bindings are a megabyte each and come from the package index; they cannot be imported without NVIDIA's
libraries, but their binaries hold each class, attribute and enumerator by name. They are kept in a folder between runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge.backends._trt_releases import RELEASES, release_of
from tests.trt_names import names_in, used_names

WHEELS = {
    "10.3": "tensorrt-cu12-bindings==10.3.0",
    "10.16": "tensorrt-cu13-bindings==10.16.1.11",
    "11.4": "tensorrt-cu13-bindings==11.4.0.106",
}
ONLY_RTX = {"num_compute_capabilities", "set_compute_capability", "ComputeCapability"}  # behind `names_target`
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limpid/test-wheels"


def binary_of(release: str) -> bytes:
    """The bindings' binary; skipped, or failed where it was promised, when it cannot be had."""
    folder = CACHE / release
    if not list(folder.glob("*.whl")):
        line = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64", "--platform",
                "manylinux_2_17_x86_64", "-d", str(folder), WHEELS[release]]  # fmt: skip
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            reason = f"{WHEELS[release]} cannot be downloaded: {done.stderr.strip().splitlines()[-1:]}"
            if os.environ.get("LIMPID_NEEDS_TENSORRT"):
                pytest.fail(reason)
            pytest.skip(reason)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith("/tensorrt.so"))
        return content.read(name)


def test_the_collector_sees_what_the_code_is_known_to_use() -> None:
    used = used_names()
    assert {"STRONGLY_TYPED", "execute_async_v3", "set_tensor_address", "build_serialized_network"} <= used
    assert {"CONVOLUTION", "DEQUANTIZE", "progress_monitor", "step_complete", "DLA_core", *ONLY_RTX} <= used


def test_what_the_newest_release_has_removed_is_not_used() -> None:
    assert not used_names() & {"FP16", "int8_calibrator", "set_dynamic_range", "EXPLICIT_BATCH", "num_bindings"}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("release", WHEELS)
def test_every_name_is_in_every_release_served(release: str) -> None:
    binary = binary_of(release)
    used = used_names()
    assert release_of("tensorrt", release).runtime == "tensorrt"
    assert used - names_in(binary, used) == ONLY_RTX
    assert names_in(binary, {"a_name_that_is_not_there"}) == set()


def test_every_row_of_the_table_is_looked_into() -> None:
    rows = {row for row in RELEASES if row.runtime == "tensorrt"}
    assert {release_of("tensorrt", release) for release in WHEELS} == rows


def test_every_name_is_in_tensorrt_rtx() -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings.tensorrt_rtx", reason="the extra `rtx` is not installed")
    used = used_names()
    assert used - names_in(Path(trt.__file__).read_bytes(), used) == set()
