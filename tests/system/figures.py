"""What Prometheus says of a fleet, beside what its hosts say."""

from __future__ import annotations

import json
from typing import Any

from tests.system.on_call import OnCall
from tests.system.stub_site import StubSite
from toolkit.adapters.metrics_files import shipped_dashboards


def by_both_sources(site: StubSite, prometheus: str) -> list[dict[str, Any]]:
    """Return what `toolkit slo` says of requests, by a Prometheus and by the hosts' ledgers."""
    found = []
    for source, words in (("prometheus", ()), ("hosts", ("--ledger",))):
        told = site.lab.toolkit("slo", *words, "--json", TOOLKIT_PROMETHEUS=prometheus).stdout
        document = json.loads(told)
        if document["source"] != source:
            # A busy machine may keep it from its answer once; a wait for both ends with why it always was.
            return [{"why_not_prometheus": document["why_not_prometheus"]}]
        (availability,) = document["models"][0]["objectives"]
        found.append({name: availability[name] for name in ("good", "bad", "left_out", "spent")})
    return found


def agree_on_good(found: list[dict[str, Any]]) -> bool:
    return len(found) == 2 and found[0] == found[1] and found[0]["good"] > 100


def without_data(called: OnCall) -> list[str]:
    """Return the queries of panels to which Prometheus has no answer."""
    queries = [
        target["expr"].replace("$model", "tiny")
        for text in shipped_dashboards().values()
        for panel in json.loads(text)["panels"]
        for target in panel["targets"]
    ]
    assert len(queries) > 30
    return [each for each in queries if not called.query(each)]
