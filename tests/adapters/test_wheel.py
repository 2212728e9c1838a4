"""Single files of a wheel, from a disk and from a server that gives parts of files."""

from __future__ import annotations

import re
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from toolkit.adapters.engines.wheel import read_wheel
from toolkit.errors import SourceError

PATTERNS = ("vllm/engine/arg_utils.py", "vllm/v1/metrics/*.py")
WANTED = {
    "vllm/engine/arg_utils.py": "x = '--max-model-len'\n",
    "vllm/v1/metrics/loggers.py": "y = 'vllm:num_requests_running'\n",
}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel of 4 MiB with files that are wanted at its start and at its end."""
    path = tmp_path / "vllm-0.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("vllm/engine/arg_utils.py", WANTED["vllm/engine/arg_utils.py"])
        made.writestr("vllm/_C.abi3.so", b"\0" * 2**22)
        made.writestr("vllm/v1/metrics/loggers.py", WANTED["vllm/v1/metrics/loggers.py"])
        made.writestr("vllm/v1/metrics/notes.txt", "no source")
    return path


@contextmanager
def served(path: Path, sent: list[int], *, parts: bool = True) -> Iterator[str]:
    """Serve a file under the URL that is given; `sent` gets the bytes of each answer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, path, sent, parts))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{path.name}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, path: Path, sent: list[int], parts: bool, *rest: object) -> None:
        self._file, self._sent, self._parts = path, sent, parts
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        data = self._file.read_bytes()
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"])
        assert found
        start = int(found[1]) if found[1] else max(0, len(data) - int(found[2]))
        end = int(found[2]) + 1 if found[1] else len(data)
        part = data[start:end] if self._parts else data
        self.send_response(206 if self._parts else 200)
        if self._parts:
            told = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
            self.send_header("Content-Range", told)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self._sent.append(len(part))
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def test_files_are_read_from_a_disk(wheel: Path) -> None:
    assert read_wheel(str(wheel), PATTERNS) == WANTED
    assert read_wheel(wheel.as_uri(), PATTERNS) == WANTED


def test_a_server_gives_these_files_and_not_the_whole_wheel(wheel: Path) -> None:
    sent: list[int] = []
    with served(wheel, sent) as url:
        assert read_wheel(url, PATTERNS) == WANTED
    assert sum(sent) < wheel.stat().st_size / 2


def test_a_server_that_gives_no_parts_is_not_read(wheel: Path) -> None:
    with (
        served(wheel, [], parts=False) as url,
        pytest.raises(SourceError, match="does not give parts of files"),
    ):
        read_wheel(url, PATTERNS)


@pytest.mark.parametrize("text", ["no wheel", ""])
def test_what_is_no_wheel_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.whl"
    path.write_text(text)
    with pytest.raises(SourceError, match=r"x\.whl cannot be read"):
        read_wheel(str(path), PATTERNS)
    with pytest.raises(SourceError, match="cannot be read"):
        read_wheel("http://127.0.0.1:9/x.whl", PATTERNS)


@pytest.mark.parametrize(
    "told",
    [
        "bytes 0-9/²",
        "bytes x-9/100",
        "bytes 0-9/" + "9" * 5000,
        "bytes 0-99/99999999999999",
        "0-9/10",
        "",
    ],
)
def test_a_server_that_lies_about_its_parts_is_not_read(told: str) -> None:
    head = f"HTTP/1.1 206 X\r\nContent-Range: {told}\r\nContent-Length: 10\r\n\r\n0123456789"
    with (
        answering(head.encode("latin-1")) as url,
        pytest.raises(SourceError, match="cannot be read"),
    ):
        read_wheel(url, PATTERNS)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 206 X\r\nContent-Range: bytes 0-9/10\r\n\r\n", b"nonsense\r\n"]
)
def test_a_server_that_never_ends_is_left(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.adapters.engines.wheel._TAIL", 2**18)
    with answering(head, b"x" * 65536) as url, pytest.raises(SourceError, match="cannot be read"):
        read_wheel(url, PATTERNS)


@pytest.mark.parametrize(
    "place",
    ["http://[nowhere/", "http://127.0.0.1:99999999/", f"http://{'a' * 300}.example/", "http://a\x1bb/", "file:///etc"],
)  # fmt: skip
def test_a_redirect_to_no_address_is_an_error_of_the_tree(place: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"
    with answering(head.encode()) as url, pytest.raises(SourceError, match="cannot be read"):
        read_wheel(url, PATTERNS)


def test_an_index_that_names_no_address_is_an_error_of_the_tree() -> None:
    for url in ("http://[nowhere/x.whl", f"http://{'a' * 300}.example/x.whl"):
        with pytest.raises(SourceError, match="cannot be read"):
            read_wheel(url, PATTERNS)


@contextmanager
def answering(head: bytes, piece: bytes = b"") -> Iterator[str]:
    """Serve every request with `head`, then with `piece` until the client leaves."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client, suppress(OSError):
                    client.recv(65536)
                    client.sendall(head)
                    while piece:
                        client.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/x.whl"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def test_more_or_larger_files_than_an_engine_has_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("vllm/engine/arg_utils.py", b"#" * (9 * 2**20))
    with pytest.raises(SourceError, match="more files of its sources"):
        read_wheel(str(path), PATTERNS)
