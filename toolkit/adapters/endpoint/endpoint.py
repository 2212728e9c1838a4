"""Ask an endpoint as its clients do: over TLS where it has a certificate, with a key, event by event."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from toolkit.adapters.http_chunks import possible_chunks
from toolkit.domain.bounds import ANSWER
from toolkit.domain.excerpt import brief
from toolkit.domain.outside import parse_mapping
from toolkit.domain.secret import Secret
from toolkit.errors import HostError, InputError
from toolkit.hostside.in_time import End, end_in_time
from toolkit.regular import read_regular

# Seconds without a whole answer, or without another line of a stream. The router gives a replica 30 minutes, and a
# person at a terminal less.
SILENCE = 600.0
# Seconds until a router has taken a connection, with TLS; a host that is off takes none and says nothing.
CONNECTING = 10.0
_EVENT = "data: "


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer that has begun: its status, its headers in lower case, and the texts of its body.

    The texts are the server-sent events of a stream, and otherwise the body in one piece.
    """

    status: int
    headers: Mapping[str, str]
    texts: Iterator[str]


class Endpoint:
    """A router, or a closed API, at the URL that its clients are given; errors call it `name`.

    With a `certificate`, the path of the operator's own on this machine, it must show exactly that one. A key is sent
    as a bearer token. After `silence` seconds without a whole answer, or without another line of a stream, it counts as
    lost.
    """

    def __init__(
        self,
        url: str,
        certificate: str = "",
        key: Secret | None = None,
        *,
        silence: float = SILENCE,
        name: str = "the router",
    ) -> None:
        self.url, self._silence, self._name = url, silence, name
        self._certificate, self._key = certificate, key

    def describe(self, model: str) -> Mapping[str, Any]:
        """Return the router's description of a model, empty where it has none.

        Raises HostError without an answer, and for one that no router gives.
        """
        with self._asked("GET", f"/v1/models/{quote(model)}") as opened:
            text = "".join(opened.texts)
        try:
            return parse_mapping(text, ANSWER) if opened.status == 200 else {}
        except ValueError as error:
            raise HostError(
                f"{self.url} answers as no router does: {brief(text, 80)!r}",
                hint="router_bind in the fleet file names the router's address",
            ) from error

    @contextmanager
    def ask(self, path: str, payload: Mapping[str, Any]) -> Iterator[Opened]:
        """Send a request; yields the answer as it comes, and closes the connection with the block.

        Raises HostError where the endpoint cannot be reached, shows another certificate, or breaks off.
        """
        with self._asked("POST", path, json.dumps(payload).encode()) as opened:
            yield opened

    @contextmanager
    def _asked(self, method: str, path: str, body: bytes | None = None) -> Iterator[Opened]:
        headers = {"Content-Type": "application/json"} if body else {}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        connection = self._connection()
        try:
            with self._told():
                self._connect(connection)
                end = end_in_time(connection, self._silence)
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                told = {name.lower(): value for name, value in answer.getheaders()}
                streamed = told.get("content-type", "").startswith("text/event-stream")
                texts = _events(answer, end) if streamed else iter([_whole(answer)])
            # The caller's own work on the answer may fail too, and that is no fault of the endpoint.
            with answer:
                yield Opened(answer.status, told, self._each(texts))
        finally:
            connection.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell an error of the connection as that of the endpoint."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise HostError(
                f"{self._name} at {self.url} broke off or did not answer: {error}",
                hint="toolkit status",
            ) from error

    def _each(self, texts: Iterator[str]) -> Iterator[str]:
        with self._told():
            yield from texts

    def _connection(self) -> http.client.HTTPConnection:
        address = urlsplit(self.url)
        host = address.hostname or ""
        if address.scheme != "https":
            return http.client.HTTPConnection(host, address.port, timeout=CONNECTING)
        context = ssl.create_default_context()
        if self._certificate:
            # The address may be none of the certificate's names; `_connect` compares the certificate itself.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(host, address.port, timeout=CONNECTING, context=context)

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        """Connect, and require the operator's certificate before the key is sent."""
        connection.connect()
        connection.sock.settimeout(self._silence)
        if isinstance(connection.sock, ssl.SSLSocket) and self._certificate:
            shown = connection.sock.getpeercert(binary_form=True)
            if shown != _first_certificate(Path(self._certificate)):
                raise HostError(
                    f"{self._name} at {self.url} shows another certificate than {self._certificate}",
                    hint="toolkit provision",
                )


def _first_certificate(path: Path) -> bytes:
    """Return the first certificate of a file, in DER; raises InputError where the file has none."""
    end = "-----END CERTIFICATE-----"
    try:
        text = read_regular(path).decode("ascii")
        return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN") : text.index(end) + len(end)])
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path} cannot be read as a certificate: {words}",
            hint="router_tls_certificate in the fleet file names the certificate of the routers",
        ) from error


def _whole(answer: http.client.HTTPResponse) -> str:
    with possible_chunks():
        text = answer.read(ANSWER + 1)
    if len(text) > ANSWER:
        raise http.client.HTTPException(f"its answer is longer than {ANSWER:,} bytes")
    if answer.length:
        raise http.client.IncompleteRead(text, answer.length)
    return text.decode("utf-8", "replace")


def _line(answer: http.client.HTTPResponse, end: End) -> bytes:
    end.again()
    with possible_chunks():
        return answer.readline(ANSWER + 1)


def _events(answer: http.client.HTTPResponse, end: End) -> Iterator[str]:
    """Yield the data of each event, as it comes (WHATWG HTML, server-sent events); comments are passed over."""
    size = 0
    while line := _line(answer, end):
        size += len(line)
        if size > ANSWER:
            raise http.client.HTTPException(f"its answer is longer than {ANSWER:,} bytes")
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text.startswith(_EVENT):
            yield text.removeprefix(_EVENT)
