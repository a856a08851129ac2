"""Captures by a real live process, from the button to what lies in the outbox, whatever the world does to it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.client import Control
from edge.dicom.stored import Stored
from edge.errors import ConfigError
from edge.outbox import Capture, Outbox, Settings
from tests.archives import need
from tests.system.process import ROOT, Daemon, Scanner, running, wait_until

pytestmark = pytest.mark.timeout(180)
DCIODVFY = "/usr/bin/dciodvfy"
PATIENT = {"name": "PHANTOM^ONE", "id": "PH-0001", "birth_date": "19700203", "sex": "F"}


def config(home: Path, more: str = "") -> str:
    return f'[outbox]\nfolder = "{home}/outbox"\nleast_free_mb = 0\nwatermark_percent = 100\n{more}'


def box(home: Path) -> Outbox:
    return Outbox(home / "outbox", Settings(folder=str(home / "outbox"), least_free_mb=0, watermark_percent=100))


class Cart:
    """A daemon, its scanner and its control socket."""

    def __init__(self, daemon: Daemon, scanner: Scanner) -> None:
        self.daemon = daemon
        self.scanner = scanner

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        return Control(f"ipc://{self.daemon.home}/control", timeout_s=60).ask(do, **more)

    def meanwhile(self, do: str, playing: float, **more: Any) -> dict[str, Any]:
        """Ask while the scanner goes on."""
        self.scanner.send(0.2)
        with ThreadPoolExecutor(1) as other:
            answer = other.submit(self.ask, do, **more)
            self.scanner.send(playing)
            return answer.result(60)

    def captures(self) -> list[Capture]:
        return box(self.daemon.home).captures()

    def capture(self, name: str) -> Capture:
        return next(capture for capture in self.captures() if capture.id == name)

    def let_go(self, *names: str) -> None:
        wait_until(lambda: all(not self.capture(name).held for name in names), "the captures are let go", self.daemon)


@contextlib.contextmanager
def cart(home: Path, more: str = "") -> Iterator[Cart]:
    with running(home, config(home, more)) as daemon:
        scanner = Scanner(daemon)
        try:
            scanner.send(0.3)
            yield Cart(daemon, scanner)
        finally:
            scanner.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cart]:
    with cart(tmp_path_factory.mktemp("cart")) as made:
        made.ask("exam-open", patient=PATIENT, body_part="ABDOMEN")
        made.scanner.send(2.0)  # whether enhanced by now or not: a busy machine shows originals, and both are captured
        yield made


def is_sent_picture(scanner: Scanner, pixels: np.ndarray) -> bool:
    return any(np.array_equal(pixels, sent) for sent in scanner._pictures)


def verify(cart: Cart, capture: Capture, tmp_path: Path) -> None:
    """Bit-identical to what was sent; nothing for dciodvfy to complain of."""
    need(DCIODVFY)
    outbox = box(cart.daemon.home)
    for one in capture.objects:
        with outbox.read(capture, one) as file:
            stored = Stored(file)
            assert stored.frames == one.frames
            if one.role == "original":
                assert all(is_sent_picture(cart.scanner, pixels) for pixels in stored.each_frame())
            file.seek(0)
            path = tmp_path / one.name
            path.write_bytes(file.read())
        done = subprocess.run([DCIODVFY, str(path)], capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        complaints = [line for line in said.splitlines() if line.startswith(("Error", "Warning"))]
        assert complaints == [], complaints


KINDS: dict[str, Callable[[Cart], dict[str, Any]]] = {
    "still": lambda cart: cart.meanwhile("capture-still", 0.2),
    "back": lambda cart: cart.meanwhile("capture-back", 0.2, seconds=1.0),
    "burst": lambda cart: cart.meanwhile("capture-burst", 1.0, count=3, every_ms=60),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_capture_is_a_valid_pair_with_the_very_frames_that_were_sent(
    shared: Cart, kind: str, tmp_path: Path
) -> None:
    shared.scanner.send(1.2)
    answer = KINDS[kind](shared)
    assert answer["captures"]
    shared.let_go(*answer["captures"])
    for name in answer["captures"]:
        capture = shared.capture(name)
        assert [one.role for one in capture.objects] == ["original", "enhanced"]
        assert {one.transfer_syntax for one in capture.objects} == {"1.2.840.10008.1.2.4.80"}
        verify(shared, capture, tmp_path)


def test_a_clip_forward_holds_the_frames_in_their_order(shared: Cart, tmp_path: Path) -> None:
    shared.ask("capture-clip-start")
    shared.scanner.send(0.8)
    answer = shared.ask("capture-clip-stop")
    shared.let_go(*answer["captures"])
    capture = shared.capture(answer["captures"][0])
    verify(shared, capture, tmp_path)
    with box(shared.daemon.home).read(capture, capture.objects[0]) as file:
        order = [_number(shared.scanner, pixels) for pixels in Stored(file).each_frame()]
    steps = [(after - before) % 6 for before, after in pairwise(order)]
    assert sum(step - 1 for step in steps if step > 1) <= answer["missing_frames"]
    assert 0 not in steps


def _number(scanner: Scanner, pixels: np.ndarray) -> int:
    return next(at for at, sent in enumerate(scanner._pictures) if np.array_equal(pixels, sent))


def test_a_frozen_picture_is_what_is_captured(shared: Cart) -> None:
    shared.scanner.send(0.3)
    shared.ask("freeze")
    try:
        shared.scanner.send(0.3)
        first, second = (shared.meanwhile("capture-still", 0.3) for _ in range(2))
    finally:
        shared.ask("unfreeze")
    outbox = box(shared.daemon.home)
    frames = []
    for answer in (first, second):
        capture = shared.capture(answer["captures"][0])
        with outbox.read(capture, capture.objects[0]) as file:
            frames.append(Stored(file).frame(0))
    assert np.array_equal(*frames)
    assert second["age_ms"] > first["age_ms"] > 200


def test_the_control_socket_answers_others_while_a_clip_is_being_stored(shared: Cart) -> None:
    shared.scanner.send(3.0)
    order: list[str] = []
    storing = threading.Thread(target=lambda: (shared.ask("capture-back", seconds=3.0), order.append("stored")))
    storing.start()
    while storing.is_alive() and len(order) < 5:
        shared.ask("status")
        order.append("status")
    storing.join(60)
    assert order[0] == "status"


def test_the_commands_press_the_button_and_say_no_in_one_line(shared: Cart) -> None:
    control = f"ipc://{shared.daemon.home}/control"
    shared.scanner.send(0.3)

    def limpid(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "edge", *words, "--control", control]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    done = limpid("capture", "still", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert shared.capture(answer["captures"][0]).record.kind == "still"
    shown = limpid("exam", "show")
    assert answer["exam"] in shown.stdout
    wrong = limpid("capture", "clip", "stop")
    assert wrong.returncode != 0
    assert wrong.stderr.strip().splitlines() == ["limpid: no clip of stream test is being recorded"]
    for output in (done.stdout, shown.stdout, wrong.stderr):
        assert not any(secret in output for secret in PATIENT.values() if len(secret) > 1)


# ------------------------------------------------ exams


def test_an_emergency_is_held_until_it_is_corrected_and_then_carries_the_right_name(tmp_path: Path) -> None:
    with cart(tmp_path) as made:
        still = made.meanwhile("capture-still", 0.3)
        clip = made.meanwhile("capture-back", 0.3, seconds=0.5)
        names = [*still["captures"], *clip["captures"]]
        assert still["opened_exam"]
        assert all(made.capture(name).held for name in names)
        answer = made.ask("exam-correct", patient=PATIENT)
        assert sorted(answer["captures"]) == sorted(names)
        assert not answer["copies"]
        for name in names:
            assert not made.capture(name).held
            verify(made, made.capture(name), tmp_path)
            for elements in _elements(made, name):
                assert (elements.PatientName, elements.PatientID) == (PATIENT["name"], PATIENT["id"])
        after = made.meanwhile("capture-still", 0.3)
        assert not after["held"]


def test_a_wrong_name_becomes_corrected_copies_and_what_was_not_sent_stays_here(tmp_path: Path) -> None:
    with cart(tmp_path) as made:
        made.ask("exam-open", patient={"name": "PHANTOM^WRONG", "id": "PH-9999"})
        (old,) = made.meanwhile("capture-still", 0.3)["captures"]
        made.let_go(old)
        before = {one.sop_uid for one in made.capture(old).objects}
        answer = made.ask("exam-correct", patient=PATIENT)
        assert answer["copies"]
        (new,) = answer["captures"]
        assert [capture.id for capture in made.captures()] == [new]
        copy = made.capture(new)
        assert not before & {one.sop_uid for one in copy.objects}
        assert copy.exam_uid == answer["exam"]
        verify(made, copy, tmp_path)
        assert {str(elements.PatientName) for elements in _elements(made, new)} == {PATIENT["name"]}


def _elements(cart: Cart, name: str) -> list[Any]:
    outbox, capture = box(cart.daemon.home), cart.capture(name)
    found = []
    for one in capture.objects:
        with outbox.read(capture, one) as file:
            found.append(Stored(file).elements)
    return found


# ------------------------------------------------ what the world does


def test_a_disk_that_is_too_full_is_said_at_once_and_costs_no_picture(tmp_path: Path) -> None:
    with running(tmp_path, f'[outbox]\nfolder = "{tmp_path}/outbox"\nleast_free_mb = 100000000\n') as daemon:
        scanner = Scanner(daemon)
        made = Cart(daemon, scanner)
        try:
            scanner.send(0.3)
            with pytest.raises(ConfigError, match="not stored: the disk is too full"):
                made.ask("capture-still")
            assert scanner.send(0.5)
        finally:
            scanner.close()
        assert not list((tmp_path / "outbox").glob("captures/*"))
        wait_until(lambda: any(event["event"] == "capture.refused" for event in daemon.events()), "it is told", daemon)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB of its own."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up_while_it_is_written_leaves_nothing_half(small_disk: Path, tmp_path: Path) -> None:
    settings = f'[outbox]\nfolder = "{small_disk}/outbox"\nleast_free_mb = 0\nwatermark_percent = 100\n'
    with running(tmp_path, settings + '[capture]\ncompression = "none"\n') as daemon:
        scanner = Scanner(daemon)
        made = Cart(daemon, scanner)
        try:
            scanner.send(0.8)
            (stored,) = made.ask("capture-still")["captures"]
            with pytest.raises(ConfigError, match="the disk is full"):
                made.ask("capture-back", seconds=0.7)
            assert [path.name for path in (small_disk / "outbox/captures").iterdir()] == [stored]
            assert made.ask("capture-still")["captures"]  # there is room for a still yet
        finally:
            scanner.close()


def test_a_disk_that_became_read_only_is_said_at_once(small_disk: Path, tmp_path: Path) -> None:
    settings = f'[outbox]\nfolder = "{small_disk}/outbox"\nleast_free_mb = 0\nwatermark_percent = 100\n'
    with running(tmp_path, settings) as daemon:
        scanner = Scanner(daemon)
        made = Cart(daemon, scanner)
        try:
            scanner.send(0.3)
            made.ask("exam-open")
            subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
            with pytest.raises(ConfigError, match=r"[Rr]ead-only"):
                made.ask("capture-still")
            closed = made.ask("exam-close")  # the next patient must not be this one
            assert closed["captures"] == []
            assert made.ask("exam-show")["recorded"] is False
            subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
            scanner.send(0.3)
            assert made.ask("capture-still")["captures"]
        finally:
            scanner.close()


def test_what_was_acknowledged_is_there_after_kill_9_and_is_let_go_by_the_next_process(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for _ in range(3):
        with cart(tmp_path) as made:
            if made.ask("exam-show")["exam"] is None:
                made.ask("exam-open", patient=PATIENT)
            acknowledged += made.meanwhile("capture-still", 0.3)["captures"]
            pressing = threading.Thread(target=_press, args=(made, acknowledged))
            pressing.start()
            made.scanner.send(0.25)
            os.kill(made.daemon.process.pid, 9)
            pressing.join(20)
    with cart(tmp_path) as made:
        made.let_go(*acknowledged)
        assert {capture.id for capture in made.captures()} >= set(acknowledged)
        for name in acknowledged:
            verify(made, made.capture(name), tmp_path)
        assert not list((tmp_path / "outbox/captures").glob("*.tmp"))


def _press(cart: Cart, acknowledged: list[str]) -> None:
    with contextlib.suppress(Exception):  # the process is killed under it
        for _ in range(5):
            acknowledged.extend(
                Control(f"ipc://{cart.daemon.home}/control", timeout_s=3).ask("capture-still")["captures"]
            )
