"""What clients of a real vLLM get through the router, beside the same clients at the engine's own port.

    python tests/bench/bench_direct.py [--rounds 30] [--streams 1 8 32 128 512 1024] [--doors ROUTER ENGINE]

Each round asks both places twice, in a random order, for answers of 64 tokens as streams. `again` is each place against
itself: what the method makes of no difference. More than 32 streams have fewer rounds. `--doors` takes the ports of a
router and an engine that run already.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

TOKENS, IN_TURN, WARM = 64, 2, 1
# Streams at once -> the least part of the engine's own tokens a second.
GOALS = {1: 0.99, 8: 0.95, 32: 0.97}
# Also measured, without a goal: here two processors, which the engine alone fills, have every client's work besides.
MANY = (128, 512, 1024)
FIRST_MS = 1.0
ARMS = ("engine", "router", "engine, again", "router, again")


class Turn(NamedTuple):
    """Tokens a second of all clients together, and the median of the seconds until the first token."""

    rate: float
    first: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--streams", type=int, nargs="+", default=[*GOALS, *MANY])
    parser.add_argument("--doors", type=int, nargs=2, metavar=("ROUTER", "ENGINE"))
    given = parser.parse_args()
    if given.doors:
        router, engine = given.doors
        tell({each: measure(router, engine, each, given.rounds) for each in given.streams})
        return
    # Here and not above: with `--doors` no engine is needed.
    from tests.system.served import lab_with_engine, lab_with_versions

    with (
        tempfile.TemporaryDirectory() as directory,
        lab_with_engine(Path(directory) / "lab") as lab,
        lab_with_versions(lab) as served,
    ):
        text = lab.registry.read_text()
        lab.registry.write_text(
            text.replace("max-num-seqs: 16", f"max-num-seqs: {max(given.streams)}")
        )
        served.serve("v1")
        (manifest,) = lab.root.glob("slots/*/manifest.json")
        engine = int(json.loads(manifest.read_text())["port"])
        found = {each: measure(lab.port, engine, each, given.rounds) for each in given.streams}
    tell(found)


def measure(router: int, engine: int, streams: int, rounds: int) -> dict[str, list[Turn]]:
    """Return the turns of each arm; the first rounds are not counted."""
    drawn, found = random.Random(streams), {arm: list[Turn]() for arm in ARMS}
    rounds = max(2, rounds * max(GOALS) // max(streams, max(GOALS)))
    for number in range(rounds + WARM):
        for arm in drawn.sample(ARMS, len(ARMS)):
            port = router if arm.startswith("router") else engine
            took = asyncio.run(turn(port, streams))
            if number >= WARM:
                found[arm].append(took)
    return found


async def turn(port: int, streams: int) -> Turn:
    """Let so many clients ask at once, each some requests one after the other."""
    body = {"model": "tiny", "prompt": "Count.", "max_tokens": TOKENS, "ignore_eos": True}
    text = json.dumps({**body, "temperature": 0, "stream": True}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n"
    request = f"{head}Content-Type: application/json\r\n\r\n".encode() + text
    opened = [await asyncio.open_connection("127.0.0.1", port, limit=2**20) for _ in range(streams)]
    firsts: list[float] = []

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(IN_TURN):
            began = time.monotonic()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"port {port} refuses the request: {answer!r}")
            await reader.readuntil(b"data: ")
            firsts.append(time.monotonic() - began)
            await reader.readuntil(b"\r\n0\r\n\r\n")

    began = time.monotonic()
    await asyncio.gather(*(client(*each) for each in opened))
    took = time.monotonic() - began
    for _, writer in opened:
        writer.close()
    return Turn(streams * IN_TURN * TOKENS / took, statistics.median(firsts))


def tell(found: Mapping[int, Mapping[str, Sequence[Turn]]]) -> None:
    """Print the medians within rounds."""
    print(f"{'of a real vLLM':16}{'tokens/s':>10}{'router':>10}{'ratio':>8}{'again':>16}", end="")
    print(f"{'first token, ms':>17}{'router adds':>13}{'again':>16}")
    missed = []
    for streams, arms in found.items():
        engine, router, *again = (arms[arm] for arm in ARMS)
        ratio = middle_ratio([*router, *again[1]], [*engine, *again[0]])
        noise = [middle_ratio(again[each], arms[ARMS[each]]) for each in (0, 1)]
        added = middle_added([*router, *again[1]], [*engine, *again[0]])
        noise_ms = [middle_added(again[each], arms[ARMS[each]]) for each in (0, 1)]
        name = "1 stream" if streams == 1 else f"{streams} streams"
        print(
            f"{name:16}{statistics.median(each.rate for each in engine):>10.0f}"
            f"{statistics.median(each.rate for each in router):>10.0f}{ratio:>8.3f}"
            f"{noise[0]:>9.3f},{noise[1]:>6.3f}"
            f"{statistics.median(each.first for each in engine) * 1000:>17.1f}{added:>13.2f}"
            f"{noise_ms[0]:>9.2f},{noise_ms[1]:>6.2f}"
        )
        if streams in GOALS and (ratio < GOALS[streams] or added > FIRST_MS):
            missed.append(name)
    goals = ", ".join(f"{least:.2f} at {streams}" for streams, least in GOALS.items())
    print(
        f"target: at least {goals} of the engine's tokens a second, the first token at most {FIRST_MS:.0f} ms later: "
        f"{'missed' if missed else 'met'}"
    )
    if missed:
        print(f"missed at {', '.join(missed)}")


def middle_ratio(upper: Sequence[Turn], lower: Sequence[Turn]) -> float:
    """Return the median of the ratios of tokens a second within rounds."""
    return statistics.median(a.rate / b.rate for a, b in zip(upper, lower, strict=True))


def middle_added(upper: Sequence[Turn], lower: Sequence[Turn]) -> float:
    """Return the median of the milliseconds by which the first token comes later, within rounds."""
    return statistics.median((a.first - b.first) * 1000 for a, b in zip(upper, lower, strict=True))


if __name__ == "__main__":
    main()
