"""What archives' answers mean: DIMSE statuses, STOW-RS bodies, reports on storage commitment."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from edge.errors import SinkRejected, SinkUnavailable
from edge.sinks import Receipt, _status, _stow
from edge.sinks._commitment import read_report

UID = "2.25.42"


def test_zero_alone_is_success_without_a_word() -> None:
    assert _status.receipt(0x0000) == Receipt()


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xB123, 0x0001, 0x0107, 0x0116])
def test_a_warning_is_success_that_stays_visible(status: int) -> None:
    receipt = _status.receipt(status)
    assert receipt.status == status
    assert f"0x{status:04X}" in receipt.warning


@pytest.mark.parametrize("status", [0x0117, 0x0122, 0x0111, 0xA900, 0xA9FF, 0xC000, 0xCFFF])
def test_what_is_wrong_with_the_object_is_for_good(status: int) -> None:
    with pytest.raises(SinkRejected, match=f"0x{status:04X}"):
        _status.receipt(status)


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0110, 0x0124, 0x0210, 0x0213, 0xFE00, 0xFF00, 0x1234])
def test_what_is_wrong_with_the_archive_passes(status: int) -> None:
    with pytest.raises(SinkUnavailable, match=f"0x{status:04X}"):
        _status.receipt(status)


@given(st.integers(1, 0xFFFF))
def test_no_other_status_is_silent_success(status: int) -> None:
    with contextlib.suppress(SinkRejected, SinkUnavailable):
        assert _status.receipt(status).warning


def body(**sequences: list[dict[str, object]]) -> bytes:
    tags = {"stored": _stow.STORED, "failed": _stow.FAILED}
    return json.dumps({tags[name]: {"vr": "SQ", "Value": items} for name, items in sequences.items()}).encode()


def item(uid: str = UID, **numbers: int) -> dict[str, object]:
    tags = {"failure": _stow.FAILURE_REASON, "warning": _stow.WARNING_REASON}
    found: dict[str, object] = {tags[name]: {"vr": "US", "Value": [number]} for name, number in numbers.items()}
    return {_stow.SOP_UID: {"vr": "UI", "Value": [uid]}, **found}


JSON = "application/dicom+json; charset=utf-8"


def test_stored_is_stored() -> None:
    assert _stow.read(200, JSON, body(stored=[item()]), UID) == Receipt()


def test_a_warning_in_the_answer_stays_visible() -> None:
    receipt = _stow.read(202, JSON, body(stored=[item(warning=0xB000)]), UID)
    assert receipt.status == 0xB000
    assert receipt.warning


@pytest.mark.parametrize("status", [200, 202, 409])
def test_an_instance_that_failed_is_not_stored_whatever_the_http_status(status: int) -> None:
    answer = body(stored=[item("2.25.7")], failed=[item(failure=0xA900)])
    with pytest.raises(SinkRejected, match="0xA900"):
        _stow.read(status, JSON, answer, UID)


def test_409_may_mean_out_of_resources() -> None:
    with pytest.raises(SinkUnavailable, match="0xA700"):
        _stow.read(409, JSON, body(failed=[item(failure=0xA700)]), UID)


def test_409_may_mean_that_it_is_there_already() -> None:
    with pytest.raises(_stow.AlreadyThere):
        _stow.read(409, JSON, body(failed=[item(failure=0x0111)]), UID)


@pytest.mark.parametrize("status", [200, 202, 409])
@pytest.mark.parametrize("reason", [0xB000, 0xB00E, 0xBFFF, 0x0107])
def test_what_is_listed_as_failed_is_not_stored_though_its_reason_is_a_warning(status: int, reason: int) -> None:
    with pytest.raises(SinkUnavailable, match=f"0x{reason:04X}"):
        _stow.read(status, JSON, body(failed=[item(failure=reason)]), UID)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("application/dicom+json", b"[]"),
        ("Application/JSON; charset=utf-8", b"{}"),
        ("application/dicom+json", body(stored=[item("2.25.7")], failed=[])),
        ("application/dicom+xml", b"<NativeDicomModel/>"),
        ('multipart/related; type="application/dicom+xml"; boundary=b', b"--b\r\n\r\n<NativeDicomModel/>\r\n--b--"),
        ("text/html", b""),
        ("", b"\r\n"),
    ],
)
def test_a_200_of_an_archive_that_names_nothing_is_taken_with_a_word_on_it(kind: str, answer: bytes) -> None:
    receipt = _stow.read(200, kind, answer, UID)
    assert receipt.status == 0
    assert "does not name" in receipt.warning


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("text/html; charset=utf-8", "with text/html,"),
        ("application/xhtml+xml", "with application/xhtml\\+xml,"),
        ("text/plain", "with text/plain,"),
        ("", "with no content type,"),
        ("Doe^Jane", "with no content type,"),
    ],
)
def test_a_200_with_a_page_is_no_receipt(kind: str, said: str) -> None:
    with pytest.raises(SinkUnavailable, match=said):
        _stow.read(200, kind, b"<html><p>Sign in</p></html>", UID)


@pytest.mark.parametrize("kind", ["application/json", "application/dicom+json", "application/dicom+xml"])
def test_a_200_that_cannot_be_read_is_no_receipt(kind: str) -> None:
    with pytest.raises(SinkUnavailable, match="cannot be read"):
        _stow.read(200, kind, b"<html><p>Sign in", UID)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (JSON, body(failed=[item("2.25.7", failure=0xA700)])),
        ("APPLICATION/DICOM+JSON", body(failed=[item("2.25.7", failure=0xA700)])),
        ("multipart/related", b'--b\r\n\r\n<DicomAttribute tag="00081198"/>\r\n--b--'),
    ],
)
def test_a_200_that_tells_of_failures_and_names_nothing_is_no_receipt(kind: str, answer: bytes) -> None:
    with pytest.raises(SinkUnavailable, match="a failure"):
        _stow.read(200, kind, answer, UID)


@pytest.mark.parametrize("status", [202, 409])
@pytest.mark.parametrize(
    "answer", [b"", b"{", b"[]", b'{"00081198": 7}', body(failed=[item("2.25.7", failure=0xA900)])]
)
def test_an_answer_that_does_not_speak_of_our_instance_is_no_answer(status: int, answer: bytes) -> None:
    with pytest.raises(SinkUnavailable):
        _stow.read(status, JSON, answer, UID)


@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 502, 503])
def test_what_is_about_the_server_passes(status: int) -> None:
    with pytest.raises(SinkUnavailable, match=str(status)):
        _stow.read(status, JSON, body(stored=[item()]), UID)


@pytest.mark.parametrize("status", [400, 413, 415])
def test_what_is_about_the_object_is_for_good(status: int) -> None:
    with pytest.raises(SinkRejected, match=str(status)):
        _stow.read(status, "text/html", b"<html>no</html>", UID)


def test_xml_is_read_as_well() -> None:
    xml = f"""<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ"><Item number="1">
        <DicomAttribute tag="00081155" vr="UI"><Value number="1">{UID}</Value></DicomAttribute>
        <DicomAttribute tag="00081197" vr="US"><Value number="1">49152</Value></DicomAttribute>
        </Item></DicomAttribute></NativeDicomModel>"""
    with pytest.raises(SinkRejected, match="0xC000"):
        _stow.read(409, "application/dicom+xml", xml.encode(), UID)


@given(content=st.binary(max_size=200), status=st.sampled_from([202, 409]), kind=st.sampled_from(["json", "xml", ""]))
def test_no_rubbish_is_success(content: bytes, status: int, kind: str) -> None:
    with pytest.raises((SinkUnavailable, SinkRejected)):
        _stow.read(status, kind, content, UID)


def test_a_report_names_what_is_safe_and_what_is_not() -> None:
    report, safe, lost = Dataset(), Dataset(), Dataset()
    report.TransactionUID = "2.25.1"
    safe.ReferencedSOPInstanceUID, lost.ReferencedSOPInstanceUID = "2.25.2", "2.25.3"
    lost.FailureReason = 0x0112
    report.ReferencedSOPSequence, report.FailedSOPSequence = [safe], [lost]
    answer = read_report(report)
    assert answer.transaction == "2.25.1"
    assert answer.verdicts == {"2.25.2": True, "2.25.3": "no such object instance (0x0112)"}


def test_what_is_said_to_be_safe_and_lost_at_once_counts_as_lost() -> None:
    report, one = Dataset(), Dataset()
    report.TransactionUID = "2.25.1"
    one.ReferencedSOPInstanceUID = "2.25.2"
    report.ReferencedSOPSequence, report.FailedSOPSequence = [one], [one]
    assert read_report(report).verdicts["2.25.2"] is not True
