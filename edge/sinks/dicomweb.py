"""DICOMweb: STOW-RS, streaming, over one kept connection a sending thread; confirmed by reading back."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import threading
import urllib.parse
from collections.abc import Generator, Iterator, Sequence
from typing import Annotated, BinaryIO, Literal

import msgspec

from edge.config import Tls
from edge.errors import ConfigError, SinkRejected, SinkUnavailable
from edge.sinks import Answer, Parcel, Receipt, Sink, _stow
from edge.sinks._bearer import Bearer, Tokens
from edge.sinks._plain import data_set
from edge.sinks._readback import same_data_set
from edge.sinks._tls import client_context

BLOCK = 256 << 10
BOUNDARY = "limpid-part-a3f61c5e90b84d27"
MOST_ANSWER = 16 << 20
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str  # the root: .../dicom-web
    connections: Annotated[int, msgspec.Meta(ge=1, le=4)] = 2
    confirm: Literal["instance", "metadata", "never"] = "instance"  # read it all back, see that it is there, or trust
    bearer: Bearer | None = None
    tls: Tls | None = None
    answer_s: Seconds = 120.0


def open_sink(name: str, options: Options) -> Sink:
    return DicomwebSink(name, options)


class DicomwebSink:
    def __init__(self, name: str, options: Options) -> None:
        where = f"destination.{name}.dicomweb"
        url = urllib.parse.urlsplit(options.url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(f"[{where}] url is not an http(s):// address")
        self._options = options
        self._host, self._port, self._root = url.hostname, url.port, url.path.rstrip("/")
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = client_context(options.tls or Tls(), f"{where}.tls")
        self._tokens = Tokens(options.bearer, f"{where}.bearer", self._tls) if options.bearer else None
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []  # whoever takes one owns it
        self._answers: list[Answer] = []  # written and taken by the destination's first thread

    @property
    def lanes(self) -> int:
        return self._options.connections

    @property
    def confirms(self) -> bool:
        return self._options.confirm != "never"

    def send(self, parcel: Parcel) -> Receipt:
        head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{BOUNDARY}--\r\n".encode()
        with parcel.open() as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            headers = {
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
                "Content-Length": str(len(head) + size + len(tail)),
                "Accept": "application/dicom+json",
            }
            status, kind, body = self._exchange("POST", "/studies", headers, _body(head, stream, tail))
        try:
            return _stow.read(status, kind, body, parcel.sop_uid)
        except _stow.AlreadyThere as refusal:
            if self._holds(parcel, whole=True) is True:
                return Receipt(f"{refusal}; it is the very same")
            raise SinkRejected(f"{refusal}, and it is not ours") from None

    def ask(self, transaction: str, parcels: Sequence[Parcel]) -> None:
        whole = self._options.confirm == "instance"
        for parcel in parcels:
            self._answers.append(Answer(transaction, {parcel.sop_uid: self._holds(parcel, whole=whole)}))

    def answers(self) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    def check(self) -> str:
        status, _, _ = self._exchange("GET", "/instances?limit=1", {"Accept": "application/dicom+json"})
        if status not in (200, 204):
            raise SinkUnavailable(f"a query is answered {status}" + (" (not authorised)" * (status in (401, 403))))
        return f"QIDO-RS answered {status}"

    def rest(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        self.rest()

    def _holds(self, parcel: Parcel, *, whole: bool) -> bool | str:
        """Whether the archive has this instance: a query, then the instance itself (or its metadata)."""
        query = urllib.parse.urlencode({"SOPInstanceUID": parcel.sop_uid, "limit": 1})
        status, _, body = self._exchange("GET", f"/instances?{query}", {"Accept": "application/dicom+json"})
        if status not in (200, 204):
            raise SinkUnavailable(f"a query is answered {status}")
        path = _stow.instance_path(body)
        if path is None:
            return "it is not there"
        if not whole:
            status, _, _ = self._exchange("GET", f"{path}/metadata", {"Accept": "application/dicom+json"})
            return True if status == 200 else f"its metadata is answered {status}"
        return self._same(parcel, path)

    def _same(self, parcel: Parcel, path: str) -> bool | str:
        headers = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        with self._connection() as connection, parcel.open() as ours:
            answer = self._ask(connection, "GET", path, headers)
            if answer.status != 200:
                answer.read(MOST_ANSWER)
                return f"it is answered {answer.status}"
            data_set(ours, parcel)
            same = same_data_set(answer, ours)
            if not answer.isclosed():
                connection.close()  # what is left of it is of no interest
            return True if same else "what it has is not what was sent"

    def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: Iterator[bytes] | None = None
    ) -> tuple[int, str, bytes]:
        with self._connection() as connection:
            answer = self._ask(connection, method, path, headers, body)
            content = answer.read(MOST_ANSWER)
            return answer.status, answer.headers.get("Content-Type", ""), content

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Iterator[bytes] | None = None,
    ) -> http.client.HTTPResponse:
        token = self._tokens.get() if self._tokens else ""
        if token:
            headers = {**headers, "Authorization": f"Bearer {token}"}
        # An archive that refuses may close before it has read everything: its answer is there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, self._root + path, body, headers)
        answer = connection.getresponse()
        if answer.status == 401 and self._tokens:
            self._tokens.refused(token)
        return answer

    @contextlib.contextmanager
    def _connection(self) -> Generator[http.client.HTTPConnection, None, None]:
        """One from the pool, or a new one. It goes back only if everything went well."""
        with self._lock:
            connection = self._idle.pop() if self._idle else self._new()
        try:
            yield connection
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise SinkUnavailable(f"{self._host}: {type(error).__name__}") from error
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)

    def _new(self) -> http.client.HTTPConnection:
        timeout = self._options.answer_s
        if self._tls:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)


def _body(head: bytes, stream: BinaryIO, tail: bytes) -> Iterator[bytes]:
    yield head
    while block := stream.read(BLOCK):
        yield block
    yield tail
