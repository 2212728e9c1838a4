"""Recording rules: the counts of engines and routers under meaningful names.

Alerts and dashboards read these names alone, so that an engine that renames a metric changes one place. A rate is a
second's; times are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from toolkit.domain.hosts.metrics import UsualObjectives
from toolkit.domain.registry.objective import Objective, Objectives, Promise
from toolkit.planning.engines.figures import Figures
from toolkit.planning.metrics.answered import Adapters, answered, failed, timed
from toolkit.planning.metrics.rule import Group, Record
from toolkit.planning.metrics.targets import REPLICA, ROUTER

# The windows over which errors are counted, see `alerts`.
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
# The labels that tell replicas of a fleet apart.
_OF_REPLICA = "host, model, slot, release, version"
_OF_RELEASE = "model, release, version"


@dataclass(frozen=True, slots=True)
class Promised:
    """The promises of models: `objectives` by model, and the model of each adapter."""

    objectives: Mapping[str, Objectives] = field(default_factory=dict, hash=False)
    adapters: Adapters = field(default_factory=dict, hash=False)


NOTHING = Promised()
# A router's backend for a model. Requests from other hosts' routers were counted at the router that clients reached.
_MODELS = f'job="{ROUTER}",proxy=~"model[.].+"'


def recording_groups(
    figures: Sequence[Figures], objectives: UsualObjectives, promised: Promised = NOTHING
) -> tuple[Group, ...]:
    """Return the recording rules; `figures` are the names of all engines that may run.

    Models that promise nothing of their own have `objectives`.
    """
    return (
        Group("toolkit-replicas", "15s", _replicas(figures)),
        Group("toolkit-requests", "15s", _requests(objectives, promised)),
        Group("toolkit-windows", "1m", [*_windows(promised.adapters), *_late(promised)]),
    )


def _replicas(figures: Sequence[Figures]) -> list[Record]:
    def gauge(meaning: Callable[[Figures], str]) -> str:
        return _any(figures, lambda each: f'{meaning(each)}{{job="{REPLICA}"}}')

    def rate(meaning: Callable[[Figures], str], end: str = "_total") -> str:
        return _any(figures, lambda each: f'rate({meaning(each)}{end}{{job="{REPLICA}"}}[5m])')

    def total(by: str, expr: str) -> str:
        return f"sum by ({by}) ({expr})"

    first = rate(lambda each: each.first, "_bucket")
    between = rate(lambda each: each.between, "_bucket")
    queue = rate(lambda each: each.queue, "_bucket")
    whole = rate(lambda each: each.whole, "_bucket")
    return [
        Record(
            "toolkit:release:serving",
            "count by (model, release, version)"
            " (toolkit_slot_info and on (host, model, slot) toolkit_slot_weight > 0)",
        ),
        Record("toolkit:replica:up", f'max by ({_OF_REPLICA}) (up{{job="{REPLICA}"}})'),
        Record("toolkit:replica:running", total(_OF_REPLICA, gauge(lambda each: each.running))),
        Record("toolkit:replica:waiting", total(_OF_REPLICA, gauge(lambda each: each.waiting))),
        Record(
            "toolkit:replica:cache_use",
            f"max by ({_OF_REPLICA}) ({gauge(lambda each: each.cache)})",
        ),
        Record(
            "toolkit:replica:preemptions:rate5m",
            total(_OF_REPLICA, rate(lambda each: each.preempted)),
        ),
        Record(
            "toolkit:replica:steps:rate5m",
            total(_OF_REPLICA, rate(lambda each: each.steps, "_count")),
        ),
        Record(
            "toolkit:release:tokens_in:rate5m", total(_OF_RELEASE, rate(lambda each: each.prompt))
        ),
        Record(
            "toolkit:release:tokens_cached:rate5m",
            total(_OF_RELEASE, rate(lambda each: each.cached)),
        ),
        Record(
            "toolkit:release:tokens_out:rate5m",
            total(_OF_RELEASE, rate(lambda each: each.generated)),
        ),
        *(
            Record(
                f"toolkit:release:{name}_seconds:p{round(100 * part)}_5m",
                f"histogram_quantile({part}, {total(_OF_RELEASE + ', le', expr)})",
            )
            for name, expr in (
                ("first_token", first),
                ("between_tokens", between),
                ("queue", queue),
                ("request", whole),
            )
            for part in (0.5, 0.95)
        ),
        Record(
            "toolkit:model:first_token_seconds:p50_5m",
            f"histogram_quantile(0.5, {total('model, le', first)})",
        ),
        Record(
            "toolkit:model:first_token_seconds:p95_5m",
            f"histogram_quantile(0.95, {total('model, le', first)})",
        ),
        Record(
            "toolkit:model:answers:rate5m",
            total("model", rate(lambda each: each.first, "_count")),
        ),
    ]


def _any(figures: Sequence[Figures], expr: Callable[[Figures], str]) -> str:
    """Return the expression for each name that a known engine gives the metric."""
    return " or ".join(dict.fromkeys(map(expr, figures)))


def of_model(expr: str) -> str:
    """Return the expression with the model in place of the router's name of its backend."""
    return f'label_replace({expr}, "model", "$1", "proxy", "model[.](.+)")'


def _requests(objectives: UsualObjectives, promised: Promised) -> list[Record]:
    answers = f"rate(haproxy_backend_http_responses_total{{{_MODELS}}}[5m])"
    return [
        Record("toolkit:model:requests:rate5m", f"sum by (model) ({of_model(answers)})"),
        Record(
            "toolkit:model:requests_by_code:rate5m", f"sum by (model, code) ({of_model(answers)})"
        ),
        Record(
            "toolkit:host:requests:rate5m",
            f'sum by (host) (rate(haproxy_frontend_http_responses_total{{job="{ROUTER}",proxy="api"}}[5m]))',
        ),
        Record(
            "toolkit:model:error_budget",
            _own(
                "toolkit:model:requests:rate5m",
                {model: 1 - one.target for model, one in _promises(promised, Promise.AVAILABILITY)},
                1 - objectives.availability,
            ),
        ),
        Record(
            "toolkit:model:first_token_limit_seconds",
            _own(
                "toolkit:model:answers:rate5m",
                {model: one.under for model, one in _promises(promised, Promise.FIRST)},
                objectives.first_token,
            ),
        ),
    ]


def _promises(promised: Promised, promise: Promise) -> list[tuple[str, Objective]]:
    return [
        (model, one)
        for model, found in sorted(promised.objectives.items())
        for one in found.each
        if one.promise is promise
    ]


def _own(series: str, values: Mapping[str, float], usual: float) -> str:
    """Return an expression that gives each model of `series` its own value, and the others the usual one."""
    parts = [
        f'{_decimal(value)} * group by (model) ({series}{{model="{model}"}})'
        for model, value in values.items()
    ]
    return " or ".join([*parts, f"{_decimal(usual)} * group by (model) ({series})"])


def _decimal(number: float) -> str:
    return f"{number:.10f}".rstrip("0").rstrip(".")


def _windows(adapters: Adapters) -> list[Record]:
    found = []
    for window in WINDOWS:
        good = f"toolkit:model:answered:increase{window}"
        bad = f"toolkit:model:errors:increase{window}"
        all_of = f"toolkit:model:counted:increase{window}"
        found += [
            Record(good, answered(window, adapters)),
            # Where nothing failed, there is no series of failures, and none of answers where all failed.
            Record(bad, f"{failed(window, adapters)} or 0 * {good}"),
            Record(all_of, f"({good} or 0 * {bad}) + {bad}"),
            Record(f"toolkit:model:error_ratio:{window}", f"{bad} / ({all_of} > 0)"),
        ]
    return found


def _late(promised: Promised) -> list[Record]:
    """Return the records that measure the latency objectives of models."""
    found = []
    for promise in (Promise.FIRST, Promise.BETWEEN):
        for model, one in _promises(promised, promise):
            labels = {"model": model, "objective": str(promise)}
            names = [model, *(name for name, base in promised.adapters.items() if base == model)]
            found.append(
                Record("toolkit:model:late_budget", f"vector({_decimal(1 - one.target)})", labels)
            )
            for window in WINDOWS:
                all_of, soon = timed(window, one, names)
                name = f"toolkit:model:timed:increase{window}"
                mine = f'{name}{{model="{model}",objective="{promise}"}}'
                found += [
                    Record(name, all_of, labels),
                    Record(
                        f"toolkit:model:late:increase{window}", f"{mine} - on () {soon}", labels
                    ),
                ]
    ratios = [
        Record(
            f"toolkit:model:late_ratio:{window}",
            f"toolkit:model:late:increase{window} / (toolkit:model:timed:increase{window} > 0)",
        )
        for window in WINDOWS
    ]
    return [*found, *ratios] if found else []
