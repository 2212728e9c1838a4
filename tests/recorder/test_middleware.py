"""The recorder around a server: a line for each request, and nothing of what passes is changed."""

from __future__ import annotations

import asyncio
import operator
import sys
from typing import Any

import pytest
from toolkit_recorder import middleware, states
from toolkit_recorder.middleware import Recorder

from tests.recorder.recorder_lab import CHAT, REQUESTS, Lab, ask, come, run


@pytest.mark.parametrize(("body", "counts"), REQUESTS)
def test_a_request_is_a_line(engine_lab: Lab, body: Any, counts: tuple[int, ...]) -> None:
    run(ask(engine_lab.recorder, body))
    (line,) = engine_lab.records()
    assert (line["in"], line["asked"], line["cached"], line["out"]) == counts
    assert {name: line[name] for name in ("n", "key", "model", "api", "id", "end")} == {
        "n": 1,
        "key": "ann",
        "model": "tiny",
        "api": CHAT,
        "id": "r",
        "end": "whole",
    }
    assert (line["first"] is None) is not bool(body.get("stream"))
    engine_lab.agrees()


def test_a_line_has_no_word_of_prompt_or_answer(engine_lab: Lab) -> None:
    run(ask(engine_lab.recorder, {"stream": True, "messages": "secret"}))
    text = "".join(each.read_text() for each in engine_lab.directory.iterdir())
    assert ("secret" in text, "xxx" in text, "content" in text) == (False, False, False)
    assert set(engine_lab.records()[0]) == {
        "n", "at", "key", "model", "api", "id", "in", "cached", "out", "reasoning", "asked", "end",
        "seconds", "first",
    }  # fmt: skip


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("leave", [1, 2, 5])
def test_a_client_that_leaves_is_counted_until_then(engine_lab: Lab, leave: int, n: int) -> None:
    body = {"prompts": [12], "tokens": 50, "n": n, "stream": True, "pause": 0.002}

    async def work() -> None:
        await ask(engine_lab.recorder, body, leave=leave)
        await asyncio.sleep(0.05)

    asyncio.run(work())
    (line,) = engine_lab.records()
    assert (line["end"], line["in"], line["asked"]) == ("left", 12, 12 * n)
    assert leave * n <= line["out"] < 50 * n
    engine_lab.agrees()


def test_a_client_that_leaves_before_the_first_token_has_used_what_was_computed(
    engine_lab: Lab,
) -> None:
    async def work() -> None:
        await ask(engine_lab.recorder, {"pause": 0.05, "stream": True}, leave=0)
        came: asyncio.Queue[Any] = asyncio.Queue()
        came.put_nowait({"type": "http.request", "body": b'{"pause": 9}', "more_body": False})
        came.put_nowait({"type": "http.disconnect"})

        async def send(message: Any) -> None:
            """Nobody listens."""

        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": ()}
        await engine_lab.recorder(scope, came.get, send)

    asyncio.run(work())
    line = engine_lab.records()[-1]
    assert (line["end"], line["in"], line["asked"], line["out"]) == ("left", 0, 0, 0)
    engine_lab.agrees()


@pytest.mark.parametrize(
    ("body", "end"), [({"refused": 400}, "refused"), ({"refused": 503}, "failed")]
)
def test_a_request_that_the_engine_refuses_has_no_tokens(
    engine_lab: Lab, body: Any, end: str
) -> None:
    run(ask(engine_lab.recorder, body))
    (line,) = engine_lab.records()
    assert (line["end"], line["in"], line["out"]) == (end, 0, 0)


def test_an_engine_that_fails_amid_an_answer(engine_lab: Lab) -> None:
    with pytest.raises(RuntimeError, match="dead"):
        run(ask(engine_lab.recorder, {"prompts": [12], "stream": True, "fails": 2}))
    (line,) = engine_lab.records()
    assert (line["end"], line["in"], line["out"]) == ("failed", 12, 2)
    engine_lab.agrees()


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ((), "probe"),
        (((b"x-toolkit-probe", b"1"),), "probe"),
        (((b"x-toolkit-key", b"-"),), "-"),
        (((b"x-toolkit-key", b"team.a"),), "team.a"),
        # A server may append the trailers of a chunked body, which a router cannot take out.
        (((b"x-toolkit-key", b"ann"), (b"x-toolkit-key", b"bob")), "ann"),
        (((b"x-toolkit-key", b"ann"), (b"x-toolkit-key", b"probe")), "ann"),
    ],
)
def test_whose_a_request_is(engine_lab: Lab, headers: Any, key: str) -> None:
    run(ask(engine_lab.recorder, {}, headers=headers))
    assert [line["key"] for line in engine_lab.records()] == [key]


def test_a_request_has_the_id_that_the_router_gave_it(engine_lab: Lab) -> None:
    run(ask(engine_lab.recorder, {}, headers=((b"x-request-id", b"r"), (b"x-request-id", b"s"))))
    assert [line["id"] for line in engine_lab.records()] == ["r"]


def test_an_adapter_is_named_in_place_of_its_base(engine_lab: Lab) -> None:
    run(ask(engine_lab.recorder, {"adapter": "law"}))
    assert engine_lab.records()[0]["model"] == "law"


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_are_counted_where_the_engine_tells_them(engine_lab: Lab, stream: bool) -> None:
    run(ask(engine_lab.recorder, {"stream": stream, "thoughts": 2}))
    run(ask(engine_lab.recorder, {"stream": stream}))
    assert [line["reasoning"] for line in engine_lab.records()] == [2, None]


@pytest.mark.parametrize(
    ("path", "method", "body", "lines"),
    [
        ("/v1/load_lora_adapter", "POST", {"refused": 200}, 0),
        ("/tokenize", "POST", {"refused": 200}, 0),
        (CHAT, "GET", {"refused": 404}, 0),
        ("/health", "GET", {"refused": 200}, 0),
        # Whatever the engine computes for is use, under any path.
        ("/invocations", "POST", {}, 1),
    ],
)
def test_what_uses_nothing_is_no_line(
    engine_lab: Lab, path: str, method: str, body: Any, lines: int
) -> None:
    run(ask(engine_lab.recorder, body, path=path, method=method))
    assert len(engine_lab.records()) == lines


def test_many_at_once_are_kept_apart(engine_lab: Lab) -> None:
    async def work() -> None:
        await asyncio.gather(
            *(
                ask(
                    engine_lab.recorder,
                    {"prompts": [each], "tokens": each, "stream": each % 2 == 0, "pause": 0.0001},
                    headers=((b"x-toolkit-key", f"k{each}".encode()),),
                    leave=3 if each % 7 == 0 else 0,
                )
                for each in range(1, 60)
            )
        )
        await asyncio.sleep(0.05)

    asyncio.run(work())
    lines = engine_lab.records()
    assert sorted(line["n"] for line in lines) == list(range(1, 60))
    for line in lines:
        own = int(line["key"][1:])
        assert line["in"] == own
        assert line["out"] == own or line["end"] == "left"
    engine_lab.agrees()


def test_what_is_computed_after_an_answer_is_a_line_of_its_own(engine_lab: Lab) -> None:
    """A response in the background is computed when its request was answered long ago."""

    async def work() -> None:
        await ask(engine_lab.recorder, {"prompts": [12], "later": 0.02})
        await come(lambda: len(engine_lab.records()) == 2)

    asyncio.run(work())
    first, second = engine_lab.records()
    assert (first["in"], first["key"], first["end"]) == (0, "ann", "whole")
    assert (second["in"], second["out"], second["key"], second["api"]) == (12, 3, "ann", CHAT)
    engine_lab.agrees()


def test_counters_follow_and_tell_what_is_still_open(
    engine_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "BETWEEN", 0.05)

    async def work() -> None:
        slow = {"prompts": [9], "tokens": 20, "pause": 0.05, "stream": True}
        long = asyncio.create_task(ask(engine_lab.recorder, slow))
        await ask(engine_lab.recorder, {"prompts": [12], "tokens": 4})
        await long
        await come(lambda: engine_lab.lines()[-1].get("open") == 0)

    asyncio.run(work())
    lines = engine_lab.lines()
    counted = [line for line in lines if "counters" in line]
    assert len(counted) >= 2
    for line in counted:
        before = [each for each in lines if "key" in each and each["n"] <= line["n"]]
        for name, mine in (("in", "asked"), ("out", "out")):
            sum_of_records = sum(each[mine] for each in before)
            assert sum_of_records + line["running"][name] == line["counters"][name]
    assert counted[0]["open"] == 1
    assert {name: counted[-1][name] for name in ("counters", "n", "open", "faults")} == {
        "counters": {"in": 21, "out": 24},
        "n": 2,
        "open": 0,
        "faults": 0,
    }


def test_an_orderly_end_writes_the_last_counters(engine_lab: Lab) -> None:
    async def work() -> None:
        await ask(engine_lab.recorder, {"prompts": [12], "tokens": 4})
        came: asyncio.Queue[Any] = asyncio.Queue()
        for each in ("startup", "shutdown"):
            came.put_nowait({"type": f"lifespan.{each}"})
        went: list[str] = []

        async def send(message: Any) -> None:
            went.append(message["type"])

        await engine_lab.recorder({"type": "lifespan"}, came.get, send)
        assert went == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    asyncio.run(work())
    assert engine_lab.lines()[-1]["counters"] == {"in": 12, "out": 4}


class TestFaults:
    """The engine serves whatever becomes of the recorder."""

    @pytest.mark.parametrize("told", [None, "", "{}", '{"directory": "/proc/no", "model": "tiny"}'])
    def test_without_a_place_to_write(
        self, engine_lab: Lab, monkeypatch: pytest.MonkeyPatch, told: str | None, capsys: Any
    ) -> None:
        if told is None:
            monkeypatch.delenv("TOOLKIT_USE")
        else:
            monkeypatch.setenv("TOOLKIT_USE", told)
        recorder = Recorder(engine_lab.plain)
        went = run(ask(recorder, {"stream": True}))
        assert went == run(ask(engine_lab.plain, {"stream": True}))
        assert recorder.faults == 1
        assert "use of a request is not recorded" in capsys.readouterr().err

    def test_a_disk_that_takes_nothing(self, engine_lab: Lab, capsys: Any) -> None:
        assert engine_lab.recorder.book is not None
        engine_lab.recorder.book.close()
        for _ in range(3):
            assert run(ask(engine_lab.recorder, {}))[0]["status"] == 200
        assert engine_lab.recorder.faults >= 3
        assert capsys.readouterr().err.count("\n") == 1

    def test_a_request_without_a_line_costs_no_other_that_ends_at_once(
        self, engine_lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = middleware.fields

        def fields(who: Any, *given: Any) -> str:
            if who[0] == "k1":
                raise ValueError("no line")
            return real(who, *given)

        monkeypatch.setattr(middleware, "fields", fields)

        async def work() -> None:
            keys = [((b"x-toolkit-key", f"k{each}".encode()),) for each in range(3)]
            await asyncio.gather(*(ask(engine_lab.recorder, {}, headers=key) for key in keys))

        asyncio.run(work())
        assert sorted(line["key"] for line in engine_lab.records()) == ["k0", "k2"]
        assert engine_lab.recorder.faults == 1

    def test_states_that_it_does_not_know(
        self, engine_lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(states, "figures", operator.attrgetter("renamed"))
        assert run(ask(engine_lab.recorder, {"stream": True}))[0]["status"] == 200
        assert engine_lab.recorder.faults == 1
        (line,) = engine_lab.records()
        assert [line[name] for name in ("in", "cached", "out", "asked")] == [None] * 4

    @pytest.mark.parametrize(
        ("body", "counts"),
        [
            ({"prompts": [12], "tokens": 4}, (12, 4, None)),
            ({"prompts": [12], "tokens": 4, "stream": True, "usage": True}, (12, 4, None)),
            # Where the engine keeps the usage of a stream that tells none.
            ({"prompts": [12], "tokens": 4, "stream": True}, (12, 4, None)),
        ],
    )
    def test_an_engine_that_cannot_be_watched_is_believed(
        self, engine_lab: Lab, body: Any, counts: tuple[Any, ...]
    ) -> None:
        del sys.modules["vllm.v1.engine.output_processor"]
        recorder = Recorder(engine_lab.plain)
        run(ask(recorder, body))
        line = engine_lab.records()[-1]
        assert (line["in"], line["out"], line["asked"]) == counts
