"""`limpid.h` under the address and undefined-behaviour sanitisers: 20,000 hostile messages, and the same
verdict on each as `edge.wire` gives. Two decoders written apart that agree are both likely to be right.
"""

from __future__ import annotations

import random
import struct
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edge import wire
from edge.errors import BadFrame
from edge.frame import Why
from tests.system.c_client import compile_c, missing, needs

SEED, CASES = 20240607, 20_000
LONGEST = 100 * 100 * 3 + 100
_index = np.arange(LONGEST, dtype=np.uint32)
PIXELS = (_index * 31 + _index // 256).astype(np.uint8).tobytes()  # as the harness makes them

FRAME_PLACES = [*range(9), 32, 33, 36, 40, 41, 44, 45, 48, 52, 56, 60, 64, 68, 72, 80, 81, 127]
SHOWN_PLACES = [*range(9), 32, 36, 40, 44, 45, 46, 47, 48, 88, 92, 96, 100, 112, 116, 152, 200, 247, 264, 272]
LIMITS = [
    0, 1, 2, 3, 4, 5, 8, 9, 10, 16, 17, 31, 63, 64, 65, 99, 100, 101, 128, 192, 200, 255, 300, 4096, 4097,
    49152, 49153, 0x7FC00000, 0x7F800000, 0x42C80000, 0xBF800000, 2**31, 2**32 - 1,
]  # fmt: skip
FORMATS = [(1, 8, 1), (2, 12, 2), (3, 8, 3), (4, 8, 3)]


@dataclass(frozen=True)
class Case:
    """One message: its header, and the sizes of its pixel parts."""

    shown: bool
    header: bytes
    sizes: list[int]

    def packed(self) -> bytes:
        start = struct.pack("<BBH", self.shown, len(self.sizes), len(self.header))
        return start + self.header + struct.pack(f"<{len(self.sizes)}I", *self.sizes)

    def verdict(self) -> tuple[str, int]:
        """What `edge.wire` says: the reason, or "ok" and the sum that the harness prints."""
        pixels = [PIXELS[:size] for size in self.sizes]
        try:
            if not self.shown:
                return "ok", byte_sum(wire.decode_frame([self.header, *pixels], 0, 0).pixels)
            report = wire.decode_shown([b"", self.header, *pixels])
        except BadFrame as bad:
            return bad.reason, 0
        read = [part for part in (report.pixels, report.original, report.change) if part is not None]
        names = len(report.engine.name) + len(report.engine.precision)
        words = "enhanced" if report.why is Why.NOT_ORIGINAL else report.why.words
        return "ok", sum(map(byte_sum, read)) + names + len(words)


def byte_sum(pixels: np.ndarray) -> int:
    return int(np.ascontiguousarray(pixels).view(np.uint8).sum(dtype=np.uint64))


def valid(rng: random.Random) -> Case:
    format_, bits, size = rng.choice(FORMATS)
    width, height = rng.randint(64, 100), rng.randint(64, 100)
    stride = min(width * size + 2 * rng.choice([0, 0, 0, 1, 20]), 300)
    stride += stride % 2 if format_ == 2 else 0
    name, box = rng.choice([b"probe-1", b"x" * 48]), rng.choice([(0, 0, 0, 0), (1, 2, 60, 62)])
    start = (wire.VERSION, format_, bits, rng.randint(0, 2), 1, 2, 3, width, height, stride)
    sizes = [stride * height - rng.choice([0, stride - width * size])]
    if rng.random() < 0.5:
        return Case(False, wire._FRAME.pack(b"LMPF", *start, 1, 1, 0, 0.5, 0.5, *box, name), sizes)
    treatment, flags = rng.randint(0, 2), rng.choice([1, 9, 17, 25])
    sizes = (sizes * (2 if flags & 8 else 1) + [width * height] * bool(flags & 16)) * bool(treatment)
    flags = flags if treatment else 2
    header = wire._SHOWN.pack(
        b"LMPS", *start, treatment, rng.choice(list(Why)), 50, flags, *range(5), 6, 7, *box, 8, 9, 0.0, 0.0,
        b"\1" * 32, rng.choice([b"net", b"n\x1b" * 24]), name, b"openvino_cpu", b"int8",
    )  # fmt: skip
    return Case(True, header, sizes)


def mutated(case: Case, rng: random.Random) -> Case:
    """A valid message with up to three things wrong, or right after all."""
    header, sizes = bytearray(case.header), list(case.sizes)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        way = rng.random()
        if way < 0.6:
            place = rng.choice(SHOWN_PLACES if case.shown else FRAME_PLACES)
            value = struct.pack("<I", rng.choice(LIMITS))[: rng.choice([1, 4])]
            header[place : place + len(value)] = value[: max(0, len(header) - place)]
        elif way < 0.7 and header:
            header[rng.randrange(len(header))] ^= 1 << rng.randrange(8)
        elif way < 0.75:
            header = header[: rng.randrange(len(header) + 1)] + rng.randbytes(rng.choice([0, 0, 9]))
        elif way < 0.95 and sizes:
            sizes[rng.randrange(len(sizes))] = max(0, rng.choice(sizes) + rng.choice([-5000, -1, 1, 7, -99]))
        else:
            sizes = rng.choice([[], [4096], sizes[1:], (sizes * 2)[:4]])
    return Case(case.shown, bytes(header), [min(size, LONGEST) for size in sizes])


def random_case(rng: random.Random) -> Case:
    shown = rng.random() < 0.5
    header = bytearray(
        rng.randbytes(rng.choice([0, 127, 128, 320, 400]) if rng.random() < 0.3 else 320 if shown else 128)
    )
    if len(header) > 6 and rng.random() < 0.8:
        header[:7] = (b"LMPS" if shown else b"LMPF") + bytes([1, 1, 8])
    return Case(shown, bytes(header), [rng.randrange(5000) for _ in range(rng.randrange(4))])


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("gcc")
    folder = tmp_path_factory.mktemp("fuzz")
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    sanitised = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = ["gcc", *sanitised, str(probe), "-o", str(folder / "probe")]
    if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0:
        missing("this gcc has no address sanitiser")
    return compile_c(Path(__file__).with_name("c_fuzz_harness.c"), folder / "harness", *sanitised)


def run_harness(harness: Path, cases: list[Case]) -> list[tuple[str, int]]:
    packed = b"".join(case.packed() for case in cases)
    done = subprocess.run([harness], input=packed, capture_output=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr.decode()
    words = [line.split() for line in done.stdout.decode().splitlines()]
    return [(reason, int(total)) for reason, total in words]


def test_c_and_python_judge_20_000_messages_alike(harness: Path) -> None:
    rng = random.Random(SEED)
    cases = [mutated(valid(rng), rng) if rng.random() < 0.85 else random_case(rng) for _ in range(CASES)]
    verdicts = run_harness(harness, cases)
    assert len(verdicts) == CASES
    expected = [case.verdict() for case in cases]
    differ = [(case, got, want) for case, got, want in zip(cases, verdicts, expected, strict=True) if got != want]
    assert differ == []
    reached = Counter(reason for reason, _ in verdicts)
    assert set(reached) == {"ok", "malformed", "version", "size", "truncated", "oversized"}
    assert min(reached.values()) > 100, reached


def test_the_harness_would_notice(harness: Path, tmp_path: Path) -> None:
    """With the payload check taken out of the header, the sanitiser must stop the harness."""
    source = (Path(__file__).parents[2] / "tools" / "clients" / "c" / "limpid.h").read_text()
    broken = source.replace("return LIMPID_TRUNCATED;", "return LIMPID_OK;")
    assert broken != source
    (tmp_path / "limpid.h").write_text(broken)
    (tmp_path / "harness.c").write_text(Path(__file__).with_name("c_fuzz_harness.c").read_text())
    program = compile_c(tmp_path / "harness.c", tmp_path / "broken", "-g", "-fsanitize=address,undefined")
    start = (wire.VERSION, 1, 8, 0, 1, 2, 3, 64, 64, 64)
    header = wire._FRAME.pack(b"LMPF", *start, *[0] * 9, b"probe-1")
    short = Case(False, header, [64 * 64 - 1])
    assert short.verdict() == ("truncated", 0)
    done = subprocess.run([program], input=short.packed(), capture_output=True, timeout=50, check=False)
    assert b"AddressSanitizer: heap-buffer-overflow" in done.stderr
