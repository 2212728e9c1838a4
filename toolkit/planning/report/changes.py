"""The changes of a fleet: one for each command, whatever the number of its hosts, with gates and outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from toolkit.domain.deployment.release import Deployment, Outcome
from toolkit.domain.gates.verdict import UNDER_TRAFFIC, GateRecord, Verdict

_WORST = {Verdict.FAILED: 2, Verdict.UNKNOWN: 1, Verdict.PASSED: 0}


class ChangeEnd(StrEnum):
    """The end of a change. `RETURNED` had traffic before it failed; `FAILED` had none."""

    LIVE = "live"
    RETURNED = "returned"
    FAILED = "failed"
    STOPPED = "stopped"
    RUNNING = "under way"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class GateSummary:
    """The worst verdict of a gate over all hosts of a change, and its reason."""

    gate: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PastChange:
    """A command that changed what serves. Times are in seconds since the epoch; `ended` is None where it is under way.

    `version` and `former` are the names of the versions, empty where the history does not know them.
    """

    model: str
    action: str
    release: int
    version: str
    previous: int | None
    former: str
    hosts: tuple[str, ...]
    actor: str
    started: float
    ended: float | None
    ending: ChangeEnd
    reason: str = ""
    gates: tuple[GateSummary, ...] = ()
    records: tuple[GateRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Reign:
    """The time in which a release of a model was the one that last went live; `ended` is None for the present one."""

    model: str
    release: int
    version: str
    started: float
    ended: float | None


def changes(
    deployments: Iterable[Deployment],
    gates: Iterable[GateRecord],
    versions: Mapping[tuple[str, int], str],
) -> tuple[PastChange, ...]:
    """Return the changes, the oldest first; `versions` has the version's name of each model's release."""
    found: dict[tuple[str, str], list[Deployment]] = {}
    for each in deployments:
        if each.replaces or each.action == "stop":
            found.setdefault((each.model, each.rollout or f"#{each.id}"), []).append(each)
    proved: dict[tuple[str, str, int], list[GateRecord]] = {}
    for record in gates:
        proved.setdefault((record.model, record.rollout, record.release), []).append(record)
    made = [
        _change(
            of_hosts,
            proved.get((model, rollout, of_hosts[0].release), ()) if rollout else (),
            versions,
        )
        for (model, rollout), of_hosts in found.items()
    ]
    return tuple(sorted(made, key=lambda each: (each.started, each.model)))


def reigns(
    found: Sequence[PastChange], until: float, deployments: Iterable[Deployment] = ()
) -> tuple[Reign, ...]:
    """Return the reigns of all models up to `until`, each model's in their order.

    A reign ends with the next release, and once the model was stopped on its last host or, by `deployments`, that host
    left the fleet. Records that are older than fleets name no host: such a stop ends it.
    """
    moments: list[tuple[float, str, tuple[str, ...], PastChange | None]] = [
        (each.ended, each.model, each.hosts, each if each.ending is ChangeEnd.LIVE else None)
        for each in found
        if each.ending in (ChangeEnd.LIVE, ChangeEnd.STOPPED) and each.ended is not None
    ]
    moments += [
        (each.ended_at or each.started_at, each.model, (each.host,), None)
        for each in deployments
        if each.action == "forget" and each.started_at <= until
    ]
    begun: dict[str, Reign] = {}
    there: dict[str, set[str]] = {}
    ended: list[Reign] = []
    for at, model, hosts, change in sorted(moments, key=lambda moment: moment[0]):
        former = begun.get(model)
        if change is None:
            left = there.pop(model, set()) - set(hosts)
            if hosts and left:
                there[model] = left
                continue
        else:
            there.setdefault(model, set()).update(hosts)
            if former and former.release == change.release:
                continue
        if former:
            ended.append(_ended(former, at))
            del begun[model]
        if change is not None:
            begun[model] = Reign(model, change.release, change.version, at, None)
    return tuple(sorted((*ended, *begun.values()), key=lambda reign: (reign.model, reign.started)))


def _ended(reign: Reign, at: float) -> Reign:
    return Reign(reign.model, reign.release, reign.version, reign.started, at)


def _change(
    of_hosts: Sequence[Deployment],
    records: Sequence[GateRecord],
    versions: Mapping[tuple[str, int], str],
) -> PastChange:
    first = of_hosts[0]
    gates = _summaries(records)
    over = [each.ended_at for each in of_hosts]
    whole = [each for each in over if each is not None]
    previous = next((each.previous for each in of_hosts if each.previous is not None), None)
    return PastChange(
        model=first.model,
        action=first.action,
        release=first.release,
        version=versions.get((first.model, first.release), ""),
        previous=previous,
        former=versions.get((first.model, previous), "") if previous is not None else "",
        hosts=tuple(sorted({each.host for each in of_hosts if each.host})),
        actor=first.actor,
        started=min(each.started_at for each in of_hosts),
        ended=max(whole) if len(whole) == len(over) else None,
        ending=_ending(of_hosts, gates),
        reason=next((each.reason for each in of_hosts if each.reason and _failed(each)), ""),
        gates=gates,
        records=tuple(records),
    )


def _ending(of_hosts: Sequence[Deployment], gates: Sequence[GateSummary]) -> ChangeEnd:
    outcomes = {each.outcome for each in of_hosts}
    if Outcome.RUNNING in outcomes:
        return ChangeEnd.RUNNING
    if Outcome.FAILED in outcomes:
        judged = [each for each in gates if each.gate in UNDER_TRAFFIC]
        back = any(each.verdict is not Verdict.PASSED for each in judged)
        return ChangeEnd.RETURNED if back else ChangeEnd.FAILED
    if Outcome.UNDONE in outcomes:
        return ChangeEnd.UNDONE
    return ChangeEnd.STOPPED if of_hosts[0].action == "stop" else ChangeEnd.LIVE


def _failed(each: Deployment) -> bool:
    return each.outcome in (Outcome.FAILED, Outcome.UNDONE)


def _summaries(records: Sequence[GateRecord]) -> tuple[GateSummary, ...]:
    """Return one summary for each gate, in the order in which they were first asked."""
    worst: dict[str, GateSummary] = {}
    for each in sorted(records, key=lambda record: record.at):
        result = each.result
        known = worst.get(result.gate)
        if known is None or _WORST[result.verdict] > _WORST[known.verdict]:
            worst[result.gate] = GateSummary(result.gate, result.verdict, result.reason)
    return tuple(worst.values())
