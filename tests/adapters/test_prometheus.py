"""Prometheus is asked for counters by the hour; the double and a real one answer the same."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.adapters.prometheus_lab import prometheus
from toolkit.adapters.fakes.prometheus import FakePrometheus
from toolkit.adapters.prometheus import Prometheus, PrometheusPort, read_credentials
from toolkit.domain.hosts.metrics import Selection, Series
from toolkit.domain.secret import Secret
from toolkit.errors import HostError, InputError

# Whole hours of the last day, which Prometheus keeps.
FIRST = int(time.time() // 3600) - 6
LAST = FIRST + 3
NAME = "toolkit_requests_total"
TINY = {"model": "tiny", "le": "+Inf", "job": "toolkit-host", "host": "gpu1"}


def at(hour: int, minute: float) -> float:
    return (FIRST + hour) * 3600 + minute * 60


SERIES = [
    # Amid an hour a counter that began anew, an hour without a sample, and one before all that is asked for.
    (NAME, TINY, [(at(-1, 30), 1), (at(0, 10), 5), (at(0, 50), 7), (at(1, 20), 9), (at(1, 40), 2), (at(3, 5), 4)]),
    (NAME, {**TINY, "host": "gpu2"}, [(at(2, 30), 70)]),
    (NAME, {**TINY, "model": "tiny.2+b", "le": "0.5"}, [(at(0, 30), 3)]),
    (NAME, {**TINY, "model": "tinyx2"}, [(at(0, 30), 1000)]),
    (NAME, {**TINY, "job": "other"}, [(at(0, 30), 1000)]),
    ("toolkit_other_total", TINY, [(at(0, 30), 1000)]),
    (NAME, {**TINY, "model": "old"}, [(at(-1, 30), 5)]),
]  # fmt: skip
JOB = ("toolkit-host",)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), SERIES) as address:
        yield address


@pytest.fixture(params=["double", "real"])
def port(request: pytest.FixtureRequest) -> PrometheusPort:
    if request.param == "double":
        return FakePrometheus(series=[(name, labels, samples) for name, labels, samples in SERIES])
    return Prometheus(request.getfixturevalue("real"))


def asked(port: PrometheusPort, wanted: Selection) -> list[tuple[str, str, Series]]:
    found = port.by_hour(wanted, FIRST, LAST)
    return sorted((each.labels["model"], each.labels["host"], each) for each in found)


def test_each_series_has_its_last_value_within_each_hour(port: PrometheusPort) -> None:
    found = asked(port, Selection(NAME, {"job": JOB, "model": ("tiny",)}))
    assert [(host, dict(each.labels), each.values) for _, host, each in found] == [
        ("gpu1", TINY, (7, 2, None, 4)),
        ("gpu2", {**TINY, "host": "gpu2"}, (None, None, 70, None)),
    ]


def test_values_of_labels_are_no_patterns(port: PrometheusPort) -> None:
    found = asked(port, Selection(NAME, {"job": JOB, "model": ("tiny.2+b", 'a"\\|')}))
    assert [(model, each.values) for model, _, each in found] == [
        ("tiny.2+b", (3, None, None, None))
    ]
    (one,) = asked(
        port, Selection(NAME, {"job": JOB, "model": ("tiny.2+b",), "le": ("0.5", "+Inf")})
    )
    assert one[2].labels["le"] == "0.5"
    assert asked(port, Selection(NAME, {"job": JOB, "model": ("tiny.2+b",), "le": ("+Inf",)})) == []


def test_what_was_never_told_is_no_series(port: PrometheusPort) -> None:
    assert asked(port, Selection("toolkit_unknown_total")) == []
    assert asked(port, Selection(NAME, {"model": ("old",)})) == []


def test_hours_that_are_yet_to_come_have_no_value(port: PrometheusPort) -> None:
    (one,) = port.by_hour(
        Selection(NAME, {"job": JOB, "model": ("tiny",), "host": ("gpu1",)}), FIRST, LAST + 30
    )
    assert one.values == (7, 2, None, 4, *[None] * 30)


def test_a_prometheus_with_a_login_asks_for_credentials(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("ann:test\n")
    with prometheus(tmp_path, [], login=True) as address:
        with pytest.raises(InputError, match="a request without credentials") as error:
            Prometheus(address).by_hour(Selection(NAME), FIRST, LAST)
        assert "TOOLKIT_PROMETHEUS_CREDENTIALS=FILE" in error.value.hint
        with pytest.raises(InputError, match="refuses the credentials") as error:
            Prometheus(address, Secret("ann:wrong")).by_hour(Selection(NAME), FIRST, LAST)
        assert "wrong" not in error.value.message
        assert Prometheus(address, read_credentials(str(file))).by_hour(Selection(NAME), 1, 2) == ()


class Answering(BaseHTTPRequestHandler):
    """Answers what the server's `says` has, and notes what it was asked with."""

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        status, text, seen = self.server.says  # type: ignore[attr-defined]
        seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server:
    def __init__(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_port}/at/a/path/"
        self.seen: list[tuple[str, str | None]] = []

    def says(self, status: int, text: str) -> None:
        self.server.says = (status, text, self.seen)  # type: ignore[attr-defined]


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def matrix(*result: object, kind: str = "matrix") -> str:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}})


@pytest.mark.parametrize(
    ("status", "text", "error", "words"),
    [
        (404, "no such page", InputError, "is no address of a Prometheus: it answers 404"),
        (200, "<html>", InputError, "is no address of a Prometheus"),
        (302, "", InputError, "it answers 302"),
        (503, "starting", HostError, "it answers 503"),
        (422, '{"status": "error", "error": "query timed out"}', HostError, "it says: query timed out"),
        (200, matrix(kind="vector"), HostError, "no series of values"),
        (200, matrix({"metric": {}, "values": [[1]]}), HostError, "cannot be read"),
        (200, matrix({"metric": [], "values": [[1, "2"]]}), HostError, "cannot be read"),
        (200, matrix({"metric": {}, "values": [["x", "2"]]}), HostError, "cannot be read"),
        (200, matrix("x"), HostError, "cannot be read"),
        (200, "[" * 100_000, InputError, "is no address of a Prometheus"),
    ],
)  # fmt: skip
def test_an_answer_without_figures_is_told(
    server: Server, status: int, text: str, error: type[Exception], words: str
) -> None:
    server.says(status, text)
    with pytest.raises(error, match=words):
        Prometheus(server.url).by_hour(Selection(NAME), 1, 2)
    assert server.seen == [("/at/a/path/api/v1/query_range", None)]


def test_values_that_are_no_counts_are_none(server: Server) -> None:
    values = [[7200, "NaN"], [10800, "+Inf"], [14400, "-1"], [18000, "1e300"], [21600, "5"]]
    server.says(200, matrix({"metric": {"model": "tiny"}, "values": values}))
    (found,) = Prometheus(server.url).by_hour(Selection(NAME), 1, 5)
    assert found.values == (None, None, None, None, 5)


@pytest.mark.parametrize(
    ("credentials", "header"),
    [("a-token.with_all~of+it/=", "Bearer a-token.with_all~of+it/="), ("ann:test", "Basic YW5uOnRlc3Q=")],
)  # fmt: skip
def test_credentials_go_in_a_header(server: Server, credentials: str, header: str) -> None:
    server.says(200, matrix())
    assert Prometheus(server.url, Secret(credentials)).by_hour(Selection(NAME), 1, 2) == ()
    assert server.seen == [("/at/a/path/api/v1/query_range", header)]


def test_a_prometheus_that_is_away_or_hangs_is_a_host_that_does_not_answer() -> None:
    with pytest.raises(HostError, match="does not answer"):
        Prometheus("http://127.0.0.1:9").by_hour(Selection(NAME), 1, 2)
    silent = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    with pytest.raises(HostError, match="timed out"):
        Prometheus(f"http://127.0.0.1:{silent.server_port}", seconds=0.2).by_hour(
            Selection(NAME), 1, 2
        )
    silent.server_close()


@pytest.mark.parametrize(
    "address",
    [
        "prometheus", "ftp://gpu1", "http://", "http://[", "http://a:x", "http://a b", "http://a/?x=1", "http://a/#b",
        "http://a:0",
    ],
)  # fmt: skip
def test_an_address_that_is_no_url_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="is no URL of a Prometheus"):
        Prometheus(address)


def test_an_address_with_credentials_is_refused_without_telling_them() -> None:
    with pytest.raises(InputError, match="has a name or a password") as error:
        Prometheus("http://ann:hidden@gpu1:9090")
    assert "hidden" not in error.value.message + error.value.hint


@pytest.mark.parametrize("host", ["10.0.0.9", "127.example.com", "prometheus"])
def test_credentials_go_to_no_other_machine_in_the_clear(host: str) -> None:
    with pytest.raises(InputError, match="go over https"):
        Prometheus(f"http://{host}:9090", Secret("token"))
    assert Prometheus(f"https://{host}:9090", Secret("token")).address == f"https://{host}:9090"


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "ü", "x" * 9000])
def test_a_file_of_credentials_holds_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials").write_text(text, "utf-8")
    with pytest.raises(InputError, match="TOOLKIT_PROMETHEUS_CREDENTIALS"):
        read_credentials(str(tmp_path / "credentials"))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_credentials(str(tmp_path / "none"))
