"""Constant load on an OpenAI-compatible endpoint: each answer is compared with the known right ones.

Short requests and long streams run side by side on kept-alive connections, as a team's applications would run them.
No request is sent twice: an answer that a client would have to retry counts as failed.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Any

# The longest time that an answer may send nothing.
SILENCE_SECONDS = 120.0


class Verdict(StrEnum):
    """The judgement over an answer. A `mixed` answer is complete, but it is the known answer of no version."""

    OK = "ok"
    FAILED = "failed"
    TRUNCATED = "truncated"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and its outcome. Times are seconds since the epoch.

    `version` is the version whose known answer came back, empty unless the verdict is ok. `slot` is the router's
    `X-Toolkit-Slot` header. `detail` is the reason for any other verdict than ok.
    """

    stream: bool
    verdict: Verdict
    sent_at: float
    ended_at: float
    version: str = ""
    slot: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """All answers, in the order of their requests."""

    answers: tuple[Answer, ...]

    def number(self, verdict: Verdict, *, stream: bool | None = None) -> int:
        """Return the number of answers with this verdict; `stream` limits it to streams or to short requests."""
        return sum(
            answer.verdict is verdict and stream in (None, answer.stream) for answer in self.answers
        )

    @property
    def bad(self) -> tuple[Answer, ...]:
        """The answers that failed, were truncated or mixed."""
        return tuple(answer for answer in self.answers if answer.verdict is not Verdict.OK)

    @property
    def versions(self) -> dict[str, int]:
        """The number of right answers of each version."""
        return dict(Counter(a.version for a in self.answers if a.verdict is Verdict.OK))

    def last_sent(self, version: str, *, after: float = 0.0) -> float | None:
        """Return the time of the last request at or after `after` that `version` answered, None without any."""
        return max(self._times(version, after), default=None)

    def first_sent(self, version: str, *, after: float = 0.0) -> float | None:
        """Return the time of the first request at or after `after` that `version` answered, None without any."""
        return min(self._times(version, after), default=None)

    def as_json(self) -> dict[str, Any]:
        """Return the figures, without the single answers."""
        figures: dict[str, Any] = {
            "short": sum(not answer.stream for answer in self.answers),
            "streams": sum(answer.stream for answer in self.answers),
            "versions": self.versions,
        }
        figures |= {str(verdict): self.number(verdict) for verdict in Verdict}
        figures["bad"] = dict(Counter(f"{a.verdict}: {a.detail}" for a in self.bad))
        return figures

    def _times(self, version: str, after: float) -> list[float]:
        return [a.sent_at for a in self.answers if a.version == version and a.sent_at >= after]


class Load:
    """Load that runs from `start` to `stop`.

    `base_url` is the router's (`http://127.0.0.1:8080`). `known_answers` is {prompt: {version: answer}}; answers must
    match exactly. The fields of `extra` are added to every request's body. With both `ignore_eos` and `max_tokens` in
    `extra`, an answer must have `max_tokens` tokens and begin with a known answer. Each short worker waits `pause`
    seconds between two requests.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        known_answers: Mapping[str, Mapping[str, str]],
        *,
        short_workers: int = 4,
        stream_workers: int = 2,
        extra: Mapping[str, Any] | None = None,
        pause: float = 0.0,
    ) -> None:
        parts = urllib.parse.urlsplit(base_url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._path = parts.path.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"
        self._model, self._known = model, known_answers
        self._extra, self._pause = dict(extra or {}), pause
        self._turn = count()
        self._stopped = threading.Event()
        self._answers: list[Answer] = []
        self._lock = threading.Lock()
        streams = [False] * short_workers + [True] * stream_workers
        self._threads = [
            threading.Thread(target=self._work, args=(stream,), daemon=True) for stream in streams
        ]

    def start(self) -> Load:
        """Start the workers."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> LoadReport:
        """Send no further requests, wait for the running ones, and return the report."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(SILENCE_SECONDS + 5)
        return self.report()

    def report(self) -> LoadReport:
        """Return the answers so far; the load continues."""
        with self._lock:
            answers = sorted(self._answers, key=lambda answer: answer.sent_at)
        return LoadReport(tuple(answers))

    def wait_for(self, enough: Callable[[LoadReport], bool], timeout: float) -> LoadReport:
        """Return the first report for which `enough` is true; raises TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not enough(report := self.report()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout:.0f} s of load: {report.as_json()}")
            time.sleep(0.05)
        return report

    def _work(self, stream: bool) -> None:
        connection = self._connect()
        prompts = list(self._known)
        while not self._stopped.is_set():
            prompt = prompts[next(self._turn) % len(prompts)]
            answer = self._request(connection, prompt, stream)
            with self._lock:
                self._answers.append(answer)
            if answer.verdict is Verdict.FAILED:
                connection.close()
                connection = self._connect()
                self._stopped.wait(0.02)
            elif self._pause and not stream:
                self._stopped.wait(self._pause)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._address, timeout=SILENCE_SECONDS)

    def _request(self, connection: http.client.HTTPConnection, prompt: str, stream: bool) -> Answer:
        extra = self._extra
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "stream": stream,
            **({"stream_options": {"include_usage": True}} if stream else {}),
            **extra,
        }
        sent_at, slot = time.time(), ""
        try:
            connection.request(
                "POST", self._path, json.dumps(body), {"Content-Type": "application/json"}
            )
            # A response with `Connection: close` owns the socket, so the response itself must be closed.
            with connection.getresponse() as response:
                slot = response.headers.get("X-Toolkit-Slot", "")
                if response.status != 200:
                    reason = f"{response.status} {response.read()[:200].decode(errors='replace')}"
                    return Answer(stream, Verdict.FAILED, sent_at, time.time(), "", slot, reason)
                text, finish, tokens = _read_stream(response) if stream else _read_whole(response)
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            return Answer(stream, Verdict.FAILED, sent_at, time.time(), "", slot, reason)
        asked = int(extra["max_tokens"]) if extra.get("ignore_eos") and "max_tokens" in extra else 0
        verdict, word = judge(text, finish, tokens, self._known[prompt], asked)
        version, detail = (word, "") if verdict is Verdict.OK else ("", word)
        return Answer(stream, verdict, sent_at, time.time(), version, slot, detail)


def judge(
    text: str, finish: str, tokens: int, known: Mapping[str, str], asked: int = 0
) -> tuple[Verdict, str]:
    """Return the verdict over an answer, and its version or the fault.

    `finish` is the finish_reason, empty for a stream that ended without `[DONE]`. With `asked` > 0 the answer must have
    that many `tokens` and begin with a known answer; with 0 the text must be a known answer.
    """
    if finish not in ("stop", "length"):
        return Verdict.TRUNCATED, f"ended with {finish or 'nothing'}"
    if asked and tokens < asked:
        return Verdict.TRUNCATED, f"{tokens} of {asked} tokens"
    for version, answer in known.items():
        if text == answer or (asked and text.startswith(answer)):
            return Verdict.OK, version
    if any(answer.startswith(text) for answer in known.values()):
        return Verdict.TRUNCATED, f"only {text[:80]!r}"
    return Verdict.MIXED, f"no known answer: {text[:80]!r}"


def _read_whole(response: http.client.HTTPResponse) -> tuple[str, str, int]:
    data = json.loads(response.read())
    choice = data["choices"][0]
    tokens = (data.get("usage") or {}).get("completion_tokens", 0)
    return choice["message"]["content"] or "", choice.get("finish_reason") or "", tokens


def _read_stream(response: http.client.HTTPResponse) -> tuple[str, str, int]:
    """Return text, finish_reason and tokens of an event stream; the reason is empty if `[DONE]` is missing."""
    text, finish, tokens, done = "", "", 0, False
    while line := _line(response):
        if not line.startswith(b"data: "):
            continue
        data = line[6:].strip()
        if data == b"[DONE]":
            done = True
            continue
        event = json.loads(data)
        if "error" in event:
            raise ValueError(f"the stream says {str(event['error'])[:200]}")
        tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
        for choice in event.get("choices", ()):
            text += choice["delta"].get("content") or ""
            finish = choice.get("finish_reason") or finish
    return text, finish if done else "", tokens


def _line(response: http.client.HTTPResponse) -> bytes:
    """Return the next line, or nothing at the end of the stream, even if the connection broke there."""
    try:
        # The empty read at the end lets http.client reuse the connection for the next request.
        return response.readline() or response.read()
    except http.client.IncompleteRead:
        return b""
