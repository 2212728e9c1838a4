"""What the recorder of use costs a real vLLM: clocks around its work, and around nothing, within the engine itself.

See "Counting in the engine" in docs/benchmarks.md for why its share of the clock's time bounds the tokens a second that
it costs.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.bench.paired import Difference, threads
from tests.system.served import ROOT as INSTALLED
from tests.system.test_use import Engine, started

HERE = Path(__file__).resolve().parent
MAKE_MODEL = HERE.parents[1] / "demo/make_model.py"
# Tokens of an answer, and seconds between two lines of counters of the recorder.
TOKENS, BETWEEN = 64, 5.0
# Turns of each arm before those that count, and seconds for the recorders' last work after a turn.
WARM, SETTLE = 3, 0.06
# The arms of a round: whether their requests pass the recorder.
ARMS = (False, False, True, True)


@dataclass(frozen=True)
class Turn:
    """What an arm took for a token: seconds of the clock, processor seconds of each thread of the engine, and the
    seconds between the clocks around the recorder, or around nothing."""

    clock: float
    threads: dict[int, float]
    between: float


@dataclass
class Load:
    """Clients that ask at once, each so many times `in_turn`, with an answer as a `stream` or in one piece."""

    name: str
    clients: int
    in_turn: int
    stream: bool = True
    rounds: list[list[Turn]] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return self.clients * self.in_turn * TOKENS


def loads() -> list[Load]:
    """Return what the engine is asked."""
    return [
        Load("1 stream", 1, 4),
        Load("8 streams", 8, 1),
        Load("32 streams", 32, 1),
        Load("8 whole answers", 8, 2, stream=False),
        Load("32 whole answers", 32, 1, stream=False),
    ]


def engines(seconds: float, most: float) -> bool:
    """Measure each load for so many seconds, print the table, and return whether each share is at most `most`."""
    (path,) = INSTALLED.glob("engines/vllm-0.32.0-*/.complete")
    with tempfile.TemporaryDirectory() as scratch:
        place, python = Path(scratch), path.parent / "bin/python"
        make = [python, MAKE_MODEL, place, "--variants", "rubbish"]
        subprocess.run(make, check=True, stdout=sys.stderr)
        with started(
            path.parent,
            place / "rubbish",
            place,
            recorded=True,
            middleware="recorder_clock.Clock",
            modules=[HERE / "in_engine"],
            words=["--max-num-seqs", "32"],
        ) as engine:
            asked, drawn = loads(), random.Random(1)
            for load in asked:
                measure(engine, load, seconds, drawn)
            require_all(engine, asked)
            found = spent(engine)
    return shown([Shares.of(each, found["thread"], found["counting"]) for each in asked], most)


def measure(engine: Engine, load: Load, seconds: float, drawn: random.Random) -> None:
    """Ask in rounds, each arm once and in a random order."""
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(load.rounds) < WARM + 10:
        found: dict[int, Turn] = {}
        for number in drawn.sample(range(len(ARMS)), len(ARMS)):
            found[number] = asyncio.run(turn(engine, load, ARMS[number]))
        load.rounds.append([found[number] for number in range(len(ARMS))])


async def turn(engine: Engine, load: Load, recorded: bool) -> Turn:
    """Let all clients ask at once; streams that follow each other would be batched by chance."""
    body = {"model": "tiny", "prompt": "Count.", "max_tokens": TOKENS, "ignore_eos": True}
    text = json.dumps({**body, "stream": load.stream}).encode()
    head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: r\r\nX-Toolkit-Key: ann\r\n"
    head += "X-Recorded: 1\r\n" * recorded
    head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    request = head.encode() + text
    opened = [
        await asyncio.open_connection("127.0.0.1", engine.port, limit=2**20)
        for _ in range(load.clients)
    ]

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(load.in_turn):
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"vLLM refuses the request: {answer!r}")
            if load.stream:
                await reader.readuntil(b"\r\n0\r\n\r\n")
            else:
                _, _, length = answer.lower().partition(b"content-length: ")
                await reader.readexactly(int(length.split(b"\r\n")[0]))

    kind = "recorded" if recorded else "plain"
    sums = spent(engine)[kind]
    before, began = threads(engine.process.pid), time.monotonic()
    await asyncio.gather(*(client(*each) for each in opened))
    took = time.monotonic() - began
    await asyncio.sleep(SETTLE)
    used = threads(engine.process.pid)
    for _, writer in opened:
        writer.close()
    each_thread = {each: (used[each] - before.get(each, 0.0)) / load.tokens for each in used}
    between = seconds_between(sums, spent(engine)[kind])
    return Turn(took / load.tokens, each_thread, between / load.tokens)


def seconds_between(before: Mapping[str, list[int]], after: Mapping[str, list[int]]) -> float:
    """Return the seconds of all pieces of work; those that were interrupted count as the mean of their kind."""
    total = 0.0
    for kind, sums in after.items():
        pieces, took, cut = (
            new - old for new, old in zip(sums, before.get(kind, [0, 0, 0]), strict=True)
        )
        total += took * pieces / (pieces - cut) if pieces > cut else 0.0
    return total / 1e9


def spent(engine: Engine) -> dict[str, Any]:
    """Return what the clocks within the engine say."""
    found: dict[str, Any] = json.loads(read(engine, "/spent"))
    if found["faults"]:
        raise RuntimeError("the recorder says that something is not recorded")
    return found


def require_all(engine: Engine, asked: Sequence[Load]) -> None:
    """Raise RuntimeError where the engine, or the recorder, has counted other tokens than those that were asked for."""
    rounds = {each.name: len(each.rounds) * each.tokens for each in asked}
    lines = read(engine, "/metrics").decode().splitlines()
    name = "vllm:generation_tokens_total{"
    generated = sum(float(each.rpartition(" ")[2]) for each in lines if each.startswith(name))
    if generated != (wanted := len(ARMS) * sum(rounds.values())):
        raise RuntimeError(f"vLLM generated {generated:,.0f} of {wanted:,} tokens")
    recorded = sum(each["out"] for each in engine.records())
    if recorded != (wanted := sum(ARMS) * sum(rounds.values())):
        raise RuntimeError(f"the recorder recorded {recorded:,} of {wanted:,} tokens")


def read(engine: Engine, path: str) -> bytes:
    connection = HTTPConnection("127.0.0.1", engine.port, timeout=60)
    connection.request("GET", path)
    found = connection.getresponse().read()
    connection.close()
    return found


@dataclass(frozen=True)
class Shares:
    """What the recorder takes of a load: seconds of a token, and its share of the clock's time for a token.

    `noise` is the same share between turns of one kind. `busiest` and `server` are the processor seconds of the busiest
    thread for a token, and of the server's, in which the recorder works.
    """

    load: Load
    rate: float
    busiest: float
    server: float
    seconds: float
    share: Difference
    noise: Difference

    @classmethod
    def of(cls, load: Load, thread: int, counting: float) -> Shares:
        rounds = load.rounds[WARM:]
        turns = [turn for each in rounds for turn in each]
        clock = statistics.median(each.clock for each in turns)

        def more(mine: Sequence[int], less: Sequence[int]) -> list[float]:
            """Return how much longer the arms `mine` take between the clocks than the arms `less`."""
            return [_mean(each, mine) - _mean(each, less) for each in rounds]

        steady = counting / BETWEEN * clock
        recorder = [each + steady for each in more((2, 3), (0, 1))]
        times = {
            each: statistics.median(turn.threads.get(each, 0.0) for turn in turns)
            for each in turns[-1].threads
        }
        return cls(
            load,
            1 / clock,
            max(times.values()),
            times[thread],
            statistics.median(recorder),
            Difference.of([each / clock for each in recorder]),
            Difference.of([each / clock for each in more((2, 1), (3, 0))]),
        )


def _mean(turns: Sequence[Turn], arms: Sequence[int]) -> float:
    return statistics.fmean(turns[each].between for each in arms)


def shown(found: Sequence[Shares], most: float) -> bool:
    """Print the table, and return whether each share is shown to be at most `most`."""
    load = f"load of the machine {os.getloadavg()[0]:.1f}"
    print(f"the recorder's work within vLLM, answers of {TOKENS} tokens, {load}")
    heads = ("tokens/s", "busiest", "server", "recorder")
    print(f"{'of a token':<16}{''.join(f'{each:>11}' for each in heads)}", end="")
    print(f"{'of the clock':>17}{'of a kind':>17}{'rounds':>7}")
    for each in found:
        times = f"{each.busiest * 1e6:>8,.1f} us{each.server * 1e6:>8,.1f} us{each.seconds * 1e6:>8.2f} us"
        shares = f"{_shown(each.share):>17}{_shown(each.noise):>17}"
        rounds = len(each.load.rounds) - WARM
        print(f"{each.load.name:<16}{each.rate:>11,.0f}{times}{shares}{rounds:>7}")
    verdicts = {each.load.name: each.share.verdict(most) for each in found}
    missed = [name for name, verdict in verdicts.items() if verdict != "met"]
    words = f"missed: {', '.join(missed)}" if missed else "met"
    print(f"target: at most {most:.0%} of the tokens a second: {words}")
    return not missed


def _shown(value: Difference) -> str:
    return f"{value.value:+.2%} +-{value.spread:.2%}"
