"""Prometheus's own test of rules, with series that a test states."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from toolkit.domain.hosts.metrics import MetricsSetup
from toolkit.planning.engines import all_figures
from toolkit.planning.metrics.recording import NOTHING, Promised
from toolkit.planning.metrics.scrape import fixed_files

Series = Mapping[str, str]
OWN = 'host="alpha",instance="alpha"'
REPLICA = f'job="toolkit-replica",{OWN},model="tiny",slot="blue",release="3",version="v3"'


def router(metric: str, labels: str) -> str:
    """Return a series of the router of the host alpha."""
    return f'haproxy_{metric}{{job="toolkit-router",{OWN},{labels}}}'


def replica(metric: str, labels: str = "") -> str:
    """Return a series of the replica in the slot blue."""
    return f"{metric}{{{REPLICA}{',' + labels if labels else ''}}}"


def host(metric: str, labels: str = "", name: str = "alpha") -> str:
    """Return a series that the watch of a host writes."""
    own = OWN.replace("alpha", name)
    return f'toolkit_{metric}{{job="toolkit-host",{own}{"," + labels if labels else ""}}}'


def answered(good: str, bad: str, reason: str = "", model: str = "tiny") -> dict[str, str]:
    """Return the counters of a model's answers, in Prometheus's notation of series, as router and host tell them.

    The bad ones have the status 503 and a reason. What has one is refused before it comes to the model's backend.
    """
    answers = 'proxy="model.tiny",code="{}"'
    ended = f'model="{model}",version="v3",release="3",status="{{}}",reason="{{}}"'
    return {
        router("backend_http_responses_total", answers.format("2xx")): good,
        router("backend_http_responses_total", answers.format("5xx")): "0x3000" if reason else bad,
        host("requests_total", ended.format(200, "")): good,
        host("requests_total", ended.format(503, reason)): bad,
    }


def timed(name: str, under: float, good: str, all_of: str, model: str = "tiny") -> dict[str, str]:
    """Return what a host tells of a time: the answers within `under` seconds, and all of them."""
    own = f'model="{model}",version="v3",release="3"'
    return {
        host(f"{name}_seconds_bucket", f'{own},le="{under:g}"'): good,
        host(f"{name}_seconds_bucket", f'{own},le="+Inf"'): all_of,
    }


def first_tokens(until: float, a_minute: int, minutes: int) -> dict[str, str]:
    """Return the histogram of answers that all begin within `until` seconds, and not within half of that."""
    name = "vllm:time_to_first_token_seconds"
    grown, none = f"0+{a_minute}x{minutes}", f"0x{minutes}"
    return {
        replica(f"{name}_bucket", f'le="{until / 2:g}"'): none,
        replica(f"{name}_bucket", f'le="{until:g}"'): grown,
        replica(f"{name}_bucket", 'le="+Inf"'): grown,
        replica(f"{name}_count"): grown,
    }


def firing(
    directory: Path,
    series: Series,
    minutes: Sequence[float],
    alerts: Sequence[str],
    promised: Promised = NOTHING,
    *,
    every: str = "",
) -> dict[float, set[tuple[str, str]]]:
    """Return {minute: (alert, severity) of all of `alerts` that fire then}; a value of `series` stands for a minute.

    `every` is the time from one evaluation to the next, in Prometheus's words; by default 15 s, as in `prometheus.yml`,
    where that takes seconds.

    promtool only compares: each alert is expected not to fire, and what it complains of does.
    """
    looks = [
        {"eval_time": f"{round(minute * 60)}s", "alertname": alert, "exp_alerts": []}
        for minute in minutes
        for alert in alerts
    ]
    case = {"alert_rule_test": looks}
    return _fired(_evaluated(directory, series, case, promised, every or _usual(minutes)), minutes)


def ever_firing(
    directory: Path, series: Series, minute: int, promised: Promised, *, every: str
) -> set[str]:
    """Return the names of all alerts that fire at any evaluation until a minute; see `firing`."""
    query = f'count_over_time(ALERTS{{alertstate="firing"}}[{minute}m])'
    looks = [{"expr": query, "eval_time": f"{minute}m", "exp_samples": []}]
    said = _evaluated(directory, series, {"promql_expr_test": looks}, promised, every)
    found = set(re.findall(r'alertname="(\w+)"', said))
    assert found or "SUCCESS" in said, said
    return found


def _evaluated(
    directory: Path,
    series: Series,
    looks: Mapping[str, Sequence[Any]],
    promised: Promised,
    every: str,
) -> str:
    """Return what promtool says of the looks at the series."""
    for name, text in fixed_files(MetricsSetup(str(directory)), all_figures(), promised).items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    case: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        **looks,
    }
    files = sorted((directory / "rules").glob("*.yml"), reverse=True)
    test = {
        "rule_files": [str(each) for each in files],
        # Of the groups that promtool evaluates at the same time, those that record come first. So alerts see figures of
        # that time, and not those of the evaluation before it, which minutes later count no more.
        "group_eval_order": [name for each in files for name in _groups(each)],
        # A day of evaluations every 15 s would take minutes. One look after hours of the same asks for the least.
        "evaluation_interval": every,
        "tests": [case],
    }
    (directory / "test.yml").write_text(json.dumps(test))
    done = subprocess.run(
        ["promtool", "test", "rules", directory / "test.yml"],
        # It ends soon: collecting its garbage as often as a server does takes a quarter of its time.
        capture_output=True, text=True, timeout=250, env=os.environ | {"GOGC": "400"},
    )  # fmt: skip
    return done.stdout + done.stderr


def _groups(rules: Path) -> list[str]:
    found: list[str] = [each["name"] for each in yaml.safe_load(rules.read_text("utf-8"))["groups"]]
    return found


def _usual(minutes: Sequence[float]) -> str:
    return "15s" if max(minutes) < 240 else "1m" if len(minutes) > 1 else "20m"


def _fired(said: str, minutes: Sequence[float]) -> dict[float, set[tuple[str, str]]]:
    assert "error" not in said.lower() or "FAILED" in said, said
    found: dict[float, set[tuple[str, str]]] = {minute: set() for minute in minutes}
    part = re.compile(
        r"alertname: (\w+), time: (\S+),\s*\n\s*exp:\s*\[\s*\],?\s*\n\s*got:\s*\[(.*?)\n\s*\]", re.S
    )
    by_time = {_duration(minute): minute for minute in minutes}
    for name, time, got in part.findall(said):
        for severity in re.findall(r'severity="(\w+)"', got):
            found[by_time[time]].add((name, severity))
    assert len(part.findall(said)) == said.count("alertname: "), said
    return found


def _duration(minute: float) -> str:
    """Return minutes as promtool prints them: `1h2m30s`."""
    seconds = round(minute * 60)
    parts = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
    text = ""
    for size, name in parts:
        if seconds >= size:
            text += f"{seconds // size}{name}"
            seconds %= size
    return text or "0s"
