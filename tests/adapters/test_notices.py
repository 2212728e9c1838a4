"""Delivery to real servers on loopback, hooks that are real programs, and the outbox on a real disk."""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import socketserver
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.pace import Pace
from tests.system.waiting import until
from toolkit.adapters.notices.delivery import NotDelivered, deliver
from toolkit.adapters.notices.hook import call_hook
from toolkit.adapters.notices.outbox import Outbox
from toolkit.domain.trail.channel import Channel, Hook, Mail, Secret, Service, Webhook
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
    way = Webhook(site.url, key=Secret("KEY"))
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
    way = Webhook(Secret(file=str(tmp_path / "url")), text_only=True)
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


def test_a_webhook_that_is_not_there_is_an_error_without_its_path() -> None:
    with pytest.raises(NotDelivered) as raised:
        deliver(Channel("ops", Webhook("http://127.0.0.1:1/s3cret-path")), NOTICE, 0.0, {})
    assert raised.value.again
    assert "s3cret" not in raised.value.words


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (Secret("ABSENT"), "the variable ABSENT is not set"),
        (Secret(file="/nonexistent"), "/nonexistent cannot be read: No such file or directory"),
        (Secret(file="/dev/null"), "/dev/null is empty"),
    ],
)
def test_a_secret_that_is_not_there_is_named_by_its_place(secret: Secret, words: str) -> None:
    with pytest.raises(NotDelivered) as raised:
        deliver(Channel("ops", Webhook(secret)), NOTICE, 0.0, {})
    assert (raised.value.words, raised.value.again) == (words, False)


def test_apprise_is_an_extra() -> None:
    with pytest.raises(NotDelivered, match="Apprise"):
        deliver(Channel("phone", Service(Secret("URL"))), NOTICE, 0.0, {"URL": "nonsense://x"})


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as smtplib needs."""

    taken = b"250 taken"

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
                self.wfile.write(b"221 bye\r\n")
                return
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


def test_a_mail_server_that_refuses_tls_gets_no_password() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as server:
        server.mail = b""  # type: ignore[attr-defined]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port = server.server_address[1]
        way = Mail(("a@b",), "c@d", "127.0.0.1", port, "starttls", "me", Secret("PASSWORD"))
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
        way = Mail(("a@b",), "c@d", "127.0.0.1", port, "none", "", Secret("PASSWORD"))
        with pytest.raises(NotDelivered) as raised:
            deliver(Channel("mail", way), NOTICE, 0.0, {"PASSWORD": "correct-horse-battery"})
        server.shutdown()
    assert "correct" not in raised.value.words


# hooks


def hook(place: Path, text: str, seconds: float = 20.0) -> Hook:
    (place / "hook").write_text(f"#!/bin/sh\n{text}\n")
    (place / "hook").chmod(0o755)
    return Hook((str(place / "hook"),), seconds)


def test_a_hook_gets_the_plan_and_no_secret_of_the_environment(tmp_path: Path) -> None:
    called = call_hook(
        hook(tmp_path, f"cat > {tmp_path}/got; env > {tmp_path}/env; echo agreed"),
        {"event": "before", "plan": {"model": "tiny", "text": "x" * 200_000}},
        {**os.environ, "HF_TOKEN": "hf_secret", "TOOLKIT_HISTORY": "postgresql://a:b@c/d"},
    )
    assert (called.agreed, called.words) == (True, "agreed")
    assert json.loads((tmp_path / "got").read_text())["plan"]["model"] == "tiny"
    assert "secret" not in (tmp_path / "env").read_text()
    assert "postgresql" not in (tmp_path / "env").read_text()


def test_a_hook_refuses_with_its_last_words_also_where_it_reads_and_says_too_much(
    tmp_path: Path,
) -> None:
    noisy = hook(
        tmp_path,
        "exec 0<&-; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo no change on Friday; exit 3",
    )
    called = call_hook(noisy, {"plan": {"text": "x" * 200_000}})
    assert not called.agreed
    assert called.words.endswith("no change on Friday")
    assert len(called.words) <= 510


@pytest.mark.parametrize("letters", [800, 30_000])
def test_a_hook_s_last_words_have_no_secret_that_began_before_them(
    tmp_path: Path, letters: int
) -> None:
    called = call_hook(
        hook(
            tmp_path,
            f"head -c {letters} /dev/zero | tr '\\0' w > {tmp_path}/word\n"
            f'echo "Authorization: Bearer $(cat {tmp_path}/word)"; echo refused; exit 1',
        ),
        {},
    )
    assert called.words == "Authorization: Bearer *** refused"


def test_a_hook_s_last_words_begin_at_a_whole_word_where_earlier_ones_are_lost(
    tmp_path: Path,
) -> None:
    endless = hook(tmp_path, "echo secret=; head -c 100000 /dev/zero | tr '\\0' s; exit 1")
    assert call_hook(endless, {}).words == "it ended with 1"
    long = hook(tmp_path, "head -c 100000 /dev/zero | tr '\\0' s; echo; echo refused; exit 1")
    assert call_hook(long, {}).words == "refused"


def test_a_hook_that_takes_too_long_is_killed_with_its_children(tmp_path: Path, pace: Pace) -> None:
    begun = pace()
    # Time enough to say so and to have a child, on a busy machine too.
    slow = hook(tmp_path, f"echo thinking; sleep 600 & echo $! > {tmp_path}/child; wait", 10.0)
    called = call_hook(slow, {})
    assert pace() - begun < 30
    assert not called.agreed
    assert "took longer than 10 s; it said: thinking" in called.words
    child = int((tmp_path / "child").read_text())
    until(lambda: not _runs(child), 60)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_hook_that_is_no_program_does_not_agree(tmp_path: Path) -> None:
    called = call_hook(Hook((str(tmp_path / "absent"),)), {})
    assert (
        called.agreed,
        called.words.endswith("cannot be called: No such file or directory"),
    ) == (False, True)


# the outbox


def test_what_waits_is_read_again_in_the_order_of_time(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    later = Notice("b", 2000.0, "stop", "done")
    for each in (later, NOTICE, NOTICE):
        assert box.put("ops", each).path
    found = list(Outbox(tmp_path).waiting())
    assert [(each.channel, each.notice) for each in found] == [("ops", NOTICE), ("ops", later)]
    box.remove(found[0])
    assert [each.notice for each in box.waiting()] == [later]


def test_refusals_are_counted_and_bring_back_nothing_that_was_delivered(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    box.put("ops", NOTICE)
    for number in (1, 2):
        [found] = box.waiting()
        assert (found.notice, box.refused(found)) == (NOTICE, number)
    [found] = box.waiting()
    assert found.refusals == 2
    # Two commands at once: one delivers what the other one has counted meanwhile, and a third one counts late.
    assert box.refused(found) == 3
    Outbox(tmp_path).remove(found)
    assert box.refused(found) == 3
    assert list(box.place.iterdir()) == []


def test_what_another_command_delivers_meanwhile_hides_nothing_that_waits(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    notices = [Notice(each, 1000.0, "stop", "done") for each in "abc"]
    for each in notices:
        box.put("ops", each)
    waiting = box.waiting()
    first = next(waiting)
    second, third = [each for each in box.waiting() if each.path != first.path]
    Outbox(tmp_path).remove(second)
    assert list(waiting) == [third]


@pytest.mark.parametrize("fault", [errno.EIO, errno.EACCES])
def test_a_notice_that_the_disk_does_not_give_back_hides_no_later_one_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    box = Outbox(tmp_path)
    lost, later = (box.put("ops", Notice(each, 1000.0, "stop", "done")) for each in "ab")
    first = min(box.place.glob("*.json"))
    [kept] = [each for each in (lost, later) if each.path != first]
    whole = Path.read_bytes

    def read(path: Path) -> bytes:
        if path == first:
            raise OSError(fault, os.strerror(fault), str(path))
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert list(box.waiting()) == [kept]
    assert first.exists()


def test_an_outbox_has_a_bound_and_drops_what_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.adapters.notices.outbox.MOST_FILES", 3)
    box = Outbox(tmp_path)
    for number in range(6):
        box.put("ops", Notice(str(number), 1000.0 + number, "stop", "done"))
    assert [each.notice.id for each in box.waiting()] == ["3", "4", "5"]
    for path, text in zip(
        sorted(box.place.glob("*.json")), ["", "[]", '{"channel": 1}'], strict=True
    ):
        path.write_text(text)
    assert list(box.waiting()) == []
    assert list(box.place.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"), [("at", "x"), ("at", 10**400), ("id", 5), ("command", None), ("outcome", [])]
)
def test_a_notice_with_a_value_of_a_wrong_kind_is_none(
    tmp_path: Path, name: str, value: object
) -> None:
    box = Outbox(tmp_path)
    box.put("ops", NOTICE)
    [path] = box.place.glob("*.json")
    found = json.loads(path.read_text())
    assert name in found["notice"]
    path.write_text(json.dumps({**found, "notice": {**found["notice"], name: value}}))
    assert list(box.waiting()) == []
    assert not path.exists()


def test_a_disk_that_takes_nothing_leaves_the_notice_in_memory(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("in the way")
    assert Outbox(tmp_path).put("ops", NOTICE).path is None
    assert list(Outbox(tmp_path).waiting()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_notice_has_no_reason_of_a_gate() -> None:
    assert "passed" not in NOTICE.text
    assert Notice.from_json(json.loads(json.dumps(NOTICE.as_json()))) == NOTICE
