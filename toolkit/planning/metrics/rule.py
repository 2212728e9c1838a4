"""One rule of Prometheus, and the text of its file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PAGE, TICKET = "page", "ticket"


@dataclass(frozen=True, slots=True)
class Record:
    """A series that Prometheus computes and keeps under a name of its own."""

    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert: the words to a person on call, once `expr` has held for `wait` (`2m`).

    `severity` is `page` for what cannot wait until the morning, else `ticket`. `summary` may name labels, as
    Prometheus does. The runbook is the section of the document with the alert's name; `labels` tell rules of one name
    apart.
    """

    name: str
    expr: str
    wait: str
    severity: str
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, every `interval`."""

    name: str
    interval: str
    rules: Sequence[Record | Alert]


def render_groups(groups: Sequence[Group], docs: str = "") -> str:
    """Return the text of a file of rules; `docs` is where runbooks begin."""
    lines = ["# Written by `toolkit metrics setup`.", "groups:"]
    for group in groups:
        lines += [f"  - name: {group.name}", f"    interval: {group.interval}", "    rules:"]
        for rule in group.rules:
            lines += _record(rule) if isinstance(rule, Record) else _alert(rule, docs)
    return "\n".join(lines) + "\n"


def _record(rule: Record) -> list[str]:
    labels = ["        labels:"] if rule.labels else []
    labels += [f"          {name}: {json.dumps(value)}" for name, value in rule.labels.items()]
    return [f"      - record: {rule.name}", f"        expr: {json.dumps(rule.expr)}", *labels]


def _alert(rule: Alert, docs: str) -> list[str]:
    labels = {"severity": rule.severity, **rule.labels}
    return [
        f"      - alert: {rule.name}",
        f"        expr: {json.dumps(rule.expr)}",
        f"        for: {rule.wait}",
        f"        labels: {json.dumps(labels)}",
        "        annotations:",
        f"          summary: {json.dumps(rule.summary)}",
        f"          runbook_url: {json.dumps(f'{docs}#{rule.name.lower()}')}",
    ]
