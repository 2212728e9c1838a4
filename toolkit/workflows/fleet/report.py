"""Gather what a report of a fleet says: the hosts as they are, and the history of a period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.adapters.history.history import History
from toolkit.adapters.prometheus import PrometheusPort
from toolkit.config.costs.meter import Readings
from toolkit.domain.costs.economics import ApiPrice, Costs, day_of
from toolkit.domain.registry.model import Model
from toolkit.errors import ToolkitError
from toolkit.planning.economics.energy import uncounted
from toolkit.planning.economics.summary import summaries
from toolkit.planning.report.changes import changes, reigns
from toolkit.planning.report.findings import Cost, Findings, UpstreamFindings, Use
from toolkit.planning.report.latency import measured
from toolkit.planning.report.use import columns, sums
from toolkit.planning.use.reconciled import reconciled
from toolkit.workflows.fleet.cost import bills
from toolkit.workflows.fleet.objectives import measure, measure_by
from toolkit.workflows.fleet.recorded import recorded, to_come, window, words_on_days_to_come
from toolkit.workflows.fleet.status import FleetStatus

# Models with a colour of their own; a sixth place is for all others.
_NAMED = 5
_OTHERS = "other models"
NO_COST = Cost()
NO_READINGS = Readings()


def gather(
    status: FleetStatus,
    history: History,
    since: float,
    until: float,
    upstream: UpstreamFindings,
    cost: Cost = NO_COST,
    models: Sequence[Model] = (),
    prometheus: PrometheusPort | None = None,
) -> Findings:
    """Return the findings for the time from `since` to `until`, in seconds since the epoch.

    `models` are those of the registry, with what they promise; how far they keep it is measured as by `toolkit slo`,
    by `prometheus` where it has figures.
    """
    versions = {
        (each.model, each.number): each.version
        for model in history.models()
        for each, _ in history.releases(model)
    }
    deployments = history.deployments_until(until)
    known = changes(deployments, history.gates_since(since), versions)
    names = frozenset(status.fleet.labels)
    measured_by, source = measure_by(prometheus, models, history, until, fleet=names)
    period = tuple(each for each in known if since <= each.started or each.ended is None)
    return Findings(
        since=since,
        until=until,
        fleet=status.fleet,
        changes=period,
        reigns=tuple(
            each for each in reigns(known, until, deployments) if (each.ended or until) > since
        ),
        latency=measured(period),
        use=_use(history, since, until),
        drift=status.drift,
        remarks=(
            *(f"{each}: its router has missed a change" for each in status.behind),
            *status.events,
            *words_on_days_to_come(to_come(history, until)),
        ),
        upstream=upstream,
        history_fault=history.fault,
        cost=cost,
        objectives=measure(models, history, until, fleet=names) if measured_by is None else measured_by,
        source=source,
    )  # fmt: skip


def cost_of(
    history: History,
    costs: Costs,
    prices: Mapping[str, ApiPrice],
    since: float,
    until: float,
    readings: Readings = NO_READINGS,
) -> Cost:
    """Return the cost of the days from `since` to `until`, or the reason why it is unknown."""
    span = window(day_of(since), day_of(until), int(until))
    try:
        situation, notes = recorded(history, costs, span, readings.metered, keys=False)
        notes = (*readings.notes, *uncounted(readings.hosts, costs), *notes)
        (bill, *_) = bills(situation, prices, (), day_of(until))
    except ToolkitError as error:
        return Cost(stated=True, fault=error.message)
    models = summaries(bill.account, bill.beside)
    return Cost(models, (*notes, *bill.account.notes), stated=True)


def _use(history: History, since: float, until: float) -> Use:
    first, last = day_of(since), day_of(until)
    span = (first.isoformat(), last.isoformat())
    # Read the large table once: summing its sums takes less time than a second reading.
    rows = history.use(*span, by=("day", "model", "key", "ended"))
    models = sums(rows, lambda row: row.model)
    if not models:
        return Use()
    names = tuple(each.name for each in models[:_NAMED])
    made, step = columns(rows, first, last, names, _OTHERS)
    releases = reconciled(history.use_runs(), since=since)
    more = (_OTHERS,) if len(models) > len(names) else ()
    return Use(models, sums(rows, lambda row: row.key), made, step, (*names, *more), releases)
