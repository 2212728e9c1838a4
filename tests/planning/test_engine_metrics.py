"""The metrics that a real engine prints have every name that the toolkit reads of them.

`engine_metrics/vllm-VERSION.txt` are the lines of vLLM's own metrics as `vllm serve` of that version printed them.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO
from toolkit.adapters.metrics_files import shipped_dashboards
from toolkit.domain.hosts.metrics import MetricsSetup
from toolkit.planning.engines import all_figures
from toolkit.planning.engines.vllm_names import all_of, names
from toolkit.planning.metrics.scrape import fixed_files

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import completion

RECORDED = {
    each.stem.removeprefix("vllm-"): each.read_text().splitlines()
    for each in sorted(Path(__file__).with_name("engine_metrics").glob("vllm-*.txt"))
}
FIGURES = names("0.33.0").figures
# The histograms in a row of names; the others are counters and gauges.
HISTOGRAMS = {
    FIGURES.first, FIGURES.between, FIGURES.queue, FIGURES.whole, FIGURES.steps,
}  # fmt: skip
_NAME = re.compile(r"vllm:[a-z0-9_]+")


@pytest.mark.parametrize("version", RECORDED)
def test_the_engine_prints_each_name_of_its_row(version: str) -> None:
    row, lines = names(version), RECORDED[version]
    wanted = {*all_of(row.metrics), *all_of(row.figures)}
    counts = completion.counts_in(lines, sorted(wanted - HISTOGRAMS))
    spreads = completion.histograms_in(lines, sorted(wanted & HISTOGRAMS))
    assert {*counts, *spreads} == wanted
    assert counts[row.metrics.cache] == 1.0
    assert all(len(each["buckets"]) >= 10 for each in spreads.values())


@pytest.mark.parametrize("version", RECORDED)
def test_rules_and_dashboards_read_only_what_the_engine_prints(version: str) -> None:
    texts = fixed_files(MetricsSetup("/metrics"), all_figures())
    asked = set(_NAME.findall("".join(texts.values())))
    for text in shipped_dashboards().values():
        asked.update(_NAME.findall(json.dumps(json.loads(text))))
    printed = {line.partition("{")[0] for line in RECORDED[version]}
    assert len(asked) >= len(all_of(FIGURES))
    assert asked <= printed
