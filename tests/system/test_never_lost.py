"""kill -9 of every process at moments nobody chose, with a real archive: what was acknowledged arrives, once, whole."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest

from edge.dicom.stored import Stored
from tests.archives import Orthanc, free_port, orthanc, until
from tests.system.whole import PATIENT, Appliance, EndlessScanner, Presser, appliance, frames_sum, number_of

VICTIMS = {"live": 4, "forward": 4, "darkroom": 2}


def kill_again_and_again(made: Appliance, kills: int, seed: int) -> None:
    chance, moment = random.Random(seed), threading.Event()
    for _ in range(kills):
        whom = chance.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        made.start_missing(wait=chance.random() < 0.9)  # sometimes it is struck before it has begun
        moment.wait(chance.uniform(0.0, 1.2))  # any moment will do: this is what is being tried
        made.kill(whom)


def let_finish(made: Appliance, patience_s: float) -> None:
    """Undisturbed, everything is sent, confirmed and removed. The forwarder takes away what is safe when it starts."""
    made.start_missing()
    outbox = made.outbox()
    states = lambda: [capture.state(one, "pacs") for capture in outbox.captures() for one in capture.objects]  # noqa: E731
    until(lambda: set(states()) <= {"confirmed"}, f"all is confirmed: {Counter(states())}", patience_s)
    made.stop()
    made.start_missing()
    until(lambda: outbox.captures() == [], "what is safe is removed", 60)
    assert outbox.audit.verify().faults == ()
    assert outbox.broken() == []


def check_what_arrived(archive: Orthanc, made: Appliance, presser: Presser) -> None:
    there, stored = archive.instances(), made.stored_uids()
    lost = [name for name in presser.told if not there.keys() >= set(stored.get(name, ["not in the audit log"]))]
    assert lost == [], "acknowledged, and not there whole"
    for name, told in presser.told.items():
        for role, uid in zip(("original", "enhanced"), stored[name], strict=True):
            found = Stored(BytesIO(archive.file(uid)))
            assert found.frames == told.frames
            assert str(found.elements.PatientID) == PATIENT["id"]
            assert told.sums is None or told.sums[role] == frames_sum(found), (name, role)


def check_every_instance(archive: Orthanc) -> None:
    """Also of what nobody was told of: whole pairs, the frames that were sent, in their order."""
    there = archive.instances()
    for uid in there:
        found = Stored(BytesIO(archive.file(uid)))
        kind = "SourceImageSequence" if found.elements.ImageType[0] == "DERIVED" else "ReferencedImageSequence"
        assert found.elements[kind].value[0].ReferencedSOPInstanceUID in there, "half a pair"
        frames = list(found.each_frame())
        assert len(frames) == found.frames
        if kind == "ReferencedImageSequence":
            numbers = [number_of(pixels) for pixels in frames]
            assert numbers == sorted(set(numbers))


def _came_once(archive: Orthanc) -> bool:
    changes = json.loads(archive.ask("/changes?limit=100000"))["Changes"]
    came = Counter(one["ID"] for one in changes if one["ChangeType"] == "NewInstance")
    return set(came.values()) == {1} and set(came) == set(archive.instances().values())


def never_lost(tmp_path: Path, kills: int, patience_s: float) -> None:
    report_port = free_port()
    with (
        orthanc(tmp_path / "orthanc", report_port=report_port) as archive,
        appliance(tmp_path / "a", archive, report_port) as made,
    ):
        made.start_missing()
        made.control.ask("exam-open", patient=PATIENT)
        scanner = EndlessScanner(f"ipc://{made.home}/frames")
        presser = Presser(made.home, made.outbox(), kills)
        scanner.start()
        presser.start()
        try:
            until(lambda: presser.told, "the first capture is acknowledged", 60)
            kill_again_and_again(made, kills, kills)
        finally:
            presser.stop()
            scanner.stop()
        let_finish(made, patience_s)
        check_what_arrived(archive, made, presser)
        check_every_instance(archive)
        assert _came_once(archive)
        for what in ("live", "forward"):
            assert "Traceback" not in made.log(what)
        print(f"{kills} kills, {len(presser.told)} captures acknowledged, {len(archive.instances())} objects there;",
              dict(made.struck))  # fmt: skip


@pytest.mark.timeout(300)
def test_killed_anywhere_ten_times_everything_acknowledged_arrives_once(tmp_path: Path) -> None:
    never_lost(tmp_path, kills=10, patience_s=90)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_killed_anywhere_two_hundred_times_everything_acknowledged_arrives_once(tmp_path: Path) -> None:
    never_lost(tmp_path, kills=200, patience_s=900)
