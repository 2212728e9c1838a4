"""How many requests of a model failed, were late, and count, over a window: in Prometheus's words.

The figures are the hosts' own counts (`toolkit/hostside/tally_figures.py`), and what is good or bad is what
`toolkit/planning/objectives/counting.py` says of the same counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from toolkit.domain.clients.tally import ASLEEP, BROKE_OFF, OWN_LIMITS
from toolkit.domain.hosts.metrics import HOST_JOB, bounds
from toolkit.domain.registry.objective import Objective, Promise
from toolkit.hostside.tally_names import BETWEEN_TOKENS, FIRST_TOKEN, LEFT_WAITING, REQUESTS

# {adapter: its model}
Adapters = Mapping[str, str]
# Of requests of the router's log: statuses of 5xx but for models that sleep, answers that broke off, a full model.
_FAILED = (
    f'status=~"5..",reason!="{ASLEEP}"',
    f'status!~"5..",reason="{BROKE_OFF}"',
    f'status="429",reason!~"{"|".join(OWN_LIMITS)}"',
)
_ANSWERED = f'status=~"[23]..",reason!="{BROKE_OFF}"'


def failed(window: str, adapters: Adapters) -> str:
    """Return the requests that failed within `window`, by model."""
    return _by_model(window, REQUESTS, _FAILED, adapters)


def counted(window: str, adapters: Adapters) -> str:
    """Return the requests that count for the availability, by model."""
    return _by_model(window, REQUESTS, (*_FAILED, _ANSWERED), adapters)


def timed(window: str, objective: Objective, names: Sequence[str]) -> tuple[str, str]:
    """Return the late answers and those that count for an objective about a time; `names` are the model's."""
    mine = f'model=~"{pattern(names)}"'
    if objective.promise is Promise.BETWEEN:
        return _later(BETWEEN_TOKENS, window, mine, objective), _all(BETWEEN_TOKENS, window, mine)
    late, all_of = (
        _later(FIRST_TOKEN, window, mine, objective),
        _all(FIRST_TOKEN, window, mine),
    )
    # Clients that left without a token, after they had waited for longer than promised. No host may have any.
    left = f"({_later(LEFT_WAITING, window, mine, objective)} or 0 * {all_of})"
    return f"({late} + {left})", f"({all_of} + {left})"


def _by_model(window: str, metric: str, kinds: Sequence[str], adapters: Adapters) -> str:
    found = " or ".join(
        f'increase({metric}{{job="{HOST_JOB}",{each}}}[{window}])' for each in kinds
    )
    if not adapters:
        return f"sum by (model) ({found})"
    # Another label: the series of a model and of its adapters must not become the same before they are summed up.
    found = f'label_replace({found}, "of", "$1", "model", "(.+)")'
    for model in sorted(set(adapters.values())):
        names = pattern(name for name, base in adapters.items() if base == model)
        found = f'label_replace({found}, "of", "{model}", "model", "{names}")'
    return f'sum by (model) (label_replace(sum by (of) ({found}), "model", "$1", "of", "(.+)"))'


def pattern(names: Iterable[str]) -> str:
    """Return what matches one of the names."""
    return "|".join(each.replace(".", "[.]") for each in sorted(names))


def _all(name: str, window: str, labels: str) -> str:
    return f'sum(increase({name}_bucket{{job="{HOST_JOB}",{labels},le="+Inf"}}[{window}]))'


def _later(name: str, window: str, labels: str, objective: Objective) -> str:
    within = pattern(bounds(objective.under))
    soon = f'sum(increase({name}_bucket{{job="{HOST_JOB}",{labels},le=~"{within}"}}[{window}]))'
    return f"({_all(name, window, labels)} - {soon})"
