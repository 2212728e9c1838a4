"""Within the engine that is measured: clocks around the recorder of use, and around nothing in its place.

A request says whether it passes the recorder. The clock is read wherever control enters the recorder or leaves it: from
the server and back, from the app and back, around the engine's `add_request` and in what runs later. Around nothing the
same clocks measure themselves. `GET /spent` has the sums of both.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from typing import Any

from toolkit_recorder.middleware import Recorder  # type: ignore[import-not-found]
from vllm.v1.engine.output_processor import OutputProcessor  # type: ignore[import-not-found]

RECORDED, SPENT = b"x-recorded", "/spent"
# Nanoseconds from which another program has had the processor meanwhile, in an event and in any other piece of work. It
# counts as the mean of the others.
EVENT, OTHER = 20_000, 1_000_000
# Times that the counters are written for one answer.
TIMES = 50
now = time.perf_counter_ns


class Sums:
    """The nanoseconds of pieces of work by their kind: [pieces, their sum, those that were interrupted]."""

    def __init__(self) -> None:
        self.kinds: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(self, kind: str, took: int) -> None:
        sums = self.kinds[kind]
        sums[0] += 1
        if took < (EVENT if kind == "event" else OTHER):
            sums[1] += took
        else:
            sums[2] += 1


class Clock:
    """The recorder around `app` with clocks on both of its sides, and `app` with them alone."""

    def __init__(self, app: Any) -> None:
        self.sums = {False: Sums(), True: Sums()}
        self.app = app
        plain = self._outside(OutputProcessor.add_request)
        OutputProcessor.add_request = self._leaving(OutputProcessor.add_request)
        self.recorder = Recorder(self._inside)
        self.adds = {False: plain, True: self._outside(OutputProcessor.add_request)}
        guarded = self.recorder._guarded

        def later(call: Any, *given: Any) -> None:
            began = now()
            guarded(call, *given)
            # The counters come every few seconds, whoever is asked then; see `_say`.
            if call.__name__ != "_count":
                self.sums[True].add("later", now() - began)

        self.recorder._guarded = later
        self.open = self.sums[False]
        self.since = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.recorder(scope, receive, send)
            return
        if scope["path"] == SPENT:
            await self._say(send)
            return
        # All requests that run at a time are of one kind.
        recorded = any(name == RECORDED for name, _ in scope["headers"])
        self.open, OutputProcessor.add_request = self.sums[recorded], self.adds[recorded]

        async def out_receive() -> Any:
            self.open.add("request", now() - mark[0])
            found = await receive()
            mark[0] = now()
            return found

        async def out_send(message: Any) -> None:
            sent[1] = now()
            await send(message)
            sent[2] = now()

        mark, sent = scope["clock"] = [0], [0, 0, 0]
        sums = self.open
        mark[0] = now()
        await (self.recorder if recorded else self._inside)(scope, out_receive, out_send)
        sums.add("request", now() - mark[0])

    async def _inside(self, scope: Any, receive: Any, send: Any) -> None:
        """Be the app of the recorder, and of nothing."""
        began = now()
        mark, sent = scope["clock"]
        sums = self.open
        sums.add("request", began - mark[0])

        async def in_receive() -> Any:
            mark[0] = now()
            found = await receive()
            sums.add("request", now() - mark[0])
            return found

        async def in_send(message: Any) -> None:
            sent[1] = 0
            sent[0] = began = now()
            await send(message)
            ended = now()
            # What is held goes out later, and its time is all the recorder's.
            took = sent[1] - began + ended - sent[2] if sent[1] else ended - began
            sums.add("event", took)

        await self.app(scope, in_receive, in_send)
        mark[0] = now()

    def _outside(self, add_request: Any) -> Any:
        def add(*given: Any, **named: Any) -> Any:
            began = now()
            done = add_request(*given, **named)
            ended = now()
            self.open.add("request", ended - began - self.since)
            return done

        return add

    def _leaving(self, add_request: Any) -> Any:
        def add(*given: Any, **named: Any) -> Any:
            began = now()
            done = add_request(*given, **named)
            self.since = now() - began
            return done

        return add

    async def _say(self, send: Any) -> None:
        """Answer with the sums, the thread of the recorder, and the processor seconds that counters take it."""
        began = time.thread_time()
        for _ in range(TIMES):
            self.recorder._told = ()
            self.recorder._count()
        counting = (time.thread_time() - began) / TIMES
        found = {
            "thread": threading.get_native_id(),
            "counting": counting,
            "faults": self.recorder.faults,
            "plain": self.sums[False].kinds,
            "recorded": self.sums[True].kinds,
        }
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(found).encode()})
