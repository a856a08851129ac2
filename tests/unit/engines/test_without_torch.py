"""Those who do not train have no PyTorch: what needs it says what to install, in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")

SCRIPT = "import runpy, sys; sys.modules['torch'] = None; runpy.run_module(sys.argv[1], run_name='__main__')"


@pytest.mark.parametrize(
    "module", ["engines.train", "calibration.quantize", "calibration.trim", "calibration.redraw", "calibration.unveil"]
)  # fmt: skip
def test_what_needs_pytorch_says_so_in_one_line(module: str) -> None:
    line = [sys.executable, "-c", SCRIPT, module, "ultrasound-clarity-small"]
    left = subprocess.run(line, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False, timeout=50)
    (said,) = left.stderr.splitlines()
    assert left.returncode == 1
    assert "needs torch: pip install 'limpid-edge[train]'" in said
