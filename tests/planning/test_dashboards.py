"""The dashboards are current, and read only what rules and hosts give."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toolkit.adapters.metrics_files import shipped_dashboards
from toolkit.domain.hosts.metrics import UsualObjectives
from toolkit.planning.engines import all_figures
from toolkit.planning.metrics.recording import recording_groups

ROOT = Path(__file__).parents[2]
DASHBOARDS = {name: json.loads(text) for name, text in shipped_dashboards().items()}
HOST_NAMES = set(
    re.findall(
        r'^    "(toolkit_\w+)":', (ROOT / "toolkit/hostside/host_metrics.py").read_text(), re.M
    )
)


def test_they_are_what_the_script_makes() -> None:
    words = [sys.executable, ROOT / "scripts" / "write_dashboards.py", "--check"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _queries(data: Any) -> list[str]:
    listed = [target["expr"] for panel in data["panels"] for target in panel["targets"]]
    return [*listed, *(each["expr"] for each in data["annotations"]["list"])]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_reads_what_there_is(name: str) -> None:
    groups = recording_groups(all_figures(), UsualObjectives())
    recorded = {rule.name for group in groups for rule in group.rules}
    for query in _queries(DASHBOARDS[name]):
        read = set(re.findall(r"toolkit[_:][\w:]+", query))
        assert read, query
        assert read <= recorded | HOST_NAMES, query


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_a_title_a_unit_and_lines(name: str) -> None:
    for panel in DASHBOARDS[name]["panels"]:
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
