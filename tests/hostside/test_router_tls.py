"""The operator's certificate at the door: TLS 1.2 and newer, HTTP/2, and another certificate without a lost request."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostside.router_lab import NOBODY, Backend, Lab, lab, router_keys, router_socket
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

PATH = "/v1/completions"


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """Make a throw-away certificate for 127.0.0.1 and its key."""
    made, key = directory / f"{name}.pem", directory / f"{name}.pem.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
         "-out", str(made), "-keyout", str(key)],
        capture_output=True, check=True,
    )  # fmt: skip
    return made, key


def place(running: Lab, digest: str, pair: tuple[Path, Path]) -> None:
    """Do what the role does: the pair under a name of its own, then the base that leads to it."""
    for file, suffix in zip(pair, ("pem", "pem.key"), strict=True):
        there = Path(running.directory, f"tls-{digest}.{suffix}")
        shutil.copy(file, there)
        shutil.chown(there, NOBODY, NOBODY)
        there.chmod(0o600)
    base = Path(running.directory, "haproxy.cfg")
    bind = f"127.0.0.1:{running.port}"
    lines = [
        f"    bind {bind} ssl crt {running.directory}/tls-{digest}.pem alpn h2,http/1.1"
        if line.startswith(f"    bind {bind}")
        else line
        for line in base.read_text().splitlines()
    ]
    base.write_text("\n".join(lines) + "\n")
    router_socket.reload(running.directory)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Path]]:
    """A router with TLS and one model, and the certificate to trust."""
    tmp_path = tmp_path_factory.mktemp("certificates")
    backend = Backend("blue")
    with lab() as running:
        running.apply(with_model(Routes(), "tiny", (Target("blue", backend.port, 100),), created=1))
        pair = certificate(tmp_path, "first")
        place(running, "a" * 16, pair)
        running.up("tiny", "blue")
        yield running, pair[0]
    backend.stop()


def curl(running: Lab, trusted: Path, *more: str) -> str:
    url = f"https://127.0.0.1:{running.port}{PATH}"
    argv = ["curl", "-sS", "--max-time", "20", "--cacert", str(trusted), *more, url]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def presented(running: Lab) -> str:
    pem = ssl.get_server_certificate(("127.0.0.1", running.port), timeout=60)
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-subject"],
        input=pem,
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.strip().rpartition("= ")[2]


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_requests_go_over_tls(door: tuple[Lab, Path], version: str) -> None:
    running, trusted = door
    shown = ("-w", "\n%{http_version} %{http_code}")
    answer = curl(running, trusted, version, *shown, "-d", '{"model":"tiny"}').splitlines()
    assert json.loads(answer[0])["slot"] == "blue"
    assert answer[1] == ("2 200" if version == "--http2" else "1.1 200")
    # a body of several frames and records
    body = Path(running.root, "body")
    body.write_text(json.dumps({"model": "tiny", "x": "y" * 3_000_000}))
    answer = curl(running, trusted, version, "--data-binary", f"@{body}").splitlines()
    assert json.loads(answer[0])["size"] == body.stat().st_size
    assert router_keys.door(str(running.root))["tls"] is True
    assert running.observe()["bind"] == f"127.0.0.1:{running.port}"


@pytest.mark.parametrize(
    ("version", "fits"), [("1.0", False), ("1.1", False), ("1.2", True), ("1.3", True)]
)
def test_old_tls_is_refused(door: tuple[Lab, Path], version: str, fits: bool) -> None:
    running, trusted = door
    exactly = ("--tlsv" + version, "--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0")
    answer = curl(running, trusted, *exactly, "-d", '{"model":"tiny"}')
    assert ("blue" in answer) is fits


def test_a_renewed_certificate_comes_with_a_reload_that_cuts_nobody(
    door: tuple[Lab, Path], tmp_path: Path
) -> None:
    running, trusted = door
    assert presented(running) == "first"
    body = json.dumps({"model": "tiny", "stream": True, "tokens": 100, "pause": 0.01})
    url = f"https://127.0.0.1:{running.port}{PATH}"
    argv = ["curl", "-sSN", "--max-time", "30", "--cacert", str(trusted), "-d", body, url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as stream:
        assert stream.stdout is not None
        assert stream.stdout.readline().startswith("data: ")
        place(running, "b" * 16, certificate(tmp_path, "second"))
        assert presented(running) == "second"
        assert stream.stdout.read().rstrip().endswith("data: [DONE]")
    assert stream.returncode == 0
