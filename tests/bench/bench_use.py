"""Records of use through the ledger of a host and its collection into a history in SQLite, then `toolkit usage`.

Several runs of two replicas write records, count their tokens, and carry on in other files. One process carries them
into the ledger as the watch does, another one collects. Sums must equal what was written. The second table is of
`toolkit usage` over a year of 20 hosts, as ten million records leave it in the history.

    python tests/bench/bench_use.py [--records 1000000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "toolkit/hostside"))

from tests.adapters.history_lab import Clock
from tests.hostside.use_lab import Replica
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.use import chunk_from_json
from toolkit.domain.clients.use import LedgerPlace, UseChunk, UseRow
from toolkit.domain.hosts.fleet import Host
from toolkit.planning.use.reconciled import reconciled

ROOT = Path(__file__).resolve().parents[2]
RUNS, KEYS = 4, 40
# A year of 20 hosts: so many keys and models a day.
DAYS, HOSTS, YEAR_KEYS, MODELS = 365, 20, 10, 2
YEAR_RECORDS = 10_000_000
MOST_SECONDS, MOST_MB = 3.0, 300


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps({"carry": carry, "collect": collected}[given.part[0]](*given.part[1:])))
        return
    with tempfile.TemporaryDirectory() as place:
        figures = through(Path(place), given.records)
    print()
    with tempfile.TemporaryDirectory() as place:
        figures["usage"] = over_a_year(Path(place))
    if given.json:
        given.json.write_text(json.dumps(figures))


def through(place: Path, count: int) -> dict[str, object]:
    """Write records, carry and collect them; print what that took."""
    wanted = write(place / "host", count)
    parts = {each: part(each, place) for each in ("carry", "collect")}
    again = part("collect", place)
    history = History(place / "history.db", Clock())
    sums = history.use(by=())[0]
    releases = reconciled(history.use_runs())
    found = (sums.requests, sums.tokens_in, sums.tokens_out)
    differences = [(each.difference_in, each.difference_out) for each in releases]
    history.close()
    size = sum(each.stat().st_size for each in (place / "host/use").iterdir())
    print(f"{count:,} records                  seconds   a second   memory")
    for name, each in parts.items():
        rate = count / each["seconds"]
        print(f"{name:<28}{each['seconds']:>12.1f} {rate:>10,.0f} {each['memory']:>5.0f} MB")
    print(f"{'collect, nothing new':<28}{again['seconds']:>12.2f}")
    print(
        f"ledger: {size / 1e6:,.0f} MB, history: {(place / 'history.db').stat().st_size / 1e6:.1f} MB"
    )
    print(f"requests, tokens in, out: written {wanted}, in the history {found}")
    print(f"differences from the engines' counters: {differences}")
    if found != wanted or any(any(each) for each in differences):
        sys.exit("the sums differ")
    return {"parts": parts, "again": again}


def write(root: Path, count: int) -> tuple[int, int, int]:
    """Write `count` records of several runs; return requests, tokens of prompts and of answers."""
    tokens_in = tokens_out = 0
    for number in range(RUNS):
        program = ("tiny-blue", "wide-green")[number % 2]
        replica = Replica(root, program, f"{number:016x}")
        lines, asked, out = [], 0, 0
        for each in range(count // RUNS):
            came, went = each % 997, each % 101
            line = replica.line(key=f"key-{each % KEYS}", out=went, asked=came, **{"in": came})
            lines.append(json.dumps(line, separators=(",", ":")) + "\n")
            asked, out = asked + came, out + went
            if each % 50_000 == 49_999:
                replica.write("".join(lines))
                replica.count(asked, out)
                replica.begin(each // 50_000 + 1)
                lines = []
        replica.write("".join(lines))
        replica.count(asked, out)
        tokens_in, tokens_out = tokens_in + asked, tokens_out + out
    return count // RUNS * RUNS, tokens_in, tokens_out


def part(name: str, place: Path) -> dict[str, float]:
    """Return seconds and memory (MB) of a part, in a process of its own."""
    command = [sys.executable, __file__, "--part", name, str(place / "host"), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def carry(root: str, _: str) -> dict[str, float]:
    """Carry all there is, look after look, as the watch does twice a second."""
    import use_carry

    began, carrier = time.monotonic(), use_carry.Carrier(root)
    for program in sorted(Path(root, "caches").iterdir()):
        carrier.all(program.name, seconds=3600)
    return spent(began)


def collected(root: str, place: str) -> dict[str, float]:
    """Collect all there is, as `toolkit usage` does."""
    from toolkit.workflows.use.collect import collect

    history = History(Path(place, "history.db"), Clock())
    began = time.monotonic()
    collect([LedgerHost(root)], history)
    history.close()
    return spent(began)


class LedgerHost(FakeHost):
    """A host whose ledger lies on this machine; what it hands out goes through JSON, as on the wire."""

    def __init__(self, root: str) -> None:
        super().__init__(Host("gpu1"))
        self.root = root

    def use(self, place: LedgerPlace, last: Mapping[str, int] | None = None) -> UseChunk:
        import use_hand_out

        found = json.dumps(use_hand_out.hand_out(self.root, asdict(place)))
        return chunk_from_json(self.name, json.loads(found))


def spent(began: float) -> dict[str, float]:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"seconds": time.monotonic() - began, "memory": memory}


def over_a_year(place: Path) -> list[dict[str, float]]:
    """Measure `toolkit usage` over a year of a fleet."""
    rows = a_year(place)
    print(f"{rows:,} rows of {YEAR_RECORDS:,} records      seconds   memory")
    found = []
    for options in ([], ["--by", "day"], ["--by", "key", "--by", "day", "--csv"]):
        words = ["usage", "--no-hosts", "--since", "365d", *options, "--home", str(place)]
        used = usage(words)
        found.append(used)
        shown = " ".join(["toolkit usage --since 365d", *options])
        print(f"{shown:<48}{used['seconds']:>6.2f} {used['memory']:>6.0f} MB")
    met = all(each["seconds"] <= MOST_SECONDS and each["memory"] <= MOST_MB for each in found)
    print(f"target: {MOST_SECONDS:.0f} s and {MOST_MB} MB: {'met' if met else 'not met'}")
    return found


def usage(words: list[str]) -> dict[str, float]:
    """Return seconds and the largest memory (MB) of a command."""
    environment = {name: value for name, value in os.environ.items() if "TOOLKIT" not in name}
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "toolkit.cli.main", *words],
        stdout=subprocess.DEVNULL,
        env={**environment, "PYTHONPATH": str(ROOT)},
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"toolkit {' '.join(words)} ended with {child.returncode}")
    return {"seconds": time.monotonic() - began, "memory": used.ru_maxrss / 1000}


def a_year(place: Path) -> int:
    """Fill a history with a year of a fleet; return the number of rows."""
    history, count = History(place / "history.db", Clock()), 0
    each = YEAR_RECORDS // (DAYS * HOSTS * YEAR_KEYS * MODELS * 2)
    today = date.today()
    for number in range(HOSTS):
        ledger, name = f"{number:016x}", f"gpu{number}"
        rows = [
            a_row((today - timedelta(days=back)).isoformat(), name, key, model, ended, each)
            for back in range(DAYS)
            for key in range(YEAR_KEYS)
            for model in range(MODELS)
            for ended in ("whole", "left")
        ]
        history.add_use(UseChunk(name, LedgerPlace(ledger), LedgerPlace(ledger, 1, 1), tuple(rows)))
        count += len(rows)
    history.close()
    return count


def a_row(day: str, host: str, key: int, model: int, ended: str, requests: int) -> UseRow:
    return UseRow(
        day=day,
        host=host,
        key=f"key-{key}",
        model=f"m{model}",
        version="1.0",
        release=int(day[5:7]),
        requests=requests,
        tokens_in=900 * requests,
        cached=300 * requests,
        tokens_out=200 * requests,
        reasoning=50 * requests,
        unknown=0,
        base=f"m{model}",
        ended=ended,
    )


if __name__ == "__main__":
    main()
