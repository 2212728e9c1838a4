"""The recorder of use within real vLLM: clients get the bytes that they would get without it, and all is counted."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import free_port
from tests.programs import kill_group, own_temporary
from tests.system import waiting
from tests.system.models import VECTORS

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
ROLE_FILES = Path(__file__).parents[2] / "playbooks/roles/replica/files"
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONSAFEPATH": "1",
}
SAID = [{"role": "user", "content": "Say hello."}]
COUNT = [{"role": "user", "content": "Count."}]
# Tokens of a stream that lasts some seconds; the model has room for 1,024.
LONG = 900
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
USAGE = {"stream_options": {"include_usage": True}}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"messages": SAID}),
    (CHAT, {"messages": SAID, "stream": True}),
    (CHAT, {"messages": SAID, "stream": True, **USAGE}),
    (CHAT, {"messages": SAID, "n": 3}),
    (CHAT, {"messages": SAID, "n": 3, "stream": True}),
    (CHAT, {"messages": SAID, "max_tokens": 2, "logprobs": True, "top_logprobs": 2}),
    (TEXT, {"prompt": ["Say", "What is the capital"], "max_tokens": 5}),
    (TEXT, {"prompt": ["Say", "What is the capital"], "max_tokens": 5, "n": 2, "stream": True}),
    (TEXT, {"prompt": "Say", "max_tokens": 5, "stream": True, **USAGE}),
    (TEXT, {"prompt": "Say hello", "max_tokens": 9, "stop": ["l"]}),
    ("/v1/responses", {"input": "Say hello."}),
    ("/v1/responses", {"input": "Say hello.", "stream": True}),
    ("/v1/messages", {"messages": SAID, "max_tokens": 9}),
    ("/v1/messages", {"messages": SAID, "max_tokens": 9, "stream": True}),
    (CHAT, {"messages": SAID, "max_tokens": 10**7}),
    (CHAT, {"messages": "nonsense"}),
]
_ID = re.compile(rb"(resp|msg|rs|item|chatcmpl|cmpl)[_-][0-9a-zA-Z_-]+|(?<=id\":\")[0-9a-f]{16,32}")
_TIME = re.compile(rb'"(created|created_at|completed_at)": ?[0-9.]+')


@dataclass
class Engine:
    """A vLLM on the loopback; `use` is the directory of its records, or None."""

    process: subprocess.Popen[bytes]
    port: int
    use: Path | None

    def ask(self, path: str, body: dict[str, Any], key: str = "ann") -> tuple[int, bytes]:
        """Return status and bytes of an answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as client:
            client.request("POST", path, json.dumps(body), {**HEADERS, "X-Toolkit-Key": key})
            answer = client.getresponse()
            return answer.status, answer.read()

    def leave(self, path: str, body: dict[str, Any], events: int) -> None:
        """Hang up after so many events of a stream."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as client:
            client.request("POST", path, json.dumps(body), {**HEADERS, "X-Toolkit-Key": "bob"})
            answer = client.getresponse()
            while events:
                events -= answer.readline().startswith(b"data:")

    def lines(self) -> list[dict[str, Any]]:
        assert self.use is not None
        # Without a line that is being written.
        texts = (each.read_text().rpartition("\n")[0] for each in self.use.iterdir())
        return [json.loads(line) for text in texts for line in text.splitlines()]

    def records(self) -> list[dict[str, Any]]:
        return sorted((each for each in self.lines() if "key" in each), key=lambda each: each["n"])

    def counters(self) -> tuple[int, int]:
        """Return the engine's own counters of tokens: of prompts, and generated."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as client:
            client.request("GET", "/metrics")
            text = client.getresponse().read().decode()
        found = (
            re.search(rf"^vllm:{name}_tokens_total{{.*?}} ([0-9.e+]+)$", text, re.MULTILINE)
            for name in ("prompt", "generation")
        )
        came, went = (int(float(each[1])) if each else -1 for each in found)
        return came, went

    def agrees(self) -> None:
        """Return once the sum of all records is what the engine has counted."""
        until(self._sums, 60, lambda both: both[0] == both[1])

    def _sums(self) -> tuple[tuple[int, ...], tuple[int, int]]:
        records = self.records()
        sums = tuple(sum(each[name] for each in records) for name in ("asked", "out"))
        return sums, self.counters()


# A look asks the engine, for which each answer is work.
until = partial(waiting.until, pause=0.05)


HEADERS = {"Content-Type": "application/json", "X-Request-Id": "r-1"}


@contextmanager
def started(
    engine: Path,
    model: Path,
    scratch: Path,
    *,
    recorded: bool,
    middleware: str = "toolkit_recorder.Recorder",
    modules: Sequence[Path] = (),
    words: Sequence[str] = (),
) -> Iterator[Engine]:
    """Run vLLM as the toolkit does, by its starter, and with its recorder or without.

    A benchmark has another `middleware` in place of the recorder, of its own `modules`, and further `words`.
    """
    port, use = free_port(), scratch / "use" if recorded else None
    given = ["--served-model-name", "tiny", "--enforce-eager", "--max-num-seqs", "8"]
    given += ["--shutdown-timeout", "30", "--disable-uvicorn-access-log"]
    given += ["--host", "127.0.0.1", "--port", str(port), *words]
    environment = {**os.environ, **ENVIRONMENT, "PATH": f"{engine}/bin:/usr/bin:/bin"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (ROLE_FILES, *modules)))
    if recorded:
        told = {"directory": str(use), "program": "tiny-blue", "model": "tiny", "version": "v1"}
        environment["TOOLKIT_USE"] = json.dumps({**told, "release": 1, "engine": engine.name})
        given += ["--middleware", middleware]
    starter = (engine / "bin/python", "-m", "toolkit_starter", "1,1")
    log = scratch / ("recorded.log" if recorded else "plain.log")
    with ExitStack() as stack:
        # An engine that is killed leaves its sockets.
        environment |= stack.enter_context(own_temporary())
        output = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            [*starter, engine / "bin/vllm", "serve", ".", *given],
            cwd=model,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        stack.callback(kill_group, process)
        until(lambda: process.poll() is not None or _healthy(port), 300)
        assert process.poll() is None, log.read_text()[-3000:]
        yield Engine(process, port, use)


def _healthy(port: int) -> bool:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as client:
            client.request("GET", "/health")
            return client.getresponse().status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def one_engine(engine: Path) -> Path:
    """The directory of the engine; `test_use_former.py` has the former one."""
    return engine


@pytest.fixture(scope="module")
def pair(
    one_engine: Path, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, Engine]]:
    """The same model in vLLM with the recorder, and without."""
    scratch = tmp_path_factory.mktemp("use")
    with ExitStack() as stack:
        engines = (
            stack.enter_context(started(one_engine, models / "v1", scratch, recorded=True)),
            stack.enter_context(started(one_engine, models / "v1", scratch, recorded=False)),
        )
        for each in engines:
            # A short first request: no large product has made oneDNN ask for the processor's tiles before.
            brief = {"model": "tiny", "prompt": "Count.", "max_tokens": 2}
            status, text = each.ask("/v1/completions", brief)
            assert status == 200, text
        yield engines


def same(text: bytes) -> bytes:
    """Return an answer without what differs from one to the next: ids and times."""
    return _TIME.sub(b'"\\1":0', _ID.sub(b"ID", text))


@pytest.mark.parametrize(("path", "body"), REQUESTS, ids=lambda each: str(each)[:60])
def test_clients_get_the_same_bytes_and_each_request_is_counted(
    pair: tuple[Engine, Engine], path: str, body: dict[str, Any]
) -> None:
    mine, plain = pair
    asked = {"model": "tiny", "temperature": 0, **body}
    before = len(mine.records())
    status, text = mine.ask(path, asked)
    (record,) = until(lambda: mine.records()[before:], 60)
    assert (record["key"], record["api"], record["id"]) == ("ann", path, "r-1")
    assert record["end"] == ("whole" if status == 200 else "refused")
    told = _usage(text)
    if told and not (body.get("stream") and path == "/v1/messages"):
        assert (record["in"], record["out"]) == told
    assert record["asked"] == record["in"] * (body.get("n", 1) if status == 200 else 1)
    mine.agrees()
    # An engine that gets ahead of its clients puts several tokens into one event, by chance.
    got, expected = {(status, same(text))}, set()
    for _ in range(20):
        expected.add(_asked(plain, path, asked))
        if got & expected:
            break
        got.add(_asked(mine, path, asked))
    assert got & expected
    mine.agrees()


def _asked(engine: Engine, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
    status, text = engine.ask(path, body)
    return status, same(text)


def _usage(text: bytes) -> tuple[int, int] | None:
    """Return the tokens that an answer states, the last time that it states them."""
    lines = [line.removeprefix(b"data: ") for line in text.splitlines()]
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        usage = found.get("usage") or (found.get("response") or {}).get("usage")
        if usage:
            came = usage.get("prompt_tokens", usage.get("input_tokens"))
            return came, usage.get("completion_tokens", usage.get("output_tokens"))
    return None


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("events", [1, 7, 40])
def test_a_stream_that_its_client_leaves_is_counted_as_the_engine_counts_it(
    pair: tuple[Engine, Engine], events: int, n: int
) -> None:
    mine, _ = pair
    body = {"model": "tiny", "messages": COUNT, "max_tokens": LONG, "stream": True, "n": n}
    # On a busy machine the engine may end its stream before the server's loop learns that the client has left.
    for _ in range(10):
        record = _left(mine, body, events)
        if record["end"] == "left":
            break
    assert (record["key"], record["end"]) == ("bob", "left")
    assert 0 < record["out"] < LONG * n


def _left(engine: Engine, body: dict[str, Any], events: int) -> dict[str, Any]:
    """Leave a stream after so many events; return its record, which says what the engine's counters say."""
    engine.agrees()
    records, (came, went) = len(engine.records()), engine.counters()
    engine.leave(CHAT, body, events)
    (record,) = until(lambda: engine.records()[records:], 60)
    engine.agrees()
    assert (record["asked"], record["out"]) == (
        engine.counters()[0] - came,
        engine.counters()[1] - went,
    )
    return record


def test_many_at_once_end_with_the_engines_sums(pair: tuple[Engine, Engine]) -> None:
    mine, _ = pair
    program = _LOAD.format(port=mine.port)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
    mine.agrees()
    numbers = [each["n"] for each in mine.records()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {each["end"] for each in mine.records()} == {"whole", "left", "refused"}


def test_an_engine_leaves_the_processor_to_others_between_requests(
    pair: tuple[Engine, Engine],
) -> None:
    mine, _ = pair
    began, used = time.monotonic(), _processor(mine)
    for _ in range(8):
        mine.ask(CHAT, {"model": "tiny", "messages": SAID, "max_tokens": 1})
        time.sleep(0.3)
    assert _processor(mine) - used < (time.monotonic() - began) / 2


def _processor(engine: Engine) -> float:
    """Return the processor's seconds of all processes of an engine."""
    times = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = stat.read_text().rpartition(")")[2].split()
            if int(words[3]) == engine.process.pid:
                times += sum(map(int, words[11:13]))
    return times / os.sysconf("SC_CLK_TCK")


def test_an_orderly_end_leaves_the_engines_own_sums_in_the_file(
    pair: tuple[Engine, Engine],
) -> None:
    mine, _ = pair
    before = len(mine.records())
    mine.ask(CHAT, {"model": "tiny", "messages": SAID})
    until(lambda: mine.records()[before:], 60)
    mine.agrees()
    counters = dict(zip(("in", "out"), mine.counters(), strict=True))
    mine.process.terminate()
    mine.process.wait(60)
    last = [each for each in mine.lines() if "counters" in each][-1]
    assert (last["counters"], last["open"], last["faults"]) == (counters, 0, 0)
    assert last["n"] == len(mine.records())


def test_vectors_are_counted(one_engine: Path, models: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/embeddings", {"input": ["hello", "you there"]}),
        ("/pooling", {"input": "hello"}),
        ("/v1/score", {"text_1": "hello", "text_2": ["a", "b"]}),
    ]
    with started(one_engine, models / VECTORS, tmp_path, recorded=True) as mine:
        for number_of, (path, body) in enumerate(asked):
            status, text = mine.ask(path, {"model": "tiny", **body})
            told = json.loads(text)["usage"]["prompt_tokens"]
            (record,) = until(lambda at=number_of: mine.records()[at:], 60)
            assert (status, record["api"], record["end"]) == (200, path, "whole")
            assert (record["in"], record["asked"], record["out"]) == (told, told, 0)
        mine.agrees()


_LOAD = """
import http.client, json, random
from concurrent.futures import ThreadPoolExecutor
def client(seed):
    draw = random.Random(seed)
    for _ in range(6):
        body = {{"model": "tiny", "messages": [{{"role": "user", "content": draw.choice(["Say hello.", "Count."])}}],
            "max_tokens": draw.choice([3, 60]), "stream": draw.random() < .7, "n": draw.choice([1, 1, 2])}}
        made = http.client.HTTPConnection("127.0.0.1", {port}, timeout=120)
        made.request("POST", "/v1/chat/completions", json.dumps(body), {{"Content-Type": "application/json"}})
        answer = made.getresponse()
        if body["stream"] and draw.random() < .4:
            answer.readline()
            made.sock.close() if made.sock else None
            answer.close()
        else:
            answer.read()
        made.close()
        assert answer.status == 200, answer.status
with ThreadPoolExecutor(12) as pool:
    list(pool.map(client, range(12)))
"""
