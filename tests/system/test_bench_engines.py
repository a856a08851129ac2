"""`python -m tools.bench_engines`: what it tells. Not how fast: tests do not depend on a machine's hurry."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.system.process import ROOT


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tools.bench_engines", *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.timeout(120)
def test_both_forms_of_an_engine_are_told_with_their_spread() -> None:
    done = bench("fluoroscopy-clarity-small", "--turns", "2", "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["machine"]["threads"] == 1
    (row,) = told["engines"]
    assert (row["engine"], row["frame"]) == ("fluoroscopy-clarity-small", "640x480")
    for spread in (row["ms_int8"], row["ms_float"], row["float_over_int8"]):
        assert 0 < spread["least"] <= spread["middle"] <= spread["most"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["handbuilt-small"], "no trained engine"), (["--turns", "0"], "one at least")],
)
def test_what_cannot_be_measured_is_refused_in_a_line(arguments: list[str], said: str) -> None:
    done = bench(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
