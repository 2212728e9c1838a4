"""The rules of all alerts: explained in the document, and without fault for Prometheus."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.planning.alert_cases import ALERTS, NAMES, OWN
from toolkit.domain.hosts.metrics import MetricsSetup
from toolkit.planning.engines import all_figures
from toolkit.planning.metrics.rule import Alert
from toolkit.planning.metrics.scrape import fixed_files


def test_every_alert_has_its_section_in_the_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "observability.md").read_text("utf-8")
    assert set(re.findall(r"^#### (Toolkit\w+)$", text, re.MULTILINE)) == set(NAMES)
    for rule in ALERTS:
        assert isinstance(rule, Alert)
        section = text.partition(f"#### {rule.name}\n")[2].partition("\n#")[0]
        assert f"{rule.severity.capitalize()}." in section, rule.name


def test_prometheus_finds_no_fault_in_the_rules(tmp_path: Path) -> None:
    for name, text in fixed_files(MetricsSetup(str(tmp_path)), all_figures(), OWN).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    files = sorted((tmp_path / "rules").glob("*.yml"))
    checked = subprocess.run(
        ["promtool", "check", "rules", *files], capture_output=True, text=True, timeout=60
    )
    assert (checked.returncode, "FAILED" in checked.stdout + checked.stderr) == (0, False), checked
