"""Notices and their delivery to real servers on loopback."""

from __future__ import annotations

import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from toolkit.adapters.notices.delivery import NotDelivered, PartlyDelivered, deliver
from toolkit.domain.trail.channel import Channel, Mail, SecretPlace, Service, Webhook
from toolkit.domain.trail.notice import Notice

NOTICE = Notice(
    id="0123456789abcdef", at=1000.5, command="upgrade", outcome="release-failed", model="tiny",
    releases=("tiny@v2 #2",), actor="ann", machine="ops", reason="<ticket> & more", error="release-failed",
    hosts={"gpu1": "failed"}, gates=(("gpu1", "answers", "failed"), ("gpu1", "shape", "passed")), seconds=12.0,
)  # fmt: skip


@dataclass
class Site:
    """A web server that answers `status`, and what it was sent."""

    status: int = 200
    location: str = ""
    wait: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append((dict(self.headers), body))
            self.send_response(found.status)
            if found.location:
                self.send_header("Location", found.location)
            if found.wait:
                self.send_header("Retry-After", found.wait)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/hook/s3cret-path"
    yield found
    server.shutdown()
    server.server_close()


def test_a_webhook_gets_the_signed_event(site: Site) -> None:
    way = Webhook(site.url, key=SecretPlace("KEY"))
    deliver(Channel("ops", way), NOTICE, 2000.0, {"KEY": "k3y"})
    ((headers, body),) = site.got
    assert json.loads(body)["hosts"] == {"gpu1": "failed"}
    assert (headers["X-Toolkit-Event"], headers["X-Toolkit-Timestamp"]) == (NOTICE.id, "2000")
    signature = hmac.new(b"k3y", b"2000." + body, hashlib.sha256).hexdigest()
    assert headers["X-Toolkit-Signature"] == f"sha256={signature}"


def test_slack_and_mattermost_get_text_in_which_nothing_is_a_command(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "url").write_text(site.url + "\n")
    way = Webhook(SecretPlace(file=str(tmp_path / "url")), text_only=True)
    deliver(Channel("chat", way), NOTICE, 0.0, {})
    ((_, body),) = site.got
    assert json.loads(body) == {
        "text": "toolkit upgrade tiny@v2 #2: FAILED; the former release serves\n"
        "by ann on ops, 12 s: &lt;ticket&gt; &amp; more\ngpu1: failed\ngpu1: gate answers: failed"
    }


@pytest.mark.parametrize(
    ("status", "location", "words", "again"),
    [
        (500, "", "it answered 500", True),
        (429, "", "it answered 429", True),
        (404, "", "it answered 404", False),
        (
            302, "https://evil.example/x?token=abc",
            "it answered 302 and leads to evil.example; redirects are not followed", False,
        ),
        (
            302, "https://[evil/x",
            "it answered 302 and leads to another place; redirects are not followed", False,
        ),
    ],
)  # fmt: skip
def test_a_webhook_that_refuses_or_leads_elsewhere_is_named_without_its_secrets(
    site: Site, status: int, location: str, words: str, again: bool
) -> None:
    site.status, site.location = status, location
    with pytest.raises(NotDelivered) as raised:
        deliver(Channel("ops", Webhook(site.url)), NOTICE, 0.0, {})
    assert (raised.value.words, raised.value.again) == (words, again)
    assert len(site.got) == 1


@pytest.mark.parametrize(
    ("wait", "seconds"), [("30", 30.0), ("0.5", 0.5), ("", 0.0), ("soon", 0.0), ("-1", 0.0)]
)
def test_a_webhook_says_when_it_takes_more(site: Site, wait: str, seconds: float) -> None:
    site.status, site.wait = 429, wait
    with pytest.raises(NotDelivered) as raised:
        deliver(Channel("ops", Webhook(site.url)), NOTICE, 1000.0, {})
    assert (raised.value.again, raised.value.wait) == (True, seconds)


def test_a_webhook_that_is_not_there_is_an_error_without_its_path() -> None:
    with pytest.raises(NotDelivered) as raised:
        deliver(Channel("ops", Webhook("http://127.0.0.1:1/s3cret-path")), NOTICE, 0.0, {})
    assert raised.value.again
    assert "s3cret" not in raised.value.words


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (SecretPlace("ABSENT"), "the variable ABSENT is not set"),
        (
            SecretPlace(file="/nonexistent"),
            "/nonexistent cannot be read: No such file or directory",
        ),
        (SecretPlace(file="/dev/null"), "/dev/null cannot be read: is no regular file"),
    ],
)
def test_a_secret_that_is_not_there_is_named_by_its_place(secret: SecretPlace, words: str) -> None:
    with pytest.raises(NotDelivered) as raised:
        deliver(Channel("ops", Webhook(secret)), NOTICE, 0.0, {})
    assert (raised.value.words, raised.value.again) == (words, False)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://ops.example:s3cret/x", "its URL is none: what the variable URL has"),
        ("https://ops.example\x00s3cret/x", "its URL is none: what the variable URL has"),
        ("ftp://s3cret", "its URL is not one of http or https"),
    ],
)
def test_a_url_that_is_none_is_named_by_its_place(url: str, words: str) -> None:
    with pytest.raises(NotDelivered) as raised:
        deliver(Channel("ops", Webhook(SecretPlace("URL"))), NOTICE, 1000.0, {"URL": url})
    assert raised.value.words == words
    assert not raised.value.again


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    empty = tmp_path / "secret"
    empty.touch()
    with pytest.raises(NotDelivered) as raised:
        deliver(Channel("ops", Webhook(SecretPlace(file=str(empty)))), NOTICE, 0.0, {})
    assert (raised.value.words, raised.value.again) == (f"{empty} is empty", False)


def test_apprise_is_an_extra() -> None:
    with pytest.raises(NotDelivered, match="Apprise"):
        deliver(Channel("phone", Service(SecretPlace("URL"))), NOTICE, 0.0, {"URL": "nonsense://x"})


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as smtplib needs."""

    taken = b"250 taken"
    bye = b"221 bye"

    def handle(self) -> None:
        self.wfile.write(b"220 stub\r\n")
        in_data = False
        for line in self.rfile:
            if in_data:
                self.server.mail += line  # type: ignore[attr-defined]
                in_data = line != b".\r\n"
                if not in_data:
                    self.wfile.write(self.taken + b"\r\n")
            elif line.upper().startswith(b"DATA"):
                in_data = True
                self.wfile.write(b"354 go on\r\n")
            elif line.upper().startswith(b"QUIT"):
                self.wfile.write(self.bye + b"\r\n")
                return
            elif b"NOBODY" in line.upper():
                self.wfile.write(b"550 no such user\r\n")
            else:
                self.wfile.write(b"250 fine\r\n")


def test_a_mail_arrives_and_is_the_same_mail_when_it_is_sent_again() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        server.mail = b""  # type: ignore[attr-defined]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        way = Mail(
            ("ops@example.org",), "t@example.org", "127.0.0.1", server.server_address[1], "none"
        )
        deliver(Channel("mail", way), NOTICE, 0.0, {})
        server.shutdown()
        text = server.mail.decode()  # type: ignore[attr-defined]
    assert "Subject: toolkit upgrade tiny@v2 #2: FAILED; the former release serves" in text
    assert f"Message-ID: <{NOTICE.id}@toolkit.invalid>" in text
    assert "gpu1: gate answers: failed" in text
    # The time of the event, however late the mail comes.
    assert "Date: Thu, 01 Jan 1970 00:16:40 -0000" in text


def test_a_mail_that_some_of_its_receivers_get_is_told_of_by_the_others() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        server.mail = b""  # type: ignore[attr-defined]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        way = Mail(("a@b", "nobody@b"), "c@d", "127.0.0.1", server.server_address[1], "none")
        with pytest.raises(PartlyDelivered) as raised:
            deliver(Channel("mail", way), NOTICE, 0.0, {})
        server.shutdown()
        assert b"Subject: " in server.mail  # type: ignore[attr-defined]
    assert raised.value.words == "its server took no mail for nobody@b (550 no such user)"
    assert not raised.value.again


def test_a_mail_that_is_taken_is_sent_however_its_server_says_goodbye(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else people get it with each try."""
    monkeypatch.setattr(_Smtp, "bye", b"421 too many commands")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        server.mail = b""  # type: ignore[attr-defined]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        way = Mail(("a@b",), "c@d", "127.0.0.1", server.server_address[1], "none")
        deliver(Channel("mail", way), NOTICE, 0.0, {})
        server.shutdown()
        assert b"Subject: " in server.mail  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "again"),
    [(b"552 too big", False), (b"554 looks like spam", False), (b"451 later", True)],
)
def test_a_mail_that_its_server_refuses_for_good_is_not_tried_again_at_once(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, again: bool
) -> None:
    monkeypatch.setattr(_Smtp, "taken", answer)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        server.mail = b""  # type: ignore[attr-defined]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        way = Mail(("a@b",), "c@d", "127.0.0.1", server.server_address[1], "none")
        with pytest.raises(NotDelivered, match=answer[4:].decode()) as raised:
            deliver(Channel("mail", way), NOTICE, 0.0, {})
        server.shutdown()
    assert raised.value.again == again


def test_a_password_that_no_login_carries_is_named_as_such() -> None:
    way = Mail(("a@b",), "c@d", "127.0.0.1", 1, "starttls", "me", SecretPlace("PASSWORD"))
    with pytest.raises(NotDelivered) as raised:
        deliver(Channel("mail", way), NOTICE, 0.0, {"PASSWORD": "pässword"})
    assert (
        raised.value.words
        == "its user or password has letters beyond ASCII, which no login carries"
    )
    assert not raised.value.again


def test_a_mail_server_that_refuses_tls_gets_no_password() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        server.mail = b""  # type: ignore[attr-defined]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port = server.server_address[1]
        way = Mail(("a@b",), "c@d", "127.0.0.1", port, "starttls", "me", SecretPlace("PASSWORD"))
        with pytest.raises(NotDelivered) as raised:
            deliver(Channel("mail", way), NOTICE, 0.0, {"PASSWORD": "hunter2"})
        server.shutdown()
        assert server.mail == b""  # type: ignore[attr-defined]
    assert "hunter2" not in raised.value.words


@pytest.mark.parametrize("before", [0, 180])
def test_a_mail_server_that_repeats_the_password_is_told_of_without_it(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(_Smtp, "taken", b"554 " + b"x" * before + b" correct-horse-battery")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        server.mail = b""  # type: ignore[attr-defined]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port = server.server_address[1]
        way = Mail(("a@b",), "c@d", "127.0.0.1", port, "none", "", SecretPlace("PASSWORD"))
        with pytest.raises(NotDelivered) as raised:
            deliver(Channel("mail", way), NOTICE, 0.0, {"PASSWORD": "correct-horse-battery"})
        server.shutdown()
    assert "correct" not in raised.value.words


def test_a_notice_has_no_reason_of_a_gate() -> None:
    assert "passed" not in NOTICE.text
    assert Notice.from_json(json.loads(json.dumps(NOTICE.as_json()))) == NOTICE
