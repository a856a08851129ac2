"""Syslog as RFC 5424 writes it, framed as RFC 5425 wants it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from edge.syslog import Header, frame, record

WHEN = "2026-11-20T19:15:30.000+00:00"
# RFC 5424, section 6: version, timestamp, names of printable ASCII, one structured element, then text.
GRAMMAR = re.compile(
    rb"<\d{1,3}>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d) [!-~]{1,255} [!-~]{1,48} [!-~]{1,128} "
    rb'[!-~]{1,32} \[meta sequenceId="[1-9]\d*"\] \xef\xbb\xbf.*',
    re.DOTALL,
)


def test_a_record_as_it_goes_out():
    assert record(Header(WHEN, "cart-7", "outbox", 12), b"<x/>") == (
        b'<85>1 2026-11-20T19:15:30.000+00:00 cart-7 limpid outbox DICOM+RFC3881 [meta sequenceId="12"] '
        b"\xef\xbb\xbf<x/>"
    )


def test_a_frame_counts_octets_not_letters():
    assert frame("ü".encode()) == b"2 \xc3\xbc"


@given(st.text(max_size=400), st.text(max_size=200), st.integers(1, 1 << 40), st.binary(max_size=50))
def test_no_name_and_no_number_breaks_the_grammar(host: str, log: str, number: int, body: bytes):
    made = record(Header(WHEN, host, log, number), body)
    assert GRAMMAR.fullmatch(made)
    assert made.endswith(body)
    assert 1 <= int(made.split(b'sequenceId="')[1].split(b'"')[0]) <= 0x7FFFFFFF
