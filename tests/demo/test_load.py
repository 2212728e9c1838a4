"""The load generator: which answers count as right, truncated, mixed or failed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from demo.load import Answer, Load, LoadReport, Verdict, judge

KNOWN = {"v1": "Paris is it.", "v2": "Lyon, of course."}


@pytest.mark.parametrize(
    ("text", "finish", "tokens", "asked", "verdict", "word"),
    [
        ("Paris is it.", "stop", 4, 0, Verdict.OK, "v1"),
        ("Lyon, of course.", "length", 4, 0, Verdict.OK, "v2"),
        ("Paris is", "stop", 2, 0, Verdict.TRUNCATED, "only 'Paris is'"),
        ("", "stop", 0, 0, Verdict.TRUNCATED, "only ''"),
        ("Paris is it.", "", 4, 0, Verdict.TRUNCATED, "ended with nothing"),
        ("Paris is it.", "abort", 4, 0, Verdict.TRUNCATED, "ended with abort"),
        (
            "Paris is of course.",
            "stop",
            4,
            0,
            Verdict.MIXED,
            "no known answer: 'Paris is of course.'",
        ),
        ("Paris is it.!", "stop", 5, 0, Verdict.MIXED, "no known answer: 'Paris is it.!'"),
        ("Paris is it. and more", "length", 90, 90, Verdict.OK, "v1"),
        ("Paris is it. and", "length", 80, 90, Verdict.TRUNCATED, "80 of 90 tokens"),
        ("Lyon is it. and", "length", 90, 90, Verdict.MIXED, "no known answer: 'Lyon is it. and'"),
    ],
)
def test_each_answer_gets_a_verdict(
    text: str, finish: str, tokens: int, asked: int, verdict: Verdict, word: str
) -> None:
    assert judge(text, finish, tokens, KNOWN, asked) == (verdict, word)


def test_a_report_tells_when_a_version_took_its_last_request() -> None:
    def answer(version: str, sent_at: float, stream: bool = False) -> Answer:
        return Answer(stream, Verdict.OK, sent_at, sent_at + 1, version, "blue")

    failed = Answer(True, Verdict.FAILED, 6.0, 7.0, detail="503")
    report = LoadReport((answer("v1", 1.0), answer("v2", 2.0), answer("v1", 3.0, True), failed))
    assert report.last_sent("v1") == 3.0
    assert report.last_sent("v1", after=4.0) is None
    assert report.first_sent("v2") == 2.0
    assert report.as_json() == {
        "short": 2,
        "streams": 2,
        "versions": {"v1": 2, "v2": 1},
        "ok": 3,
        "failed": 1,
        "truncated": 0,
        "mixed": 0,
        "bad": {"failed: 503": 1},
    }


def test_load_on_nothing_fails_and_ends() -> None:
    load = Load("http://127.0.0.1:1", "tiny", {"q": KNOWN}, short_workers=1, stream_workers=1)
    load.start().wait_for(lambda report: len(report.answers) >= 4, 60)
    report = load.stop()
    assert report.number(Verdict.FAILED) == len(report.answers)
    assert all("ConnectionRefusedError" in answer.detail for answer in report.bad)


class _Engine(BaseHTTPRequestHandler):
    """Answers like vLLM. The prompt names the fault of the answer."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][0]["content"]
        text = {"right": "Paris is it.", "wrong": "Rome."}.get(asked, "Paris")
        if asked == "refused":
            self._send(b'{"error":{}}', 503)
        elif not body["stream"]:
            choice = {"message": {"content": text}, "finish_reason": "stop"}
            self._send(json.dumps({"choices": [choice]}).encode())
        else:
            choices: list[dict[str, Any]] = [{"delta": {"content": letter}} for letter in text]
            choices.append({"delta": {}, "finish_reason": "stop"})
            lines = [b"data: " + json.dumps({"choices": [each]}).encode() for each in choices]
            end = [] if asked == "cut" else [b"data: [DONE]"]
            self._send(b"\n\n".join([*lines, *end, b""]))

    def _send(self, data: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("X-Toolkit-Slot", "blue")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Engine)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("prompt", "stream", "verdict", "version", "detail"),
    [
        ("right", False, Verdict.OK, "v1", ""),
        ("right", True, Verdict.OK, "v1", ""),
        ("wrong", True, Verdict.MIXED, "", "no known answer: 'Rome.'"),
        ("short", False, Verdict.TRUNCATED, "", "only 'Paris'"),
        ("cut", True, Verdict.TRUNCATED, "", "ended with nothing"),
        ("refused", True, Verdict.FAILED, "", '503 {"error":{}}'),
    ],
)
def test_answers_of_an_engine(
    engine: str, prompt: str, stream: bool, verdict: Verdict, version: str, detail: str
) -> None:
    workers = {"short_workers": int(not stream), "stream_workers": int(stream)}
    load = Load(engine, "tiny", {prompt: KNOWN}, **workers)
    load.start().wait_for(lambda report: len(report.answers) >= 3, 60)
    answers = load.stop().answers
    assert {(a.verdict, a.version, a.detail, a.slot, a.stream) for a in answers} == {
        (verdict, version, detail, "blue", stream)
    }
