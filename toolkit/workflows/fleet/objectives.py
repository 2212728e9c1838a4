"""Measure models by their objectives, by their hosts' counts: those of the history, or what Prometheus read of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from toolkit.adapters.history.history import History
from toolkit.adapters.prometheus import PrometheusPort
from toolkit.domain.deployment.release import Outcome
from toolkit.domain.registry.model import Model
from toolkit.domain.registry.objective import Objectives
from toolkit.errors import HostError
from toolkit.planning.objectives.attained import Lived, attained
from toolkit.planning.objectives.coverage import coverage, uncounted
from toolkit.planning.objectives.measured import Measured, Source
from toolkit.planning.objectives.sampled import READ, sampled, selections, watched


def measure(
    models: Sequence[Model],
    history: History,
    now: float,
    days: int | None = None,
    fleet: Collection[str] | None = None,
) -> tuple[Measured, ...]:
    """Return the state of all objectives at `now` (seconds since the epoch), by the history.

    A model has its adapters with it. `days` replaces the windows of the registry. `fleet` names the hosts that are to
    count, None for all that did.
    """
    found = []
    for model, objectives in _promising(models):
        until, hours = int(now // 3600), 24 * (days or objectives.days)
        tallies, seen = history.tallies(until - hours + 1, until, _names(model))
        lived = _lived(model.name, history)
        found.append(
            Measured(
                model.name,
                days or objectives.days,
                now,
                tuple(attained(each, tallies, until, lived) for each in objectives.each),
                coverage(seen, now, fleet),
                uncounted(seen, fleet),
            )
        )
    return tuple(found)


def measure_by(
    prometheus: PrometheusPort | None,
    models: Sequence[Model],
    history: History,
    now: float,
    days: int | None = None,
    fleet: Collection[str] | None = None,
) -> tuple[tuple[Measured, ...] | None, Source]:
    """Return the figures of a Prometheus and itself; None where there is none or it has none, and why.

    Raises InputError where its address or the credentials are wrong.
    """
    if prometheus is None:
        return None, Source()
    try:
        found = measure_by_prometheus(models, prometheus, history, now, days, fleet)
    except HostError as error:
        return None, Source(why_not=error.message)
    return found, Source(prometheus.address)


def measure_by_prometheus(
    models: Sequence[Model],
    prometheus: PrometheusPort,
    history: History,
    now: float,
    days: int | None = None,
    fleet: Collection[str] | None = None,
) -> tuple[Measured, ...]:
    """Return the same as `measure`, by what Prometheus read of the hosts' counters.

    The history tells which release was live where no replica took a request. Raises HostError where Prometheus cannot
    be asked or has read no host within the window, and InputError where the address or the credentials are wrong.
    """
    found = []
    for model, objectives in _promising(models):
        length = days or objectives.days
        until = int(now // 3600)
        first = until - 24 * length + 1
        read = prometheus.by_hour(READ, first - 1, until)
        seen = watched(read, first)
        if not seen:
            raise HostError(
                f"Prometheus at {prometheus.address} has counts of no host in the last {length} days",
                hint="toolkit metrics show",
            )
        lived = _lived(model.name, history)
        kept = []
        for each in objectives.each:
            series = [
                prometheus.by_hour(wanted, first - 1, until)
                for wanted in selections(_names(model), each)
            ]
            kept.append(attained(each, sampled(each, read, series, first), until, lived))
        hosts = coverage(seen, now, fleet), uncounted(seen, fleet)
        found.append(Measured(model.name, length, now, tuple(kept), *hosts))
    return tuple(found)


def _promising(models: Sequence[Model]) -> list[tuple[Model, Objectives]]:
    return [(each, each.objectives) for each in models if each.objectives]


def _names(model: Model) -> list[str]:
    """Return the names under which a model is asked for."""
    return sorted(
        {model.name, *(each.name for version in model.versions for each in version.adapters)}
    )


def _lived(model: str, history: History) -> tuple[Lived, ...]:
    """Return the releases that went live, in their order."""
    versions = {each.number: each.version for each, _ in history.releases(model)}
    found = sorted(
        (each.ended_at or each.started_at, each.release)
        for each in history.deployments(model, steps=False)
        if each.outcome is Outcome.LIVE
    )
    return tuple(Lived(number, versions.get(number, ""), at) for at, number in found)
