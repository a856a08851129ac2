"""kill -9 of every process at moments nobody chose, with a real archive: what was acknowledged arrives, once, whole."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest

from edge.dicom.stored import Stored
from tests.archives import Orthanc, data_set_of, free_port, orthanc, until
from tests.system.striking import strike
from tests.system.whole import PATIENT, Appliance, EndlessScanner, Ledger, Presser, appliance, frames_sum, number_of


def kill_again_and_again(made: Appliance, presser: Presser, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    while sum(count for what, count in made.struck.items() if what.endswith(" killed")) < kills:
        strike(made, presser, chance)


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
            found = Stored(BytesIO(archive.file_of(there[uid])))
            assert found.frames == told.frames
            assert str(found.elements.PatientID) == PATIENT["id"]
            assert told.sums is None or told.sums[role] == frames_sum(found), (name, role)


def check_every_instance(archive: Orthanc) -> None:
    """Also of what nobody was told of: whole pairs, the frames that were sent, in their order."""
    there = archive.instances()
    for own_id in there.values():
        found = Stored(BytesIO(archive.file_of(own_id)))
        kind = "SourceImageSequence" if found.elements.ImageType[0] == "DERIVED" else "ReferencedImageSequence"
        assert found.elements[kind].value[0].ReferencedSOPInstanceUID in there, "half a pair"
        frames = list(found.each_frame())
        assert len(frames) == found.frames
        if kind == "ReferencedImageSequence":
            numbers = [number_of(pixels) for pixels in frames]
            assert numbers == sorted(set(numbers))


def check_every_byte(archive: Orthanc, ledger: Ledger) -> None:
    """Each object there is, byte for byte, one that lay whole in the outbox."""
    stored = ledger.sums()
    for uid, own_id in archive.instances().items():
        assert hashlib.sha256(data_set_of(archive.file_of(own_id))).hexdigest() in stored, f"{uid} never lay there so"


def _came_once(archive: Orthanc) -> bool:
    changes = json.loads(archive.ask("/changes?limit=100000"))["Changes"]
    came = Counter(one["ID"] for one in changes if one["ChangeType"] == "NewInstance")
    return set(came.values()) == {1} and set(came) == set(archive.instances().values())


def never_lost(tmp_path: Path, kills: int, seed: int, patience_s: float) -> None:
    report_port = free_port()
    with (
        orthanc(tmp_path / "orthanc", report_port=report_port) as archive,
        appliance(tmp_path / "a", archive, report_port) as made,
    ):
        made.start_missing()
        made.control.ask("exam-open", patient=PATIENT)
        scanner = EndlessScanner(f"ipc://{made.home}/frames")
        presser = Presser(made.home, made.outbox(), seed)
        ledger = Ledger(made.home / "outbox", tmp_path / "ledger")
        for thread in (scanner, presser, ledger):
            thread.start()
        try:
            until(lambda: presser.told, "the first capture is acknowledged", 60)
            kill_again_and_again(made, presser, kills, seed)
        finally:
            presser.stop()
            scanner.stop()
        let_finish(made, patience_s)
        ledger.stop()
        check_every_byte(archive, ledger)
        check_what_arrived(archive, made, presser)
        check_every_instance(archive)
        assert _came_once(archive)
        for what in ("live", "forward"):
            assert "Traceback" not in made.log(what)
        report(made, presser, archive, seed)


def report(made: Appliance, presser: Presser, archive: Orthanc, seed: int) -> None:
    kills = sum(count for what, count in made.struck.items() if what.endswith(" killed"))
    print(f"seed {seed}: {kills} kills, {len(presser.told)} captures acknowledged, {len(archive.instances())} objects")
    print("  ", ", ".join(f"{what}: {count}" for what, count in sorted(made.struck.items())))


@pytest.mark.timeout(300)
def test_killed_anywhere_ten_times_everything_acknowledged_arrives_once(tmp_path: Path) -> None:
    never_lost(tmp_path, kills=10, seed=10, patience_s=90)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_killed_anywhere_two_hundred_times_everything_acknowledged_arrives_once(tmp_path: Path, seed: int) -> None:
    """Four times fifty, each against an archive of its own, so that one that fails can be run again by its seed."""
    never_lost(tmp_path, kills=50, seed=seed, patience_s=600)
