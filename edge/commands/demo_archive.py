"""The demo's archive: a small but real one. Takes C-STORE, answers C-ECHO, and reports what it holds when asked.

A process of its own, `python -m edge.commands.demo_archive FOLDER REPORT_PORT [PORT]`; its first line of output is the
port it listens on. For the demo alone: it knows nobody, keeps plain files, and is reachable from this machine only.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_file_meta_info
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import AllStoragePresentationContexts, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined] - made when it is imported
    StorageCommitmentPushModel,  # pyright: ignore[reportAttributeAccessIssue]
    StorageCommitmentPushModelInstance,  # pyright: ignore[reportAttributeAccessIssue]
    Verification,  # pyright: ignore[reportAttributeAccessIssue]
)

TITLE = "DEMO"
SYNTAXES = [
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
]  # JPEG-LS lossless, explicit, implicit
SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
NOT_HELD = 0x0112
EVERYTHING_SAFE, SOMETHING_MISSING = 1, 2


class Archive:
    """Called by pynetdicom's threads, one an association. A file is there whole or not at all."""

    def __init__(self, folder: Path, report_port: int) -> None:
        self._folder, self._report_port = folder, report_port
        self._entity = ApplicationEntity(TITLE)
        for context in AllStoragePresentationContexts:
            self._entity.add_supported_context(context.abstract_syntax or "", SYNTAXES)
        self._entity.add_supported_context(Verification)
        self._entity.add_supported_context(StorageCommitmentPushModel)

    def open(self, port: int = 0) -> int:
        """Listens from now on, on the port it answers with; 0 is any that is free."""
        handlers: Any = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._asked)]
        server = self._entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        assert server is not None
        return int(server.server_address[1])

    def close(self) -> None:
        self._entity.shutdown()

    def _path(self, sop_uid: str) -> Path:
        return self._folder / f"{Path(sop_uid).name}.dcm"

    def _store(self, event: evt.Event) -> int:
        request: Any = event.request
        path = self._path(str(request.AffectedSOPInstanceUID))
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(b"\0" * 128 + b"DICM")
                write_file_meta_info(DicomFileLike(file), event.file_meta)
                file.write(request.DataSet.getvalue())
            part.replace(path)
        except OSError:
            return OUT_OF_RESOURCES
        return SUCCESS

    def _asked(self, event: evt.Event) -> tuple[int, None]:
        """Storage commitment: taken note of now, answered on an association of our own."""
        threading.Thread(target=self._report, args=(event.action_information,), daemon=True).start()
        return SUCCESS, None

    def _report(self, asked: Dataset) -> None:
        report, missing = self._found(asked)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        caller = ApplicationEntity(TITLE)
        caller.add_requested_context(StorageCommitmentPushModel)
        negotiation: list[SCP_SCU_RoleSelectionNegotiation] = [role]
        association = caller.associate("127.0.0.1", self._report_port, ext_neg=negotiation)  # type: ignore[arg-type]
        if not association.is_established:
            return  # the appliance asks again
        kind = SOMETHING_MISSING if missing else EVERYTHING_SAFE
        association.send_n_event_report(report, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        association.release()

    def _found(self, asked: Dataset) -> tuple[Dataset, int]:
        held: list[Dataset] = []
        missing: list[Dataset] = []
        for item in asked.ReferencedSOPSequence:
            reference = Dataset()
            reference.ReferencedSOPClassUID = item.ReferencedSOPClassUID
            reference.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
            if self._path(str(item.ReferencedSOPInstanceUID)).exists():
                held.append(reference)
            else:
                reference.FailureReason = NOT_HELD
                missing.append(reference)
        report = Dataset()
        report.TransactionUID = asked.TransactionUID
        if held:
            report.ReferencedSOPSequence = held
        if missing:
            report.FailedSOPSequence = missing
        return report, len(missing)


def main() -> None:
    folder, report_port = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    archive = Archive(folder, report_port)
    print(archive.open(int(sys.argv[3]) if len(sys.argv) > 3 else 0), flush=True)
    sys.stdin.read()  # until whoever started us is gone
    archive.close()


if __name__ == "__main__":
    main()
