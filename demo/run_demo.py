"""Deploy, upgrade and roll back a real model on this machine. `make demo` runs this.

The demo makes a small model with two versions, publishes them through the toolkit's own mirror, pins and pulls them,
deploys the first, upgrades to the second under load, rolls back, and prints the results. It shows every toolkit command
before it runs it. The model keeps serving at the end.

    python demo/run_demo.py [--dir .demo] [--root /var/lib/toolkit-demo] [--port 8080]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab import Lab, free_port
from load import Load, LoadReport

MODEL = "demo-qwen"
VLLM = "0.32.0"


@dataclass
class Demo:
    """The demo's lab and the time of its start."""

    lab: Lab
    started: float

    def title(self, text: str) -> None:
        print(f"\n[{time.monotonic() - self.started:4.0f} s] {text}", flush=True)


def main() -> int:
    """Run the demo; return 0 if every answer was right and both versions answered."""
    given = arguments()
    demo = Demo(Lab(given.dir.resolve(), given.root, given.port, MODEL), time.monotonic())
    lab = demo.lab

    demo.title(f"Install vLLM {VLLM} for the CPU from its hash-locked set")
    lab.write_fleet()
    lab.toolkit("engine", "install", VLLM, "--yes", show=True)

    demo.title(
        "Make a small model with two versions, and publish both as revisions of one repository"
    )
    answers = lab.make_model("v1", "v2")
    revisions = lab.publish("v1", "v2")

    with lab.mirror() as endpoint:
        demo.title(f"Pin both revisions through the Hub's API at {endpoint}")
        lab.write_registry()
        lab.toolkit("registry", "pin", MODEL, revisions["v1"], "--as", "v1", show=True)
        lab.toolkit("registry", "pin", MODEL, revisions["v2"], "--as", "v2", show=True)
        demo.title("Pull the first version and verify it against the pins")
        lab.toolkit("pull", f"{MODEL}@v1", show=True)
        demo.title("Deploy it: vLLM behind the router")
        lab.toolkit("deploy", f"{MODEL}@v1", "--yes", show=True)
        demo.title("Ask it")
        print(f"  {lab.ask('Which version are you?')}")
        demo.title("Upgrade to the second version, roll back, all under load")
        report, times = change_under_load(lab, answers)

    demo.title("What happened")
    ok = tell(report, times)
    lab.toolkit("status", show=True)
    print(f"\nIt keeps serving. The endpoint: {lab.base_url}/v1")
    print(f"  {lab.curl('Which version are you?')}")
    print(f"Look around:  source {lab.directory}/env && toolkit status")
    print("Remove it:    make demo-clean")
    return 0 if ok else 1


@dataclass(frozen=True)
class Times:
    """The durations of both changes in seconds; `rollback_at` is in seconds since the epoch.

    `last_newer` is when the newer version took its last request, in seconds after `rollback_at`.
    """

    upgrade: float
    rollback_at: float
    rollback: float
    last_newer: float


def change_under_load(
    lab: Lab, answers: dict[str, dict[str, str]]
) -> tuple[dict[str, LoadReport], Times]:
    """Upgrade and roll back while short requests and long streams run; return their answers."""
    known = {prompt: dict(each) for prompt, each in answers.items()}
    streams = {"Count.": known.pop("Count.")}
    short = Load(lab.base_url, MODEL, known, short_workers=2, stream_workers=0).start()
    long = Load(
        lab.base_url,
        MODEL,
        streams,
        short_workers=0,
        stream_workers=2,
        extra={"max_tokens": 900},
    ).start()
    try:
        short.wait_for(lambda report: len(report.answers) >= 20, 120)
        began = time.monotonic()
        lab.toolkit("upgrade", MODEL, "--to", "v2", "--yes", "--bake", "5", show=True)
        upgrade = time.monotonic() - began
        short.wait_for(lambda report: report.versions.get("v2", 0) >= 20, 120)
        rollback_at, began = time.time(), time.monotonic()
        lab.toolkit("rollback", MODEL, "--yes", show=True)
        rollback = time.monotonic() - began
        time.sleep(2)
    finally:
        reports = {"short requests": short.stop(), "long streams": long.stop()}
    last = max(each.last_sent("v2") or 0.0 for each in reports.values())
    return reports, Times(upgrade, rollback_at, rollback, last - rollback_at)


def tell(reports: dict[str, LoadReport], times: Times) -> bool:
    """Print the figures; return whether every answer was right and both versions answered."""
    print(f"  {'':16}{'sent':>7}{'right':>7}{'failed':>8}{'cut':>6}{'mixed':>7}   answered by")
    for name, report in reports.items():
        figures = report.as_json()
        versions = ", ".join(
            f"{version}: {count}" for version, count in sorted(report.versions.items())
        )
        print(
            f"  {name:16}{len(report.answers):>7}{figures['ok']:>7}{figures['failed']:>8}"
            f"{figures['truncated']:>6}{figures['mixed']:>7}   {versions}"
        )
        for answer in report.bad[:5]:
            print(f"    {answer.verdict}: {answer.detail}")
    print(
        f"  upgrade: {times.upgrade:.1f} s in all, start of the new vLLM and 5 s of watching it included"
    )
    print(
        f"  rollback: the last request that v2 answered was sent {times.last_newer:.2f} s after the command; "
        f"the command took {times.rollback:.1f} s, draining included"
    )
    seen = set().union(*(report.versions for report in reports.values()))
    return not any(report.bad for report in reports.values()) and seen == {"v1", "v2"}


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--dir", type=Path, default=Path(".demo"), help="registry, store and history"
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/var/lib/toolkit-demo"), help="the host's side"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="the router's port; 0: 8080, or a free one"
    )
    given = parser.parse_args()
    given.port = given.port or free_port(8080)
    return given


if __name__ == "__main__":
    sys.exit(main())
