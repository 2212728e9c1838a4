"""Whatever the other side of a channel sends, and for however long, a try takes bounded time and memory."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.adapters.test_notices import NOTICE
from toolkit.adapters.notices import delivery, smtp
from toolkit.adapters.notices.delivery import NotDelivered, deliver
from toolkit.domain.trail.channel import Channel, Mail, SecretPlace, Service, Webhook

# Some of what is read is in memory twice, as bytes and as text.
MOST = 8 * 2**20


@contextlib.contextmanager
def talker(pieces: Callable[[], Iterator[bytes]], pause: float = 0.0) -> Iterator[int]:
    """Give the port of a server that says `pieces` to whoever comes, and hears nothing."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = door.accept()
                    with connection, contextlib.suppress(OSError):
                        for piece in pieces():
                            connection.sendall(piece)
                            time.sleep(pause)

        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


def peak_of(channel: Channel, environment: dict[str, str] | None = None) -> tuple[str, int, float]:
    """Return why a notice was not delivered, the bytes of memory that the try took at most, and its seconds."""
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(NotDelivered) as raised:
            deliver(channel, NOTICE, 0.0, environment or {})
        return raised.value.words, tracemalloc.get_traced_memory()[1], time.monotonic() - began
    finally:
        tracemalloc.stop()


def mail(port: int, tls: str = "none") -> Channel:
    return Channel("mail", Mail(("a@b",), "c@d", "127.0.0.1", port, tls))


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(lambda: repeat(b"220-welcome\r\n" * 500), id="a greeting of endless lines"),
        pytest.param(lambda: repeat(b"220 welcome" * 500), id="a line without an end"),
        pytest.param(
            lambda: chain([b"220 stub\r\n"], repeat(b"250-SIZE 1\r\n" * 500)),
            id="endless abilities",
        ),
        pytest.param(
            lambda: chain([b"220 a\r\n250 b\r\n250 c\r\n250 d\r\n"], repeat(b"354-x\r\n" * 500)),
            id="endless before the text",
        ),
    ],
)
def test_a_mail_server_whose_answer_has_no_end(pieces: Callable[[], Iterator[bytes]]) -> None:
    with talker(pieces) as port:
        words, peak, _ = peak_of(mail(port))
    assert len(words) < 300
    assert peak < MOST


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
def test_a_mail_server_that_says_a_letter_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tls: str
) -> None:
    monkeypatch.setattr(smtp, "MOST_SECONDS", 1.0)
    monkeypatch.setattr(delivery, "TRY_SECONDS", 1.0)
    with talker(lambda: repeat(b"2"), pause=0.05) as port:
        words, _, took = peak_of(mail(port, tls))
    assert words
    assert took < 20


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(lambda: chain([b"HTTP/1.1 500 no\r\n\r\n"], repeat(b"x" * 9999)), id="a body"),
        pytest.param(
            lambda: chain([b"HTTP/1.1 500 no\r\n"], repeat(b"a: b\r\n" * 99)), id="headers"
        ),
        pytest.param(lambda: repeat(b"HTTP/1.1 500 n" + b"o" * 9999), id="a reason"),
        pytest.param(
            lambda: chain([b"HTTP/1.1 302 no\r\nLocation: http://" + b"x" * 9999 + b"/\r\n\r\n"]),
            id="a long way to elsewhere",
        ),
    ],
)
def test_a_webhook_whose_answer_has_no_end(pieces: Callable[[], Iterator[bytes]]) -> None:
    with talker(pieces) as port:
        words, peak, _ = peak_of(Channel("ops", Webhook(f"http://127.0.0.1:{port}/")))
    assert len(words) < 400
    assert peak < MOST


APPRISE = """\
import time
class Apprise:
    def add(self, url):
        self.url = url
        return url != "nonsense://x"
    def notify(self, title, body):
        if self.url == "fat://x":
            return len(b"x" * 2**32) > 0
        if self.url == "slow://x":
            time.sleep(600)
        print("x" * 2**20, flush=True)
        return self.url == "good://x" and bool(title and body)
"""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("good://x", ""),
        ("bad://x", "Apprise could not deliver it"),
        ("nonsense://x", "Apprise does not understand its URL"),
        ("fat://x", "Apprise could not deliver it"),
        ("slow://x", "Apprise took too long"),
    ],
)
def test_apprise_has_a_process_with_bounds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, said: str
) -> None:
    """Its services read an answer whole."""
    (tmp_path / "apprise.py").write_text(APPRISE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(delivery, "_APPRISE_SECONDS", 3)
    channel = Channel("phone", Service(SecretPlace("URL")))
    if not said:
        deliver(channel, NOTICE, 0.0, {"URL": url})
        return
    words, peak, _ = peak_of(channel, {"URL": url})
    assert words == said
    assert peak < MOST
