"""The configuration of Prometheus, and all files of the directory that it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.domain.hosts.metrics import MetricsSetup, ScrapeTarget
from toolkit.planning.engines.figures import Figures
from toolkit.planning.metrics.alerts import alert_groups
from toolkit.planning.metrics.recording import NOTHING, Promised, recording_groups
from toolkit.planning.metrics.rule import render_groups
from toolkit.planning.metrics.targets import JOBS, ROUTER, render_targets

_HEAD = """\
# Written by `toolkit metrics setup`. Start Prometheus with it, or take its scrape_configs over into a configuration of
# your own.
global:
  scrape_interval: 15s
  evaluation_interval: 15s
"""
# In Grafana's directory of provisioned dashboards.
_PROVIDER = """\
# Written by `toolkit metrics setup`.
apiVersion: 1
providers:
  - name: toolkit
    type: file
    options: {{path: "{directory}/dashboards"}}
"""
# The characters that Prometheus takes for a part of a pattern in a path, or YAML for the end of a text.
_PATTERN = frozenset('*?[]\\"')
# Backends that lead to single slots, and to metrics: they repeat what the models' backends have.
_REPEATED = "(metrics:|up[.]|relay[.]).*"


def is_plain(directory: str) -> bool:
    """Return whether Prometheus finds files below a directory: it takes their paths for patterns."""
    return directory.isprintable() and not _PATTERN & set(directory)


def fixed_files(
    setup: MetricsSetup, figures: Sequence[Figures], promised: Promised = NOTHING
) -> dict[str, str]:
    """Return the files of the directory that follow from the setup and from what models promise, by path below it."""
    return {
        "prometheus.yml": render_prometheus(setup),
        "grafana-dashboards.yml": _PROVIDER.format(
            # Grafana takes $NAME for a variable.
            directory=setup.directory.replace("$", "$$")
        ),
        "rules/toolkit-recording.yml": render_groups(
            recording_groups(figures, setup.objectives, promised)
        ),
        "rules/toolkit-alerts.yml": render_groups(alert_groups(), setup.docs),
    }


def target_files(found: Mapping[str, Sequence[ScrapeTarget]]) -> dict[str, str]:
    """Return the files of targets, by path below the directory; every job has one, be it empty."""
    return {f"targets/{job}.json": render_targets(found.get(job, ())) for job in JOBS}


def render_prometheus(setup: MetricsSetup) -> str:
    """Return `prometheus.yml`."""
    lines = [_HEAD + "rule_files:", f'  - "{setup.directory}/rules/toolkit-*.yml"']
    if setup.alertmanagers:
        lines += ["alerting:", "  alertmanagers:", "    - static_configs:"]
        lines += [f"        - targets: [{', '.join(map(_quoted, setup.alertmanagers))}]"]
    lines += ["scrape_configs:"]
    for job in JOBS:
        lines += [
            f"  - job_name: {job}",
            "    file_sd_configs:",
            f'      - files: ["{setup.directory}/targets/{job}*.json"]',
            "        refresh_interval: 30s",
        ]
        if job == ROUTER:
            lines += [
                "    metric_relabel_configs:",
                f"      - {{source_labels: [proxy], regex: '{_REPEATED}', action: drop}}",
            ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return f'"{text}"'
