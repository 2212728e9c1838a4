"""Old and new are asked in turn, with the same fresh prompts, and their times are taken."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import pairs

WANTED: dict[str, Any] = {
    "path": "/v1/chat/completions",
    "payload": {"stream": True, "messages": [{"content": "{fresh}: hello"}]},
    "pairs": 4,
    "concurrency": 2,
    "timeout": 60,
}


@contextmanager
def engine(
    seen: list[tuple[str, str]], name: str, pause: float, status: int = 200
) -> Iterator[int]:
    """A server that notes (its name, the prompt) and streams two tokens, `pause` seconds before each."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((name, asked["messages"][0]["content"]))
            self.send_response(status)
            self.end_headers()
            if status != 200:
                self.wfile.write(b"no")
                return
            for word in ("sea", "wind"):
                time.sleep(pause)
                self.say({"choices": [{"delta": {"content": word}}]})
            self.say({"choices": [], "usage": {"completion_tokens": 2}})
            self.wfile.write(b"data: [DONE]\n\n")

        def say(self, event: dict[str, Any]) -> None:
            self.wfile.write(b"data: %s\n\n" % json.dumps(event).encode())
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_both_get_the_same_fresh_prompts_in_turn() -> None:
    seen: list[tuple[str, str]] = []
    reports: list[dict[str, Any]] = []
    with engine(seen, "new", 0.2) as new, engine(seen, "old", 0.001) as old:
        found = pairs.pairs({**WANTED, "new": new, "old": old}, reports.append)["pairs"]
    assert reports == [{"pair": 1}, {"pair": 2}, {"pair": 3}, {"pair": 4}]
    turns = [seen[at : at + 2] for at in range(0, 16, 2)]
    assert [{name for name, _ in turn} for turn in turns] == [
        {"new"}, {"old"}, {"old"}, {"new"}, {"new"}, {"old"}, {"old"}, {"new"},
    ]  # fmt: skip
    prompts = [sorted(prompt for _, prompt in turn) for turn in turns]
    assert prompts[0::2] == prompts[1::2]
    assert len({prompt for turn in prompts for prompt in turn}) == 8
    assert all(prompt.endswith(": hello") for turn in prompts for prompt in turn)
    for each in found:
        assert each["new"]["tokens"] == 4
        assert (each["new"]["failed"], each["new"]["asked"]) == (0, 2)
        assert each["new"]["first"] >= 0.2
        # A word that is read late makes the gap after it shorter.
        assert each["new"]["next"] >= 0
        assert each["new"]["first"] + each["new"]["next"] >= 0.4
        assert each["new"]["seconds"] >= each["new"]["whole"] >= 0.4
    # On a busy machine one pair may be late, and not all of them.
    assert min(each["old"]["first"] for each in found) < min(each["new"]["first"] for each in found)


def test_two_adapters_of_one_replica_are_asked_by_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, list[str]]] = []

    def turn(port: int, path: str, payloads: list[dict[str, Any]], timeout: float) -> None:
        asked.append((port, [each["model"] for each in payloads]))

    monkeypatch.setattr(pairs, "turn", turn)
    payload = {**WANTED["payload"], "model": "sql@new"}
    wanted = {**WANTED, "payload": payload, "pairs": 1, "new": 7, "old": 7, "former": "sql"}
    pairs.pairs(wanted, lambda _: None)
    assert asked == [(7, ["sql@new"] * 2), (7, ["sql"] * 2)]


def test_failed_requests_are_counted_and_have_no_times() -> None:
    with engine([], "new", 0, status=500) as new:
        (found,) = pairs.pairs({**WANTED, "pairs": 1, "new": new, "old": 0}, lambda _: None)[
            "pairs"
        ]
    assert found["old"] is None
    assert (found["new"]["failed"], found["new"]["asked"], found["new"]["error"]) == (2, 2, "no")
    assert (found["new"]["first"], found["new"]["whole"], found["new"]["tokens"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        ({"events": [], "body": '{"usage": {"completion_tokens": 7}}', "first": None, "gaps": []}, 7),
        ({"events": [], "body": '{"data": []}', "first": None, "gaps": []}, 0),
        ({"events": ["{}", '{"usage": null}'], "body": "", "first": 0.1, "gaps": [0.1, 0.1]}, 3),
        ({"events": ["no JSON"], "body": "", "first": None, "gaps": []}, 0),
        ({"events": ['{"usage": {"completion_tokens": -1}}'], "body": "", "first": 1.0, "gaps": []}, 1),
    ],
)  # fmt: skip
def test_tokens_are_counted_by_the_engines_word_or_by_its_events(
    answer: dict[str, Any], tokens: int
) -> None:
    assert pairs._tokens(answer) == tokens
