"""Fourteen faults of a new version, each met by the real commands on a whole host with no person present.

    python tests/bench/bench_planted.py [--only WORDS ...] [--json FILE]

For each fault: whether the version was stopped before any traffic, in its canary or in its bake; by which gate; the
seconds from what first shows the fault to the last request that the version got; how many requests of clients it
answered and how many of these badly; and the requests that were lost beside it. A fault shows by the first request of a
client that goes wrong, and by the guard's figures, if those come first. Host, router, guard and commands are real; a
stub stands in for vLLM. Ends with 1 unless all faults are stopped by their gates and no request is lost beside.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.load import Answer, Load, LoadReport
from tests.fleet.machine import missing
from tests.hostside.guard_lab import shows
from tests.system.planted_faults import HOST, PLANTED, Planted, pin_adapter, prepare, registry
from tests.system.stub_site import PROMPT, ROOT, StubSite, stub_site

# What is refused or ends before any gate has no verdict in the history, but words of its own.
WORDS = {
    "did not start": "start",
    "not those that were pinned": "digests",
    "licence": "licence",
}


@dataclass(frozen=True)
class Stopped:
    """What became of a version with a fault. `last` is in seconds; None where clients never asked the version.

    `served` says whether the former release serves again with nothing left to do.
    """

    fault: str
    code: int
    gate: str
    right: bool
    served: bool
    last: float | None
    got: int
    bad: int
    lost: int
    words: str

    @property
    def when(self) -> str:
        return f"in the {self.gate}" if self.gate in ("canary", "bake") else "before traffic"


def main() -> int:
    """Print the table; 1 where a fault was not stopped by its gate, or a request was lost beside the version."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORDS", help="faults with any of these words"
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if lacking := missing():
        raise SystemExit(lacking)
    faults = [each for each in PLANTED if any(words in each.words for words in given.only)]
    print(f"{'fault':34}{'stopped':16}{'by':9}{'last':>6}{'answered':>9}{'bad':>5}{'lost':>6}")
    with stub_site(1, registry()) as site:
        prepare(site)
        found = [shown(meet(site, each)) for each in faults]
    well = [each for each in found if each.right and each.served and each.code]
    lost = sum(each.lost for each in found)
    print(f"target: {len(faults)} of {len(faults)} stopped or returned, none lost: ", end="")
    print(f"{len(well)} and {lost}", flush=True)
    if given.json:
        given.json.write_text(json.dumps([asdict(each) for each in found]))
    return int(len(well) < len(faults) or lost > 0)


def meet(site: StubSite, fault: Planted) -> Stopped:
    """Let the real commands meet a fault under load, and return what became of it."""
    if fault.model == "sql":
        pin_adapter(site, "I am adapter sql1.")
        site.lab.toolkit("deploy", "tiny@v1", "--yes")
    before = site.serving()
    words = fault.plant(site)
    known = {"former": "I am adapter sql1."}
    if fault.model != "sql":
        # Right answers of the new version are right ones, too.
        known = {"former": site.answer("v1"), "new": site.answer(words[3])}
    gates_before = gates(site)
    load = Load(
        site.door(HOST), fault.model, {PROMPT: known}, stream_workers=0, pause=0.05,
        extra={"user": "client"},
    ).start()  # fmt: skip
    try:
        load.wait_for(lambda report: len(report.answers) > 20, 30)
        with looks(site) as seen:
            done = site.lab.toolkit(*words, check=False)
        enough = len(load.report().answers) + 20
        load.wait_for(lambda report: len(report.answers) > enough, 30)
    finally:
        report = load.stop()
    new = [each for each in gates(site) if each not in gates_before]
    failed = [each["gate"] for each in new if each["verdict"] == "failed"]
    said = (gate for words_of_it, gate in WORDS.items() if words_of_it in done.stderr)
    gate = failed[0] if failed else next(said, "")
    served = site.serving() == before and not site.status()["unfinished"]
    fault.mend(site)
    mine, bad = of_version(report, site)
    lost = len(report.bad) - len(bad)
    return Stopped(
        fault.words, done.returncode, gate, gate in fault.gates, served, reaction(mine, bad, seen),
        len(mine), len(bad), lost, done.stderr[-2000:],
    )  # fmt: skip


def of_version(report: LoadReport, site: StubSite) -> tuple[list[Answer], list[Answer]]:
    """Return the answers of the new version, and those of them that were bad: with its slot, or without any."""
    (slot,) = [each["slot"] for each in site.status()["slots"] if each["weight"]]
    mine = [each for each in report.answers if each.slot not in (slot, f"{HOST}.{slot}")]
    return mine, [each for each in mine if each in report.bad]


@contextmanager
def looks(site: StubSite) -> Iterator[list[float]]:
    """Read what the host's guard has found, ten times a second; the list gets the time of a look that shows a fault."""
    seen: list[float] = []
    over = threading.Event()
    found = Path(f"/proc/{site.lab[HOST].pid}/root{ROOT}/guard/tiny.found.json")
    before = found.read_bytes() if found.exists() else b""

    def read() -> None:
        while not seen and not over.wait(0.1):
            with suppress(OSError, ValueError):
                data = found.read_bytes()
                if data != before and shows(look := json.loads(data)):
                    seen.append(float(look["looked_at"]))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield seen
    finally:
        over.set()
        reader.join()


def reaction(mine: Sequence[Answer], bad: Sequence[Answer], seen: Sequence[float]) -> float | None:
    """Return the seconds from what first showed the fault to the last request that the version got; 0 where none came.

    `seen` has the time of the first look of the guard that showed it.
    """
    shown = [*seen, *(each.sent_at for each in bad)]
    if not mine or not shown:
        return None
    return max(0.0, max(each.sent_at for each in mine) - min(shown))


def gates(site: StubSite) -> list[dict[str, str]]:
    """Return the verdicts of all gates so far."""
    found: list[dict[str, str]] = json.loads(site.lab.toolkit("releases", "tiny", "--json").stdout)[
        "gates"
    ]
    return found


def shown(row: Stopped) -> Stopped:
    """Print a row; return it."""
    last = "-" if row.last is None else f"{row.last:.1f} s"
    print(f"{row.fault:34}{row.when:16}{row.gate:9}{last:>6}{row.got:>9}{row.bad:>5}{row.lost:>6}")
    if not (row.right and row.served and row.code):
        print(
            f"exit code {row.code}, the former release serves: {row.served}",
            row.words,
            file=sys.stderr,
        )
    sys.stdout.flush()
    return row


if __name__ == "__main__":
    sys.exit(main())
