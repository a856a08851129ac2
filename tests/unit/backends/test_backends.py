"""Which backend computes, and why: in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.backends import notes_of, nvidia_nodes, why_backend
from edge.clock import ManualClock
from tests.fakes import SlowBackend


def test_a_gpu_is_seen_by_its_devices(tmp_path: Path) -> None:
    assert nvidia_nodes(tmp_path) == []
    for name in ("nvidia0", "nvidiactl", "nvhost-gpu", "nvme0"):
        (tmp_path / name).touch()
    assert nvidia_nodes(tmp_path) == ["nvhost-gpu", "nvidia0"]


@pytest.mark.parametrize(
    ("kind", "nodes", "words"),
    [
        ("openvino_cpu", [], '[engines] backend = "openvino_cpu"; no NVIDIA GPU is here'),
        ("openvino_cpu", ["nvidia0"], '[engines] backend = "openvino_cpu"; the NVIDIA GPU here (nvidia0) is not used'),
        ("tensorrt_int8", ["nvidia0"], '[engines] backend = "tensorrt_int8"'),
    ],
)
def test_why_is_what_was_asked_for_and_what_is_left_unused(kind: str, nodes: list[str], words: str) -> None:
    assert why_backend(kind, nodes) == words


def test_a_backend_without_notes_has_none() -> None:
    assert notes_of(SlowBackend(ManualClock(), {})) == []
