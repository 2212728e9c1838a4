"""The effect of an upgrade on a whole fleet, from the plan that `toolkit upgrade` would make."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolkit.domain.deployment.plan import Plan, Strategy
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.said_once import listed, said_once
from toolkit.errors import HostError, NothingSuitableError, RefusedError
from toolkit.planning.change.placement import GATEWAY, having
from toolkit.planning.change.preflight import preflight
from toolkit.planning.change.rollout import Limits, RolloutPlan, plan_rollout
from toolkit.planning.change.sleep import require_awake
from toolkit.planning.change.span import plan_hosts, require_together
from toolkit.planning.fit.host_fit import HostFit
from toolkit.planning.routing.routes import Routes

# If hosts differ, the fleet's strategy is the most expensive one.
_DEAREST_FIRST = (Strategy.SWAP, Strategy.ROLLING, Strategy.SIDE_BY_SIDE, Strategy.SWITCH)
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The effect of `toolkit upgrade`, in `batches` of hosts' names, and in `words` for people.

    `strategy` is empty if nothing changes or nothing can change, and `refused` if the command would refuse.
    """

    strategy: str
    words: str
    batches: tuple[tuple[str, ...], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        batches = [list(batch) for batch in self.batches]
        return {"strategy": self.strategy, "words": self.words, "batches": batches}


def provisionable(fit: HostFit, facts: HostFacts, now: float) -> HostFit:
    """Return `fit`; a host that was never provisioned and cannot be is no place for it. `now` is as for `preflight`."""
    faults = () if facts.converged else preflight(facts, now)
    if not faults:
        return fit
    return _no_place(fit, f"it cannot be provisioned: {faults[0].words}")


def beside_gateways(fit: HostFit, gateways: Collection[str], have: Collection[str]) -> HostFit:
    """Return `fit`; one of the `gateways` is no place for a model, unless it is among the hosts that `have` it."""
    if fit.host not in gateways or fit.host in have:
        return fit
    return _no_place(replace(fit, several=None), f"it is {GATEWAY}")


def _no_place(fit: HostFit, why: str) -> HostFit:
    return replace(fit, fits=False, why=why, strategy="", downtime="", wanted=None)


def plan_upgrade(
    model: str,
    fits: Sequence[HostFit],
    facts: Mapping[str, HostFacts],
    routes: Routes,
    *,
    limits: Limits,
    unreachable: Mapping[str, str],
) -> tuple[tuple[HostFit, ...], Upgrade]:
    """Return `fits` with the effect on each host within the fleet, and the effect on all hosts.

    `facts` are of the hosts that answer, by name, with the traffic that `routes` give them; the others are
    `unreachable`.
    An upgrade concerns the hosts that have the model. It needs all of them to fit the version.
    """
    have = having(model, facts, routes)
    mine = [each for each in fits if each.host in have]
    unable = [each for each in mine if each.wanted is None]
    if not mine:
        return tuple(fits), Upgrade("", "")
    if unable:
        words = "; ".join(
            f"{listed(each.hosts)} {'has' if len(each.hosts) == 1 else 'have'} {model}, and there {each.words}"
            for each in said_once({each.host: each.why for each in unable})
        )
        return tuple(fits), Upgrade("", f"not possible: {words}")
    wanted = {each.host: each.wanted for each in mine if each.wanted}
    try:
        require_awake(model, routes)
        if any(each.release.span for each in wanted.values()):
            require_together(model, routes, unreachable)
        rollout = plan_rollout(plan_hosts(wanted, facts), facts, limits, unreachable=unreachable)
    except (RefusedError, HostError, NothingSuitableError) as error:
        return tuple(fits), Upgrade(REFUSED, f"{error.message}; {error.hint}")
    return tuple(_within(rollout, each) for each in fits), _told(rollout, mine)


def _within(rollout: RolloutPlan, fit: HostFit) -> HostFit:
    plan = rollout.plans.get(fit.host)
    if plan is None or plan.empty:
        return fit
    return replace(fit, strategy=str(plan.strategy), downtime=plan.downtime or "0 s")


def _told(rollout: RolloutPlan, fits: Sequence[HostFit]) -> Upgrade:
    changed = {name: plan for name, plan in rollout.plans.items() if not plan.empty}
    if not changed:
        return Upgrade("", "")
    used = {plan.strategy for plan in changed.values()}
    strategy = next(each for each in _DEAREST_FIRST if each in used)
    if len(changed) == 1:
        ((name, plan),) = changed.items()
        why = next(each.why for each in fits if each.host == name)
        words = f"on {name}, {why}, with an expected downtime of {plan.downtime or '0 s'}"
    else:
        words = _several(changed, rollout.batches)
    if rollout.unreachable:
        words += f"; without {', '.join(rollout.unreachable)}, not reached"
    return Upgrade(str(strategy), words, rollout.batches)


def _several(changed: Mapping[str, Plan], batches: Sequence[Sequence[str]]) -> str:
    order = "; then ".join(", ".join(batch) for batch in batches)
    words = [
        f"{len(changed)} hosts, {'all at once' if len(batches) == 1 else 'in batches'}: {order}"
    ]
    used = [each for each in _DEAREST_FIRST if any(p.strategy is each for p in changed.values())]
    if len(used) > 1:
        for each in used:
            names = [name for name, plan in changed.items() if plan.strategy is each]
            words.append(f"{each} on {', '.join(names)}")
    downtimes = sorted({plan.downtime for plan in changed.values()} - {""})
    words.append(f"with an expected downtime of {', '.join(downtimes) or '0 s'}")
    return "; ".join(words)
