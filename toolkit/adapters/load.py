"""Constant load on an OpenAI-compatible address whose right answers are known, judged answer by answer.

Short requests and long streams run side by side on kept connections, as the clients of a team's applications do.
Nothing is sent twice: what a client would have to retry counts as failed here.
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


class Verdict(StrEnum):
    """How an answer is judged. `mixed` is complete, but no version's known answer."""

    OK = "ok"
    FAILED = "failed"
    TRUNCATED = "truncated"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and how it ended. Times are seconds since the epoch; `sent_at` is when it was sent.

    `version` is the one whose known answer came, empty unless the verdict is ok; `slot` what the router
    said; `detail` why it is not ok.
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
    """Every answer, in the order of sending."""

    answers: tuple[Answer, ...]

    def number(self, verdict: Verdict, *, stream: bool | None = None) -> int:
        """Return how many answers have this verdict; of streams or short requests alone, if asked."""
        return sum(
            answer.verdict is verdict and stream in (None, answer.stream) for answer in self.answers
        )

    @property
    def bad(self) -> tuple[Answer, ...]:
        """The answers that failed, were truncated or mixed."""
        return tuple(answer for answer in self.answers if answer.verdict is not Verdict.OK)

    @property
    def versions(self) -> dict[str, int]:
        """How many right answers each version gave."""
        return dict(Counter(a.version for a in self.answers if a.verdict is Verdict.OK))

    def last_sent(self, version: str, *, after: float = 0.0) -> float | None:
        """Return when the last request was sent that `version` answered, None if none after `after`."""
        times = [a.sent_at for a in self.answers if a.version == version and a.sent_at >= after]
        return max(times, default=None)

    def first_sent(self, version: str, *, after: float = 0.0) -> float | None:
        """Return when the first request was sent that `version` answered at or after `after`."""
        times = [a.sent_at for a in self.answers if a.version == version and a.sent_at >= after]
        return min(times, default=None)

    def seconds(self, share: float, *, stream: bool = False) -> float:
        """Return the time within which `share` (0.99) of the right answers were complete; 0 if none."""
        times = sorted(
            a.ended_at - a.sent_at
            for a in self.answers
            if a.stream is stream and a.verdict is Verdict.OK
        )
        return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0

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


class Load:
    """Load that runs from `start` to `stop`.

    `base_url` is the router's (`http://127.0.0.1:8080`). `known_answers` is {prompt: {version: answer}},
    and the answers are compared to the letter. `short_extra` and `stream_extra` are added to the requests'
    bodies. Where `stream_extra` has both `ignore_eos` and `max_tokens`, a stream is as long as asked and only
    its beginning is a known answer. `limit` bounds the number of short requests, `timeout` (seconds) the
    silence within an answer, `pause` (seconds) slows each short worker.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        known_answers: Mapping[str, Mapping[str, str]],
        *,
        short_workers: int = 4,
        stream_workers: int = 2,
        short_extra: Mapping[str, Any] | None = None,
        stream_extra: Mapping[str, Any] | None = None,
        limit: int | None = None,
        timeout: float = 120.0,
        pause: float = 0.0,
    ) -> None:
        parts = urllib.parse.urlsplit(base_url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._path = parts.path.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"
        self._model, self._known = model, known_answers
        self._extra = {False: dict(short_extra or {}), True: dict(stream_extra or {})}
        self._limit, self._timeout, self._pause = limit, timeout, pause
        self._turn, self._shorts = count(), count()
        self._stopped = threading.Event()
        self._answers: list[Answer] = []
        self._lock = threading.Lock()
        streams = [False] * short_workers + [True] * stream_workers
        self._threads = [
            threading.Thread(target=self._work, args=(stream,), daemon=True) for stream in streams
        ]

    def start(self) -> Load:
        """Begin to send."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> LoadReport:
        """Send nothing more, let what runs come to its end, and return the report."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(self._timeout + 5)
        return self.report()

    def report(self) -> LoadReport:
        """Return what is known so far; the load goes on."""
        with self._lock:
            answers = sorted(self._answers, key=lambda answer: answer.sent_at)
        return LoadReport(tuple(answers))

    def wait_for(self, enough: Callable[[LoadReport], bool], timeout: float) -> LoadReport:
        """Return the first report that `enough` likes; raises TimeoutError after `timeout` seconds."""
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
            turn = next(self._turn)
            if not stream and self._limit is not None and next(self._shorts) >= self._limit:
                break
            answer = self._ask(connection, prompts[turn % len(prompts)], stream)
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
        return http.client.HTTPConnection(*self._address, timeout=self._timeout)

    def _ask(self, connection: http.client.HTTPConnection, prompt: str, stream: bool) -> Answer:
        extra = self._extra[stream]
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
            # closed in every case: an answer that announces the connection's end keeps its socket itself
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
    """Return the verdict on a text, and the version that it is of or what is wrong with it.

    `finish` is the finish_reason, empty where the answer ended without `[DONE]`; `asked` the number of
    tokens that a stream was told to have, whatever they are (0: none, the text is all of the answer).
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
    """Return text, finish_reason and tokens of a stream of events; no reason where `[DONE]` is missing."""
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
    """Return the next line; nothing at the end, be it the proper one or not."""
    try:
        # reading nothing more at the end is what hands the connection back for the next request
        return response.readline() or response.read()
    except http.client.IncompleteRead:
        return b""
