"""Root puts an engine to sleep and wakes it; meanwhile the server says that it is down."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toolkit_recorder.middleware import Recorder

from tests.recorder.engine_double import Engine, living

OK = {"ok": True, "why": ""}


class Site:
    """A server that is up, with the recorder around it and an engine behind it."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path, self.engine, self.reached = path, engine, list[str]()
        self.recorder = Recorder(self.serve)

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await send({"type": scope.get("says", "lifespan.startup.complete")})
            return
        self.reached.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def __aenter__(self) -> Site:
        await self.recorder(living(self.engine), self.nothing, self.deaf)
        return self

    async def __aexit__(self, *_: object) -> None:
        ending = {"type": "lifespan", "says": "lifespan.shutdown.complete"}
        await self.recorder(ending, self.nothing, self.deaf)

    async def status(self, method: str, path: str) -> int:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": []}
        await self.recorder(scope, self.nothing, send)
        return int(sent[0]["status"])

    async def told(self, word: str) -> Any:
        handle = os.open(self.path.parent, os.O_RDONLY)
        try:
            near = f"/proc/self/fd/{handle}/{self.path.name}"
            reader, writer = await asyncio.open_unix_connection(near)
        finally:
            os.close(handle)
        writer.write(word.encode() + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        return answer

    async def nothing(self) -> Any:
        return {"type": "http.request", "body": b""}

    async def deaf(self, message: Any) -> None:
        """Throw it away."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Longer than an address of a socket.
    home = tmp_path / ("home-" * 24)
    home.mkdir()
    told = {"directory": str(tmp_path / "use"), "program": "tiny-blue", "model": "tiny"}
    monkeypatch.setenv("TOOLKIT_USE", json.dumps(told))
    monkeypatch.setenv("TOOLKIT_DOZE", str(home / "doze.sock"))
    yield home / "doze.sock"


def test_an_engine_that_dozes_is_down_for_its_router_and_answers_nobody(place: Path) -> None:
    async def case() -> None:
        async with Site(place, Engine()) as site:
            assert await site.status("GET", "/health") == 200
            assert await site.told("sleep") == OK
            assert site.engine.heard == ["sleep 1"]
            assert await site.status("GET", "/health") == 503
            assert await site.status("POST", "/v1/completions") == 503
            assert await site.status("GET", "/metrics") == 200
            assert await site.told("wake") == OK
            assert await site.status("GET", "/health") == 200
            assert await site.status("POST", "/v1/completions") == 200
            assert site.engine.heard == ["sleep 1", "wake_up"]
            # An engine that is awake may be told so: a command that was killed did not hear the answer.
            assert await site.told("wake") == OK

    asyncio.run(case())


def test_an_engine_that_falls_asleep_has_settled_once_it_sleeps(place: Path) -> None:
    async def case() -> None:
        async with Site(place, Engine(seconds=0.3)) as site:
            assert await site.told("settle") == OK
            asleep = asyncio.create_task(site.told("sleep"))
            while not site.engine.heard:
                await asyncio.sleep(0.01)
            assert not site.engine.asleep
            assert await site.told("settle") == OK
            assert site.engine.asleep
            assert await asleep == OK
            assert site.engine.heard == ["sleep 1"]

    asyncio.run(case())


def test_only_root_and_its_own_user_reach_the_way_in(place: Path) -> None:
    async def case() -> None:
        place.write_text("of a former start")
        async with Site(place, Engine()) as site:
            assert stat.S_IMODE(place.stat().st_mode) == 0o600
            assert (await site.told("collective_rpc"))["ok"] is False
            assert site.engine.heard == []

    asyncio.run(case())


def test_an_engine_that_cannot_fall_asleep_says_why_and_stays_shut(place: Path) -> None:
    async def case() -> None:
        async with Site(place, Engine(broken="sleep")) as site:
            assert await site.told("sleep") == {
                "ok": False,
                "why": "RuntimeError: CUDA out of memory",
            }
            assert await site.status("GET", "/health") == 503

    asyncio.run(case())


def test_an_engine_that_cannot_wake_says_why_and_stays_shut(place: Path) -> None:
    async def case() -> None:
        async with Site(place, Engine(broken="wake_up")) as site:
            assert await site.told("sleep") == OK
            assert (await site.told("wake"))["why"] == "RuntimeError: CUDA out of memory"
            assert await site.status("POST", "/v1/completions") == 503

    asyncio.run(case())


def test_a_replica_that_was_not_told_of_it_has_no_way_in(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case() -> None:
        monkeypatch.delenv("TOOLKIT_DOZE")
        async with Site(place, Engine()) as site:
            assert not place.exists()
            assert await site.status("GET", "/health") == 200

    asyncio.run(case())


def test_a_server_whose_engine_is_out_of_reach_serves_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def case() -> None:
        site = Site(place, Engine())
        await site.recorder({"type": "lifespan"}, site.nothing, site.deaf)
        assert await site.status("GET", "/health") == 200

    asyncio.run(case())
    assert "this replica cannot doze: KeyError" in capsys.readouterr().err
