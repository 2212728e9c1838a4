"""The numbers of a model's requests that failed, were late, and count, over a window: in Prometheus's words.

The figures are the hosts' own counts (`toolkit/hostside/tally_figures.py`), and what is good or bad is what
`toolkit/planning/objectives/counting.py` says of the same counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from toolkit.domain.clients.tally import ASLEEP, BROKE_OFF, OWN_LIMITS
from toolkit.domain.hosts.metrics import HOST_JOB, bounds
from toolkit.domain.registry.objective import Objective, Promise
from toolkit.hostside.tally_names import (
    BETWEEN_TOKENS,
    FIRST_TOKEN,
    LEFT_WAITING,
    READ_SECONDS,
    REQUESTS,
)

# {adapter: its model}
Adapters = Mapping[str, str]
# Of requests of the router's log: statuses of 5xx but for models that sleep, answers that broke off, a full model.
_FAILED = (
    f'status=~"5..",reason!="{ASLEEP}"',
    f'status!~"5..",reason="{BROKE_OFF}"',
    f'status="429",reason!~"{"|".join(OWN_LIMITS)}"',
)
_ANSWERED = f'status=~"[23]..",reason!="{BROKE_OFF}"'
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


def failed(window: str, adapters: Adapters) -> str:
    """Return the requests that failed within `window`, by model."""
    return _by_model(window, REQUESTS, _FAILED, adapters)


def answered(window: str, adapters: Adapters) -> str:
    """Return the answered requests within `window` by model. With the failed ones they are all that count."""
    return _by_model(window, REQUESTS, (_ANSWERED,), adapters)


def timed(window: str, objective: Objective, names: Sequence[str]) -> tuple[str, str]:
    """Return the answers that count for an objective about a time, and those of them that came in time.

    `names` are the model's.
    """
    mine, between = f'model=~"{pattern(names)}"', objective.promise is Promise.BETWEEN
    metric = BETWEEN_TOKENS if between else FIRST_TOKEN
    all_of, soon = _all(metric, window, mine), _soon(metric, window, mine, objective)
    if between:
        return all_of, soon
    # Clients that left without a token, after they had waited for longer than promised. No host may have any.
    left = f"{_all(LEFT_WAITING, window, mine)} - {_soon(LEFT_WAITING, window, mine, objective)}"
    return f"({all_of} + ({left} or 0 * {all_of}))", soon


def _by_model(window: str, metric: str, kinds: Sequence[str], adapters: Adapters) -> str:
    found = " or ".join(_grown(metric, each, window) for each in kinds)
    if not adapters:
        return f"sum by (model) ({found})"
    # Use another label, because the series of a model and of its adapters must not become equal before they are summed.
    found = f'label_replace({found}, "of", "$1", "model", "(.+)")'
    for model in sorted(set(adapters.values())):
        names = pattern(name for name, base in adapters.items() if base == model)
        found = f'label_replace({found}, "of", "{model}", "model", "{names}")'
    return f'sum by (model) (label_replace(sum by (of) ({found}), "model", "$1", "of", "(.+)"))'


def pattern(names: Iterable[str]) -> str:
    """Return a pattern that matches each of the names."""
    return "|".join(each.replace(".", "[.]") for each in sorted(names))


def _all(name: str, window: str, labels: str) -> str:
    grown = _grown(f"{name}_bucket", f'{labels},le="+Inf"', window)
    return f"sum({grown})"


def _soon(name: str, window: str, labels: str, objective: Objective) -> str:
    within = pattern(bounds(objective.under))
    grown = _grown(f"{name}_bucket", f'{labels},le=~"{within}"', window)
    return f"sum({grown})"


def _grown(metric: str, labels: str, window: str) -> str:
    """Return by how much counters of hosts grew within `window`.

    A host tells a counter from its first count on, and `increase` knows nothing of that one. A counter that is newer
    than `window` on a host that counted before it, or has counted since it began, grew by all that it has.
    """
    series, read = f'{metric}{{job="{HOST_JOB}",{labels}}}', f'{READ_SECONDS}{{job="{HOST_JOB}"}}'
    seconds = int(window[:-1]) * _SECONDS[window[-1]]
    counted_before = f"({read} offset {window} or {read} < {seconds})"
    new = f"{series} unless {series} offset {window} and on (job, instance) {counted_before}"
    return f"({new} or increase({series}[{window}]))"
