"""What Prometheus reads at a host: figures of the router, of each replica and of the watch, and nothing else."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.hostside.router_lab import Lab, closed_port, free_port, lab
from toolkit.planning.routing.routes import Route, Routes, Target

# An address for documents (RFC 5737), which no network has. The check of the perimeter, which another test may run now,
# takes the first of this machine's addresses as texts are ordered, and that is not this one.
ELSEWHERE = "203.0.113.9"


class _Engine(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer what was asked, so that a path that is passed on shows."""
        text = f"asked for {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _engine() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Engine)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def metrics() -> int:
    return free_port()


@pytest.fixture(scope="module")
def running(metrics: int) -> Iterator[Lab]:
    with (
        _engine() as port,
        closed_port() as stopped,
        closed_port() as gone,
        lab(
            router_metrics_bind=f"127.0.0.1:{metrics}",
            router_exporters={"node": port, "dcgm": 0, "gone": gone},
        ) as made,
    ):
        slots = Target("blue", port, weight=100), Target("green", stopped)
        made.apply(Routes((Route("tiny", slots, created=1),), serial=1))
        yield made


def read(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with closing(client):
        client.request(method, path)
        answer = client.getresponse()
        return answer.status, answer.read().decode()


def test_a_replicas_metrics_are_read_through_the_router(running: Lab, metrics: int) -> None:
    assert read(metrics, "/metrics/replica/tiny/blue") == (200, "asked for /metrics\n")
    assert "haproxy_server_status" in read(metrics, "/metrics")[1]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/metrics/replica/tiny/red", 404),
        ("/metrics/replica/other/blue", 404),
        ("/metrics/replica/tiny/blue/v1/completions", 404),
        ("/metrics/replica/tiny/blue/../../v1/models", 404),
        ("/metrics/replica/tiny/blue%2f..%2fv1", 404),
        ("/metrics/replica/", 404),
        ("/metrics/dcgm", 404),
        ("/metrics/node/", 404),
        ("/metrics/node/v1", 404),
        ("/v1/models", 404),
        ("/health", 404),
        ("/", 404),
        # green is stopped: its metrics cannot be read
        ("/metrics/replica/tiny/green", 503),
        ("/metrics/gone", 503),
    ],
)
def test_no_other_path_of_a_replica_is_open(
    running: Lab, metrics: int, path: str, status: int
) -> None:
    found, text = read(metrics, path)
    assert (found, "asked for" in text) == (status, False)


def test_an_exporter_of_the_host_is_read_through_the_router(running: Lab, metrics: int) -> None:
    assert read(metrics, "/metrics/node") == (200, "asked for /metrics\n")
    assert read(metrics, "/metrics/node?collect[]=x")[1] == "asked for /metrics\n"
    assert read(metrics, "/metrics/node", "POST")[0] == 405


def test_a_query_does_not_reach_the_replica(running: Lab, metrics: int) -> None:
    assert read(metrics, "/metrics/replica/tiny/blue?name=x")[1] == "asked for /metrics\n"


def test_nothing_is_posted(running: Lab, metrics: int) -> None:
    assert read(metrics, "/metrics/replica/tiny/blue", "POST")[0] == 405


def test_reading_metrics_is_no_request_of_a_model(running: Lab, metrics: int) -> None:
    before = len(running.requests())
    for _ in range(5):
        read(metrics, "/metrics/replica/tiny/blue")
    exported = read(metrics, "/metrics")[1]
    counted = [
        line
        for line in exported.splitlines()
        if line.startswith("haproxy_backend_http_responses_total") and 'proxy="model.tiny"' in line
    ]
    assert counted
    assert {line.split()[-1] for line in counted} == {"0"}
    assert len(running.requests()) == before


def test_the_file_of_the_watch_is_served_as_it_is_now(running: Lab, metrics: int) -> None:
    assert read(metrics, "/metrics/host")[0] == 503
    file = running.root / "router" / "host.prom"
    for text in ("toolkit_x 1\n", "toolkit_x 2\n" * 3000):
        file.write_text(text)
        file.chmod(0o644)
        assert read(metrics, "/metrics/host") == (200, text)


@pytest.mark.parametrize(("allowed", "answers"), [([], False), (["203.0.113.0/24"], True)])
def test_another_address_reads_only_where_it_is_allowed(allowed: list[str], answers: bool) -> None:
    import shutil
    import subprocess

    if shutil.which("ip") is None or subprocess.run(["ip", "link"], capture_output=True).returncode:
        pytest.skip("needs ip(8) and the right to set addresses")
    port = free_port()
    added = ["ip", "address", "add", f"{ELSEWHERE}/32", "dev", "lo"]
    if subprocess.run(added, capture_output=True).returncode:
        pytest.skip("needs the right to set addresses")
    try:
        with lab(router_metrics_bind=f"0.0.0.0:{port}", router_metrics_from=allowed):
            client = http.client.HTTPConnection(
                ELSEWHERE, port, timeout=60, source_address=(ELSEWHERE, 0)
            )
            with closing(client):
                if answers:
                    client.request("GET", "/metrics")
                    assert client.getresponse().status == 200
                else:
                    with pytest.raises(OSError):
                        client.request("GET", "/metrics")
                        client.getresponse()
    finally:
        subprocess.run(["ip", "address", "del", f"{ELSEWHERE}/32", "dev", "lo"], check=True)
