"""What is no HTTP: HAProxy refuses it before any rule runs, by a page of its own that no setting of it replaces.

Each of these is refused at once, none reaches an engine, and the log has a line for each that sent anything.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.keyed import ANN, ring
from tests.hostside.router_lab import Lab, free_port, until
from tests.hostside.router_site import PATH, Site, site_of
from tests.hostside.test_router_tls import certificate, place

KEY = f"x-api-key: {ANN}"


def request(first: str, *headers: str, body: str = "") -> bytes:
    head = "".join(f"{each}\r\n" for each in (first, "Host: x", KEY, *headers))
    return f"{head}\r\n{body}".encode("latin-1")


def chunked(body: str, path: str = PATH) -> bytes:
    return request(f"POST {path} HTTP/1.1", "Transfer-Encoding: chunked", body=body)


LIST = "GET /v1/models HTTP/1.1"
# What HAProxy cannot parse, and its status.
MALFORMED = {
    "a line of words": (b"nonsense\r\n\r\n", 400),
    "bytes": (bytes(range(256)), 400),
    "TLS": (bytes.fromhex("16030100a5010000a10303") + bytes(150), 400),
    "no version": (b"GET /v1/models\r\n\r\n", 400),
    "another protocol": (request("GET /v1/models XTTP/1.1"), 400),
    "a version of one digit": (request("GET /v1/models HTTP/11"), 400),
    "no path": (request("GET HTTP/1.1"), 400),
    "a blank in the path": (request("GET /v1/ models HTTP/1.1"), 400),
    "a sign in the path": (request("GET /v1/\x01 HTTP/1.1"), 400),
    "a sign in the method": (request("G(T /v1/models HTTP/1.1"), 400),
    "two hosts": (request(LIST, "Host: y"), 400),
    "a header without a colon": (request(LIST, "x"), 400),
    "a blank before a colon": (request(LIST, "x : y"), 400),
    "a header without a name": (request(LIST, ": y"), 400),
    "a long path": (request(f"GET /{'a' * 20_000} HTTP/1.1"), 400),
    "a long header": (request(LIST, f"x: {'a' * 20_000}"), 400),
    "many headers": (request(LIST, *(f"x{number}: y" for number in range(101))), 400),
    "no length": (request(f"POST {PATH} HTTP/1.1", "Content-Length: -1"), 400),
    "two lengths": (request(f"POST {PATH} HTTP/1.1", "Content-Length: 1", "Content-Length: 2"), 400),
    "a coding": (request(f"POST {PATH} HTTP/1.1", "Transfer-Encoding: gzip"), 400),
    "two codings": (request(f"POST {PATH} HTTP/1.1", "Transfer-Encoding: gzip, chunked"), 422),
    "a tunnel to a path": (request("CONNECT /v1/models HTTP/1.1"), 400),
    "a chunk without a size": (chunked("zz\r\nabc\r\n0\r\n\r\n"), 400),
    "a chunk by its path": (chunked("zz\r\nabc\r\n0\r\n\r\n", "/m/tiny" + PATH), 400),
    "a chunk of all memory": (chunked("ffffffffffffffff\r\nabc\r\n0\r\n\r\n"), 400),
    "a chunk without an end": (chunked("3\r\nabcXX0\r\n\r\n"), 400),
    "a body of a GET by HTTP/1.0": (request("GET /v1/models HTTP/1.0", "Content-Length: 1", body="x"), 413),
    "half a head": (b"GET /v1/models HTTP/1.1\r\nHost: x\r\n", 408),
    "a letter": (b"G", 408),
}  # fmt: skip
TUNNEL = f"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n{KEY}\r\n\r\n".encode()
# What HAProxy takes for HTTP, and the router refuses in the language of its API.
REFUSED = {
    "a preface alone": (b"PRI * HTTP/2.0\r\n\r\n", 400, "bad_request"),
    "a method of another protocol": (request("PRI * HTTP/1.1"), 400, "bad_request"),
    "a later version": (request("GET /v1/models HTTP/9.9"), 200, ""),
    "a method": (request("FOO /v1/models HTTP/1.1"), 405, "method_not_allowed"),
    "no path at all": (request("OPTIONS * HTTP/1.1"), 404, "unknown_url"),
    "a tunnel": (TUNNEL, 404, "unknown_url"),
    "half a body": (request(f"POST {PATH} HTTP/1.1", "Content-Length: 100", body="{"), 408, "request_timeout"),
    "half a chunk": (chunked("5\r\n{"), 408, "request_timeout"),
    "a long trailer": (chunked('10\r\n{"model":"tiny"}\r\n0\r\nx: ' + "y" * 20_000 + "\r\n\r\n"), 400, "bad_request"),
}  # fmt: skip


@pytest.fixture(scope="module", params=["plain", "TLS"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    limits = {"router_head_timeout": "1s", "router_client_silence": "1s"}
    with site_of(router_upload_timeout="1s", **limits) as made:
        running = made.lab
        running.give(ring())
        if request.param == "TLS":
            place(running, "a" * 16, certificate(tmp_path_factory.mktemp("certificate"), "first"))
        yield made


def answered(running: Lab, data: bytes) -> bytes:
    """Return all that the router says to a client that sends this and waits for its end."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=60) as plain:
        client = plain
        if " ssl crt " in Path(running.directory, "haproxy.cfg").read_text():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client = context.wrap_socket(plain)
        with client:
            client.sendall(data)
            return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(("sent", "status"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_http_is_refused_by_haproxy(site: Site, sent: bytes, status: int) -> None:
    site.blue.last = ("", b"")
    said = answered(site.lab, sent)
    assert int(said.split()[1]) == status
    assert b"Content-Type: text/html" in said
    assert site.blue.last == ("", b"")


@pytest.mark.parametrize(("sent", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_http_is_answered_in_the_language_of_the_api(
    site: Site, sent: bytes, status: int, code: str
) -> None:
    said = answered(site.lab, sent)
    assert int(said.split()[1]) == status
    assert b"application/json" in said
    assert f'"code":"{code}"'.encode() in said or not code


def test_a_client_that_connects_ahead_is_told_nothing(site: Site) -> None:
    assert answered(site.lab, b"") == b""


PROOF = """\
http-errors own
    errorfile 400 {page}
defaults
    mode http
    timeout client 1s
    timeout http-request 1s
    {setting}
frontend api
    bind 127.0.0.1:{port}
    http-request return status 200
"""
PAGE = b'HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n{"error":{}}'


@pytest.mark.parametrize(
    "setting",
    [
        "errorfile 400 {page}",
        "errorfiles own 400",
        "http-error status 400 content-type application/json string {{}}",
        "http-error status 400 content-type application/json lf-string {{}}",
        "http-error status 400 errorfile {page}",
    ],
)
def test_no_setting_of_haproxy_replaces_its_page(tmp_path: Path, setting: str) -> None:
    """Where this fails, HAProxy has learned it: say it in docs/operations.md.

    Its parser sends the page of the program itself, and looks at a setting only for an empty file, which is silence.
    """
    page, port = tmp_path / "400.http", free_port()
    page.write_bytes(PAGE)
    configuration = tmp_path / "haproxy.cfg"
    setting = setting.format(page=page)
    configuration.write_text(PROOF.format(page=page, setting=setting, port=port))
    with subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(configuration)]) as process:
        try:

            def said() -> bytes:
                try:
                    with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
                        raw.sendall(b"nonsense\r\n\r\n")
                        return raw.makefile("rb").read()
                except ConnectionRefusedError:
                    return b""

            assert b"Content-Type: text/html" in until(said)
        finally:
            process.kill()
