"""Measure models by their objectives, from what the history has of their hosts' counts."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.adapters.history.history import History
from toolkit.domain.model import Model
from toolkit.domain.release import Outcome
from toolkit.planning.objectives.attained import Lived, attained
from toolkit.planning.objectives.coverage import coverage
from toolkit.planning.objectives.measured import Measured

# The newest of a model; a window of a quarter has fewer.
MOST_DEPLOYMENTS = 2000


def measure(
    models: Sequence[Model], history: History, now: float, days: int | None = None
) -> tuple[Measured, ...]:
    """Return what models with objectives have kept up to `now` (seconds since the epoch).

    A model has its adapters with it. `days` replaces the windows of the registry.
    """
    return tuple(
        _measured(each, history, now, days or each.objectives.days)
        for each in models
        if each.objectives
    )


def _measured(model: Model, history: History, now: float, days: int) -> Measured:
    assert model.objectives is not None
    adapters = {each.name for version in model.versions for each in version.adapters}
    until = int(now // 3600)
    tallies, watched = history.tallies(
        until - days * 24 + 1, until, sorted({model.name, *adapters})
    )
    lived = _lived(model.name, history)
    return Measured(
        model.name,
        days,
        now,
        tuple(attained(each, tallies, until, lived) for each in model.objectives.each),
        coverage(watched, now),
    )


def _lived(model: str, history: History) -> tuple[Lived, ...]:
    """Return the releases that went live, in their order."""
    versions = {each.number: each.version for each, _ in history.releases(model)}
    found = sorted(
        (each.ended_at or each.started_at, each.release)
        for each in history.deployments(model, limit=MOST_DEPLOYMENTS)
        if each.outcome is Outcome.LIVE
    )
    return tuple(Lived(number, versions.get(number, ""), at) for at, number in found)
