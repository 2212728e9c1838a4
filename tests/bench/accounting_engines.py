"""What the recorder of use costs a real vLLM: two engines in turn, with the recorder and without."""

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
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

from tests.bench.paired import Difference, processor
from tests.system.served import ROOT as INSTALLED
from tests.system.test_use import Engine, started

MAKE_MODEL = Path(__file__).resolve().parents[2] / "demo/make_model.py"
NAMES = ("with the recorder", "without")
# As many streams as the engine runs at once, and tokens of each.
STREAMS, TOKENS = 8, 64
# Turns of each engine before those that count.
WARM = 10
BODY = json.dumps(
    {"model": "tiny", "prompt": "Count.", "max_tokens": TOKENS, "stream": True, "ignore_eos": True}
).encode()
REQUEST = (
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Toolkit-Key: ann\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def engines(rounds: int, most: float) -> bool:
    """Compare both, print the table, and return whether at most the share `most` of the tokens a second is lost."""
    (path,) = INSTALLED.glob("engines/vllm-0.32.0-*/.complete")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        place, python = Path(scratch), path.parent / "bin/python"
        make = [python, MAKE_MODEL, place, "--variants", "rubbish"]
        subprocess.run(make, check=True, stdout=sys.stderr)
        arms = []
        for recorded in (True, False):
            own = place / str(recorded)
            own.mkdir()
            made = started(path.parent, place / "rubbish", own, recorded=recorded)
            arms.append(stack.enter_context(made))
        found, drawn = [], random.Random(1)
        for number in range(WARM + rounds):
            turns = {which: turn(arms[which]) for which in drawn.sample((0, 1), 2)}
            if number >= WARM:
                found.append((turns[0], turns[1]))
        for engine in arms:
            generated, asked = counted(engine), (WARM + rounds) * STREAMS * TOKENS
            if generated != asked:
                raise RuntimeError(f"vLLM generated {generated:,.0f} of {asked:,} tokens")
    return shown(found, most)


def shown(found: list[tuple[tuple[float, float], tuple[float, float]]], most: float) -> bool:
    """Print the table of pairs of turns, each as tokens a second and processor seconds of a token."""
    print(
        f"{len(found)} pairs of {STREAMS} streams of {TOKENS} tokens, load of the machine {os.getloadavg()[0]:.1f}"
    )
    print(f"{'medians':<20}{'tokens/s':>10} {'processor of a token':>22}")
    for name, turns in zip(NAMES, zip(*found, strict=True), strict=True):
        rate, used = (statistics.median(each[part] for each in turns) for part in (0, 1))
        print(f"{name:<20}{rate:>10,.0f} {used * 1e6:>19,.1f} us")
    lost = Difference.of([1 - mine[0] / plain[0] for mine, plain in found])
    more = Difference.of([mine[1] / plain[1] - 1 for mine, plain in found])
    print(f"within a pair: {lost.value:+.2%} +-{lost.spread:.2%} of the tokens a second lost,")
    print(f"  {more.value:+.2%} +-{more.spread:.2%} of the processor for a token more")
    print(f"target: at most {most:.0%} of the tokens a second: {lost.verdict(most)}")
    return lost.most <= most


def turn(engine: Engine) -> tuple[float, float]:
    """Let an engine answer all streams at once; return the tokens a second, and processor seconds for each.

    All streams begin together, so that both engines batch alike; streams that follow each other batch by chance.
    """

    async def stream() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        writer.write(REQUEST)
        if not (await reader.read(-1)).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("vLLM refuses the request")
        writer.close()

    async def work() -> None:
        await asyncio.gather(*(stream() for _ in range(STREAMS)))

    used, began = processor(engine.process.pid), time.monotonic()
    asyncio.run(work())
    took, used = time.monotonic() - began, processor(engine.process.pid) - used
    return STREAMS * TOKENS / took, used / (STREAMS * TOKENS)


def counted(engine: Engine) -> float:
    """Return the tokens that an engine has generated since its start."""
    connection = HTTPConnection("127.0.0.1", engine.port, timeout=60)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    name = "vllm:generation_tokens_total{"
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
