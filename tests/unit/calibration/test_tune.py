"""Tuning peers from the command line."""

from __future__ import annotations

import pytest

pytest.importorskip("pywt", reason="the extra `judge` is not installed")

from calibration.peers import tune


def test_a_peer_that_there_is_not_is_told_and_nothing_is_tuned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tune, "clips", pytest.fail)
    with pytest.raises(SystemExit) as left:
        tune.main(["nlm", "nosuch"])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "no peer that can be tuned: nosuch" in said
    assert "median" in said
