"""Swap to a release that dies in its bake, under load: what clients wait for until the former one serves again.

    python tests/bench/bench_swap_dies.py

The host has room for one replica, as in `bench_swap.py`. The new one passes its gates, and ends 20 s after its first
request; the command undoes the swap. Host, router, guard and changes are real; a stub stands in for vLLM. Four clients
ask all the time. Ends with 1 where a request failed, or where the former release does not serve.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.bench_swap import HOST, narrow
from tests.fleet.machine import missing
from tests.system.stub_site import REGISTRY, StubSite, stub_site
from toolkit.adapters.fakes.behaviour import Behaviour


def main() -> int:
    """Print the figures; 1 where the target is missed."""
    if lacking := missing():
        raise SystemExit(lacking)
    with stub_site(1, REGISTRY) as site:
        return dies(site)


def dies(site: StubSite) -> int:
    """Upgrade to a version that dies in its bake; return 0 where no request failed and the former one serves."""
    site.pin("v1")
    site.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")
    narrow(site.lab[HOST])
    site.pin("v2", Behaviour.DIES_LATER)
    load = site.load(HOST)
    try:
        load.wait_for(lambda report: len(report.answers) > 40, 60)
        done = site.lab.toolkit("deploy", "tiny@v2", "--yes", "--bake", "120", check=False)
        serving = site.serving()
        enough = len(load.report().answers) + 20
        load.wait_for(lambda report: len(report.answers) > enough, 60)
    finally:
        report = load.stop()
    longest = max(each.ended_at - each.sent_at for each in report.answers)
    failed = Counter(f"{each.verdict}: {each.detail[:60]}" for each in report.bad)
    print(f"{len(report.answers)} requests, the longest {longest:.1f} s, failed: {dict(failed)}")
    print(f"the command ended with {done.returncode}, and {serving} serves")
    return int(bool(failed) or serving != {HOST: ["v1"]} or done.returncode != 8)


if __name__ == "__main__":
    sys.exit(main())
