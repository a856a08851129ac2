"""The C examples, compiled as an integrator compiles them, against real sockets read with `edge.wire`."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from edge import wire
from edge.frame import Box, EngineId, Frame, Modality, Shown, Treatment, Why, original
from tests.system.c_client import SOURCES, Clients, build, compile_c, needs, run

PAGE = Path(__file__).parents[2] / "docs" / "wire-protocol.md"
PATIENCE_MS = 20_000


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    return build(tmp_path_factory.mktemp("c"))


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as context:
        yield context


def bound(context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str, **options: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
    for name, value in options.items():
        socket.setsockopt(getattr(zmq, name), value)
    socket.bind(endpoint)
    return socket


def counts(line: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}


def drawn(seq: int, width: int, height: int) -> np.ndarray:
    """What `send_frames` draws: a drifting gradient, and a bright square crossing it."""
    y, x = np.mgrid[:height, :width]
    pixels = ((x + y + seq * 2) // 4).astype(np.uint8)
    left, top = seq * 4 % (width - 32), height // 2 - 16
    pixels[top : top + 32, left : left + 32] = 255
    return pixels


# ---------------------------------------------------------------- frames


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_frames_arrive_byte_for_byte(clients, context, tmp_path: Path, transport: str) -> None:
    endpoint = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{tmp_path}/frames"
    with bound(context, zmq.PULL, endpoint) as daemon:
        at = daemon.getsockopt_string(zmq.LAST_ENDPOINT)
        sender = subprocess.run(
            [clients.send_frames, at, "640", "480", "200", "20", "probe-1"],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        said = counts(sender.stdout)
        frames = [wire.decode_frame(daemon.recv_multipart(copy=False), 0, 0) for _ in range(said["handed_over"])]
    assert said["offered"] == 20 == said["handed_over"] + said["dropped"]
    assert frames, "none was handed over"
    assert len({frame.session for frame in frames}) == 1
    assert frames[0].session != 0
    assert all(earlier.seq < later.seq for earlier, later in itertools.pairwise(frames))
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels, drawn(frame.seq, 640, 480))
        assert (frame.stream, frame.modality, frame.stamped_ns > 0) == ("probe-1", Modality.ULTRASOUND, True)


def test_raw_frames_from_standard_input(clients, context, tmp_path: Path) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (5, 97, 131), np.uint8)
    with bound(context, zmq.PULL, f"ipc://{tmp_path}/frames") as daemon:
        sender = subprocess.run(
            [clients.send_frames, f"ipc://{tmp_path}/frames", "131", "97", "100", "0", "s", "-"],
            input=frames.tobytes() + b"half a frame", capture_output=True, timeout=30, check=True,
        )  # fmt: skip
        said = counts(sender.stdout.decode())
        assert said["offered"] == 5
        for _ in range(said["handed_over"]):
            frame = wire.decode_frame(daemon.recv_multipart(), 0, 0)
            np.testing.assert_array_equal(frame.pixels, frames[frame.seq - 1])


def test_a_stalled_daemon_costs_frames_and_never_the_scanner(clients, context, tmp_path: Path) -> None:
    """Nobody reads: 123 MB of frames fit into no buffer, and yet the sender comes to its end."""
    with bound(context, zmq.PULL, f"ipc://{tmp_path}/frames", RCVHWM=1) as daemon:
        sender = subprocess.run(
            [clients.send_frames, f"ipc://{tmp_path}/frames", "640", "480", "1000", "400", "s"],
            capture_output=True, text=True, timeout=40, check=True,
        )  # fmt: skip
        said = counts(sender.stdout)
        assert said["offered"] == 400 == said["handed_over"] + said["dropped"]
        assert said["dropped"] > 200
        assert wire.decode_frame(daemon.recv_multipart(), 0, 0).seq >= 1


def test_without_a_daemon_every_frame_is_dropped_and_counted(clients, tmp_path: Path) -> None:
    sender = subprocess.run(
        [clients.send_frames, f"ipc://{tmp_path}/nobody", "64", "64", "1000", "10", "s"],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert counts(sender.stdout) == {"offered": 10, "handed_over": 0, "dropped": 10}


@pytest.mark.parametrize(
    "arguments",
    [["ipc://x", "63", "64"], ["ipc://x", "64", "4097"], ["ipc://x", "64", "64", "0"],
     ["ipc://x", "64", "64", "30", "1", "DOE^JANE"], ["ipc://x", "64", "64", "30", "1", "x" * 49]],
)  # fmt: skip
def test_what_no_daemon_takes_is_said_at_once(clients, arguments: list[str]) -> None:
    done = subprocess.run([clients.send_frames, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "a daemon takes 64x64 to 4096x4096" in done.stderr


# ---------------------------------------------------------------- pictures


def messages() -> list[list[bytes]]:
    """Every kind of message there is, and one that is none."""
    frame = Frame(drawn(1, 80, 64), "probe-1", 812, 0, 0, session=5)
    engine = EngineId("speckle", "ab" * 32, "openvino_cpu", "int8")
    pixels = frame.pixels.tobytes()
    enhanced = Shown(frame, frame.pixels, Treatment.ENHANCED, engine=engine, strength=1.0, region=Box(0, 0, 9, 9))
    late, topic = original(frame, Why.LATE), wire.Topic.PICTURE.of("probe-1")
    live = wire.Flag.LIVE
    both = live | wire.Flag.HAS_ORIGINAL
    return [
        [topic, wire.encode_shown(enhanced, live, 12_345_000), pixels],
        [topic, wire.encode_shown(late, live | wire.Flag.STAND_IN, 0), pixels],
        [topic, b"no header", pixels],
        [topic, wire.encode_shown(enhanced, both, 0), pixels, pixels],
        [topic, wire.encode_notice(enhanced, wire.Flag(0), 80_000_000)],
        [topic, wire.encode_notice(enhanced, live | wire.Flag.FROZEN, 0)],
    ]


def test_one_line_for_each_picture(clients, context, tmp_path: Path) -> None:
    with bound(context, zmq.XPUB, f"ipc://{tmp_path}/pictures", SNDHWM=100) as daemon:
        command = [clients.watch_pictures, f"ipc://{tmp_path}/pictures", "picture/", "6"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watcher:
            assert daemon.recv() == b"\x01picture/"  # it has subscribed: nothing sent now is lost
            for message in messages():
                daemon.send_multipart(message)
            out, errors = watcher.communicate(timeout=30)
    assert watcher.returncode == 0
    start = "stream=probe-1 seq=812 "
    engine = "engine=speckle/openvino_cpu/int8"
    assert [line for line in out.splitlines() if "nothing heard" not in line] == [
        f'{start}treatment=enhanced reason="enhanced" {engine} age_ms=12.345',
        f'{start}treatment=original reason="late" engine=-// age_ms=0.000 stand-in',
        f'{start}treatment=enhanced reason="enhanced" {engine} age_ms=0.000',
        f'{start}treatment=notice reason="enhanced" {engine} age_ms=80.000 NOT LIVE',
        f'{start}treatment=notice reason="enhanced" {engine} age_ms=0.000 FROZEN',
    ]
    assert errors == "watch_pictures: a message was refused: malformed\n"


def test_a_daemon_that_says_nothing_is_not_live(clients, context, tmp_path: Path) -> None:
    with bound(context, zmq.XPUB, f"ipc://{tmp_path}/pictures") as daemon:
        command = [clients.watch_pictures, f"ipc://{tmp_path}/pictures", "picture/probe-1/", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
            assert daemon.recv() == b"\x01picture/probe-1/"
            assert watcher.stdout is not None
            assert watcher.stdout.readline() == "NOT LIVE: nothing heard for 750 ms\n"
            daemon.send_multipart([wire.Topic.PICTURE.of("probe-1"), *messages()[0][1:]])
            assert "treatment=enhanced" in watcher.communicate(timeout=30)[0]


# ---------------------------------------------------------------- the header itself


def test_the_structures_lie_as_the_page_says(tmp_path: Path) -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| [\w\[\]]+ \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    ends = [number for number, row in enumerate(rows) if row[0] == "0"]
    assert len(ends) == 2
    lines, expected = [], []
    for number, (offset, size, name) in enumerate(rows):
        kind = "limpid_frame" if number < ends[1] else "limpid_shown"
        lines.append(f'printf("%zu %zu\\n", offsetof({kind}, {name}), sizeof(({kind} *)0)->{name});')
        expected.append(f"{offset} {size}")
    source = tmp_path / "places.c"
    source.write_text(f'#include <stdio.h>\n#include "limpid.h"\nint main(void) {{ {" ".join(lines)} return 0; }}\n')
    program = compile_c(source, tmp_path / "places")
    assert run([str(program)]).splitlines() == expected


@pytest.mark.parametrize(("compiler", "standard"), [("gcc", "c99"), ("gcc", "c11"), ("g++", "c++11"), ("g++", "c++17")])
def test_the_header_is_clean_in_c_and_cpp(tmp_path: Path, compiler: str, standard: str) -> None:
    needs(compiler)
    source = tmp_path / ("use.cpp" if "++" in compiler else "use.c")
    source.write_text(
        '#include "limpid.h"\n'
        "int main(void) { limpid_frame frame; limpid_shown shown; size_t sizes[1] = {0};\n"
        '  if (limpid_frame_init(&frame, "probe-1", LIMPID_RGB8, 8, 640, 480) != LIMPID_OK) return 1;\n'
        "  if (limpid_read_frame(&frame, &frame, sizeof frame, 640 * 480 * 3) != LIMPID_OK) return 2;\n"
        "  return limpid_read_shown(&shown, &frame, sizeof frame, sizes, 1) == LIMPID_MALFORMED ? 0 : 3; }\n"
    )
    flags = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", f"-I{SOURCES}"]
    run([compiler, f"-std={standard}", *flags, str(source), "-o", str(tmp_path / "use")])
    run([str(tmp_path / "use")])


def test_a_big_endian_machine_is_refused(tmp_path: Path) -> None:
    needs("gcc")
    source = tmp_path / "use.c"
    source.write_text('#include "limpid.h"\nint main(void) { return 0; }\n')
    flags = ["-U__BYTE_ORDER__", "-D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__", "-w", f"-I{SOURCES}"]
    done = subprocess.run(["gcc", *flags, "-fsyntax-only", source], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "little-endian" in done.stderr
