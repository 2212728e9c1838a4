"""Make damaged files of hosts anew: routes and maps from slots and other hosts, keys from maps and other hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from toolkit.adapters.hosts.ways import REPAIR
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.domain.hosts.facts import FleetFacts, HostFacts
from toolkit.domain.hosts.failures import joined
from toolkit.errors import HostError, ToolkitError
from toolkit.planning.change.judged import model_of_order
from toolkit.planning.routing.agreement import newest
from toolkit.planning.routing.keys import made_anew
from toolkit.planning.routing.rebuild import KEYS, rebuilt, require_slots, routes_are_lost
from toolkit.planning.routing.routes import Routes, target_name
from toolkit.workflows.change.guarding import keep_result
from toolkit.workflows.change.recover import open_on
from toolkit.workflows.fleet.look import each_at_once, lock_all, look
from toolkit.workflows.tools import Tools, require_yes


@dataclass(frozen=True, slots=True)
class Repair:
    """The findings of a repair: damaged files by host's name, and hosts that do not answer, with the reason."""

    damaged: Mapping[str, tuple[str, ...]]
    unreachable: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "damaged": {name: list(paths) for name, paths in self.damaged.items()},
            "unreachable": dict(self.unreachable),
        }


def repair(members: Sequence[Tools], confirm: Callable[[Repair], bool]) -> Repair:
    """Write routes, maps and keys of all hosts that answer anew; return what was damaged.

    First the host's side of the toolkit is placed anew where it is damaged, which may be why a host does not answer.
    Routers are told their routes in any case, which repairs maps and backends too. A slot without traffic whose
    manifest is damaged is emptied. Orders of guards come back from their copies. Raises RefusedError where `confirm`
    says no, and where neither routes nor manifest tell whether a slot has traffic; and the errors of hosts that could
    not be repaired or do not answer, once the others are.
    """
    seen = look([each.host for each in members])
    broken = [name for name, error in seen.errors.items() if error.hint == REPAIR]
    if not seen.facts and not broken:
        raise seen.failure()
    found = _found(seen, broken)
    require_yes(found, confirm)
    seen = renew_programs(members, seen)
    if not seen.facts:
        raise seen.failure()
    there = [each for each in members if each.host.name in seen.facts]
    with lock_all([each.host for each in there], there[0].owner, there[0].patience):
        again = look([each.host for each in there])
        if again.errors:
            raise again.failure()
        found = _with(found, again.facts, seen.unreachable)
        require_slots(again.facts)
        routes = _repair_routes(there, again.by_label)
        failures: dict[str, ToolkitError] = {}
        for tools in there:
            try:
                _repair_records(tools, again.facts[tools.host.name])
                _repair_slots(tools, again.facts[tools.host.name], routes)
                _repair_guards(tools, again.facts[tools.host.name])
            except ToolkitError as error:
                failures[tools.host.name] = error
        failures.update(_repair_keys(there, again.facts))
    if failures:
        raise joined(failures, hint="toolkit repair", alone=len(members) == 1)
    if seen.errors:
        raise seen.failure(more="the other hosts are repaired")
    return found


def renew_programs(members: Sequence[Tools], seen: FleetFacts) -> FleetFacts:
    """Place the host's side of the toolkit anew where it is damaged or does not run; return the facts after that.

    A host where that fails has its error among those of the result.
    """
    damaged = {
        name: each.changed_copies for name, each in seen.facts.items() if each.changed_copies
    }
    damaged |= {name: () for name, error in seen.errors.items() if error.hint == REPAIR}
    concerned = [each for each in members if each.host.name in damaged]
    if not concerned:
        return seen

    def renew(tools: Tools) -> HostError | None:
        name = tools.host.name
        tools.say(f"{name}: placing the host's side of the toolkit anew")
        try:
            tools.host.renew_program(damaged[name])
        except HostError as error:
            return error
        return None

    failed = zip(concerned, each_at_once(concerned, renew), strict=True)
    errors = {tools.host.name: error for tools, error in failed if error}
    again = look([each.host for each in concerned if each.host.name not in errors])
    names = {each.host.name for each in concerned}
    facts = {name: each for name, each in seen.facts.items() if name not in names}
    left = {name: each for name, each in seen.errors.items() if name not in names}
    return replace(seen, facts={**facts, **again.facts}, errors={**left, **errors, **again.errors})


def _with(found: Repair, facts: Mapping[str, HostFacts], unreachable: Mapping[str, str]) -> Repair:
    """Return the findings from before the locks, with the damage that is seen under them."""
    seen = {name: (*found.damaged.get(name, ()), *facts[name].damaged) for name in facts}
    damaged = {name: tuple(dict.fromkeys(paths)) for name, paths in seen.items() if paths}
    return Repair(damaged, unreachable)


def _found(seen: FleetFacts, broken: Sequence[str]) -> Repair:
    damaged = {
        name: (*(f"bin/{copy}" for copy in each.changed_copies), *each.damaged)
        for name, each in seen.facts.items()
        if each.changed_copies or each.damaged
    }
    damaged |= dict.fromkeys(broken, ("the host's side of the toolkit",))
    away = {name: words for name, words in seen.unreachable.items() if name not in broken}
    return Repair(damaged, away)


def _repair_routes(there: Sequence[Tools], facts: Mapping[str, HostFacts]) -> Routes:
    """Tell all routers the routes of those that have them, or routes made anew from the slots; return the routes."""
    routers, known = there[0].routers, facts
    if routes_are_lost(list(facts.values())):
        hosts = {each.host.label: (each.host.host, facts[each.host.label]) for each in there}
        routes = rebuilt(hosts, there[0].clock())
        known = {
            label: replace(each, routes=routes.as_json(label)) for label, each in facts.items()
        }
    routers.observed(known)
    routers.change(lambda routes: routes, set(facts))
    return newest(Routes.from_json(each.routes) for each in known.values())


def _repair_records(tools: Tools, facts: HostFacts) -> None:
    """Forget records of open deployments that cannot be read, unless this history knows what they are of."""
    lost, name = facts.lost_records, tools.host.name
    if not lost:
        return
    known = open_on(tools.host.host, tools.history.unfinished())
    for each in known:
        tools.say(
            f"{name}: the deployment of {each.model} is open; toolkit deploy {each.model} ends it"
        )
    if not known:
        tools.host.drop_deployment("")
        tools.say(
            f"{name}: {', '.join(lost)} cannot be read and is forgotten; toolkit status shows what runs"
        )


def _repair_slots(tools: Tools, facts: HostFacts, routes: Routes) -> None:
    for path in facts.lost_manifests:
        program = path.split("/")[1]
        model, _, slot = program.rpartition("-")
        label = tools.host.label
        route = routes.of(model)
        if route and route.weight(target_name(label, slot)):
            raise HostError(
                f"{tools.host.name}: {path} cannot be read, and the slot has traffic",
                hint=f"toolkit stop {model} --host {tools.host.name}, then toolkit repair and "
                f"toolkit deploy {model}",
            )
        user = tools.host.host.slot_user(program)
        variables = {"replica_program": program, "replica_user": user, "replica_state": "absent"}
        tools.say(f"{tools.host.name}: {program} is emptied: {path} cannot be read")
        tools.converge.run(
            "replica",
            tools.host.host,
            {"toolkit_init": facts.init, **variables},
            lambda _: None,
            tools.host.require_lock,
        )


def _repair_guards(tools: Tools, facts: HostFacts) -> None:
    """Make orders of guards anew. Record of a release whose order is lost that nobody could judge it."""
    lost = tools.host.repair_guards() if facts.lost_guards else ()
    for path in lost:
        model = model_of_order(facts, path)
        watched = next((each for each in facts.open_deployments if each.model == model), None)
        release = watched.release if watched else None
        tools.say(
            f"{tools.host.name}: {path} and its copy cannot be read: no guard watches "
            f"{release.title if release else model} any more; toolkit deploy {model} keeps it, "
            f"toolkit rollback {model} goes back"
        )
        if watched and release:
            shares = [each.share for each in facts.slots_of(model) if each.slot == watched.slot]
            gate = "canary" if any(shares) else "bake"
            result = GateResult(gate, Verdict.UNKNOWN, "the order of its guard could not be read")
            keep_result(tools, release, watched.rollout, result)


def _repair_keys(there: Sequence[Tools], facts: Mapping[str, HostFacts]) -> dict[str, ToolkitError]:
    """Make damaged rings anew; bring what they had to all hosts. Return the errors of hosts, by name."""
    broken = [each for each in there if KEYS in facts[each.host.name].damaged]
    if not broken:
        return {}
    failures: dict[str, ToolkitError] = {}
    rings = []
    for tools in there:
        try:
            rings.append(
                tools.host.repair_keys(KeyRing()) if tools in broken else tools.host.keys().ring
            )
        except ToolkitError as error:
            failures[tools.host.name] = error
    ring = reduce(KeyRing.merged, rings, KeyRing())
    for tools in there:
        try:
            tools.host.apply_keys(ring)
        except ToolkitError as error:
            failures[tools.host.name] = error
    for words in made_anew(ring):
        there[0].say(words)
    return failures
