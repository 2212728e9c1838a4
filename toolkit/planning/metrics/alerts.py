"""Alerts: what a person on call is told, and whether it may wait until the morning."""

from __future__ import annotations

from toolkit.planning.metrics.host_alerts import host_alert_groups
from toolkit.planning.metrics.rule import PAGE, TICKET, Alert, Group
from toolkit.planning.metrics.targets import ROUTER

# Requests that must have failed in the long window: with few requests, one failure says nothing of a month's budget.
FEWEST_ERRORS = 10
# The speeds at which errors of a long and a short window spend a month's budget (Google's SRE workbook, chapter 5).
BURNS = (
    ("fast", 14.4, "1h", "5m", PAGE),
    ("fast", 6.0, "6h", "30m", PAGE),
    ("slow", 3.0, "1d", "2h", TICKET),
    ("slow", 1.0, "3d", "6h", TICKET),
)
# One row for each kind of budget: the alert's name, the series of ratios, budgets and counts, their labels, in words.
_BUDGETS = (
    ("Budget", "error_ratio", "error_budget", "errors", "model", "Errors"),
    (
        *("LatencyBudget", "late_ratio", "late_budget", "late", "model, objective"),
        "Late answers ({{ $labels.objective }})",
    ),
)


def alert_groups() -> tuple[Group, ...]:
    """Return the alert rules, measured against the budgets and limits that recording rules give each model."""
    return (
        Group("toolkit-serving", "15s", [*_down(), *_speed()]),
        Group("toolkit-budget", "30s", _budget()),
        *host_alert_groups(),
    )


def _down() -> list[Alert]:
    # The figures of a watch that has ended stay as they are, and say nothing of now. A host's clock may be wrong.
    written = "toolkit_host_written_timestamp_seconds"
    now = f"unless on (host) {written} == {written} offset 5m"
    return [
        Alert(
            "ToolkitRouterDown",
            f'up{{job="{ROUTER}"}} == 0',
            "30s",
            PAGE,
            "The router of {{ $labels.host }} does not answer: clients cannot come in there",
        ),
        Alert(
            "ToolkitModelDown",
            # While requests wait for a model that is exchanged, and while it sleeps, nothing of it is up on purpose.
            'max by (model) (label_replace(haproxy_backend_active_servers{job="toolkit-router",proxy=~"model[.].+"},'
            ' "model", "$1", "proxy", "model[.](.+)")) == 0'
            f" unless on (model) max by (model) (toolkit_model_held_seconds {now}) > 0"
            f" unless on (model) max by (model) (toolkit_model_asleep {now}) > 0",
            "15s",
            PAGE,
            "No router knows a replica of {{ $labels.model }} that is up",
        ),
    ]


def _speed() -> list[Alert]:
    limit = "> on (model) toolkit:model:first_token_limit_seconds"
    # With less than a request in ten seconds, the slowest 5 % are single requests.
    busy = "and on (model) toolkit:model:answers:rate5m > 0.1"
    return [
        Alert(
            "ToolkitFirstTokenSlow",
            f"toolkit:model:first_token_seconds:p95_5m {limit} {busy}",
            "10m",
            TICKET,
            "One in twenty answers of {{ $labels.model }} begins after {{ $value | humanizeDuration }} or later",
        ),
        Alert(
            "ToolkitFirstTokenVerySlow",
            f"toolkit:model:first_token_seconds:p50_5m {limit} {busy}",
            "10m",
            PAGE,
            "Half of the answers of {{ $labels.model }} begin after {{ $value | humanizeDuration }} or later",
        ),
        Alert(
            "ToolkitQueueGrows",
            "min_over_time(toolkit:replica:waiting[10m]) > 0 and deriv(toolkit:replica:waiting[10m]) * 600 > 5",
            "5m",
            TICKET,
            "Requests queue up at {{ $labels.model }} in {{ $labels.slot }} of {{ $labels.host }}",
        ),
        Alert(
            "ToolkitCacheFull",
            "avg_over_time(toolkit:replica:cache_use[10m]) > 0.95",
            "5m",
            TICKET,
            "The cache of {{ $labels.model }} in {{ $labels.slot }} of {{ $labels.host }} is full",
        ),
        Alert(
            "ToolkitPreemptions",
            "toolkit:replica:preemptions:rate5m > 0.1",
            "15m",
            TICKET,
            "{{ $labels.model }} in {{ $labels.slot }} of {{ $labels.host }} computes answers anew for lack of cache",
        ),
    ]


def _budget() -> list[Alert]:
    return [
        Alert(
            f"Toolkit{name}Burns{speed.capitalize()}",
            f"toolkit:model:{ratio}:{long} > on ({labels}) {rate:g} * toolkit:model:{budget}"
            f" and on ({labels}) toolkit:model:{ratio}:{short} > on ({labels}) {rate:g} * toolkit:model:{budget}"
            f" and on ({labels}) toolkit:model:{count}:increase{long} >= {FEWEST_ERRORS}",
            "1m",
            severity,
            f"{words} of {{{{ $labels.model }}}} over {long} spend a month's budget {rate:g} times too fast",
            {"window": long},
        )
        for name, ratio, budget, count, labels, words in _BUDGETS
        for speed, rate, long, short, severity in BURNS
    ]
