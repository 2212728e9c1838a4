"""The release that a rollback goes back to: one target for the whole fleet, decided once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge

from toolkit.domain.deployment.release import Deployment, Outcome, Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import InputError


@dataclass(frozen=True, slots=True)
class Past:
    """The record of a model: its `deployments`, the newest first, and its `releases` by number."""

    deployments: Sequence[Deployment]
    releases: Mapping[int, Release]


def former_releases(
    model: str, facts: Mapping[str, HostFacts], unreachable: Collection[str], past: Past
) -> dict[str, Release]:
    """Return the release that each host of `facts` with the model, by name, has after a rollback.

    The latest change of release that is still in force anywhere gives the target, for hosts of the same devices the
    same one; a host that serves it already stays. So the hosts that a half-done upgrade did not reach keep their
    release, and a rollback that was cut short goes on. The history has the releases of `unreachable` hosts. Without a
    history the standbys tell the target. Raises InputError where there is none.
    """
    have = [name for name, each in facts.items() if each.slots_of(model)]
    if not have:
        raise InputError(f"{model} is not deployed here", hint=f"toolkit deploy {model}")
    serving = {name: _serving(model, facts[name]) for name in have}
    alone = len(facts) + len(unreachable) == 1
    told = _told(model, facts, {*facts, *unreachable}, past)
    numbers = {name: each.number for name, each in serving.items() if each}
    numbers.update(_last_live(told, unreachable))
    goals = _half_done(told) or _in_force(told, numbers)
    if goals is None:
        goals = _standbys(model, facts)
    found = {name: _goal(name, serving.get(name), goals, past) for name in facts}
    for name, now in serving.items():
        if found[name] is None:
            where = "" if alone else f" on {name}"
            raise InputError(
                f"{model} has no release before #{now.number if now else '?'}{where}",
                hint=f"toolkit releases {model}",
            )
    return {name: goal for name, goal in found.items() if goal}


def _told(
    model: str, facts: Mapping[str, HostFacts], fleet: Collection[str], past: Past
) -> list[tuple[str, Deployment]]:
    """Return the changes of the model on the hosts of `fleet`, each with its host, the latest first.

    A host knows a change that was cut short, whichever history has it. Where the history has its end, the host alone
    missed that.
    """
    ended = {
        (each.host, each.rollout)
        for each in past.deployments
        if each.rollout and each.outcome is not Outcome.RUNNING
    }
    opened = [
        each.on(name)
        for name, host in facts.items()
        for each in host.open_deployments
        if (name, each.rollout) not in ended
    ]
    begun = {(each.host, each.rollout) for each in opened}
    # A deployment that its host has forgotten was ended from elsewhere.
    recorded = [
        each
        for each in past.deployments
        if (each.host, each.rollout) not in begun
        and not (each.kept and each.outcome is Outcome.RUNNING and each.host in facts)
    ]
    only = next(iter(fleet)) if len(fleet) == 1 else ""
    opened.sort(key=_age)
    # The record keeps its own order: a clock may have been ahead, or set back.
    return [
        (each.host or only, each)
        for each in merge(opened, recorded, key=_age)
        if each.model == model and each.replaces and (each.host or only) in fleet
    ]


def _age(deployment: Deployment) -> float:
    return -deployment.started_at


def _half_done(told: Sequence[tuple[str, Deployment]]) -> dict[str, int]:
    """Return the targets, by host, of a latest rollout that did not come to its end; none for any other."""
    rollout = _rollouts(told)[:1]
    latest = rollout[0] if rollout else []
    unended = [each for _, each in latest if each.outcome is not Outcome.LIVE]
    if latest and unended and latest[0][1].action == "rollback":
        # The same command again goes on with it.
        return {name: each.release for name, each in latest}
    if any(each.outcome is Outcome.RUNNING for each in unended):
        return _alike(latest, told)
    return {}


def _in_force(
    told: Sequence[tuple[str, Deployment]], numbers: Mapping[str, int]
) -> dict[str, int] | None:
    """Return the former releases, by host, of the latest rollout whose release a host still serves.

    Return None where nothing tells of any, and none where the standbys are known to be no former releases.
    """
    joined = False
    for rollout in _rollouts(told):
        changed = [
            (name, each)
            for name, each in rollout
            if _changed(each) and numbers.get(name) == each.release
        ]
        if changed and not _brought_together(rollout, numbers, told):
            return _alike(changed, told)
        joined = joined or bool(changed)
    return {} if joined else None


def _changed(deployment: Deployment) -> bool:
    """Whether a deployment made another release live than the one before.

    One that started the same release again, or only provisioned its host, did not.
    """
    live = deployment.outcome is Outcome.LIVE
    return live and deployment.previous not in (None, deployment.release)


def _alike(
    rollout: Sequence[tuple[str, Deployment]], told: Sequence[tuple[str, Deployment]]
) -> dict[str, int]:
    """Return the former release of each host of `rollout`, one for the hosts that got the same release.

    Where they had several, a change before was half done. The release from before that one went live first.
    """
    before = told[1 + max(told.index(each) for each in rollout) :]
    came = [each.release for _, each in before if _changed(each)]
    found: dict[int, list[int]] = {}
    for _, each in rollout:
        if each.previous is not None:
            found.setdefault(each.release, []).append(each.previous)

    def age(number: int) -> int:
        return came.index(number) if number in came else len(came)

    return {
        name: max(found[each.release], key=age) for name, each in rollout if each.release in found
    }


def _brought_together(
    rollout: Sequence[tuple[str, Deployment]],
    numbers: Mapping[str, int],
    told: Sequence[tuple[str, Deployment]],
) -> bool:
    """Whether a change only joined hosts to others that had its release all along.

    To undo it would bring a release to hosts that never had it, because it failed on one of them.
    """
    releases = {each.release for _, each in rollout}
    others = {name for name in numbers if numbers[name] in releases} - {n for n, _ in rollout}
    if rollout[0][1].action == "rollback":
        return bool(others)
    left = {(name, each.previous) for name, each in rollout}
    came = [
        place
        for place, (name, each) in enumerate(told)
        if each.outcome is Outcome.LIVE and (name, each.release) in left
    ]
    # By hand, the same change may be made on one host after the other: then the others changed after the release came.
    since = {
        name
        for name, each in told[: max(came, default=0)]
        if each.outcome is Outcome.LIVE and each.previous != each.release
    }
    return bool(came and others - since)


def _standbys(model: str, facts: Mapping[str, HostFacts]) -> dict[str, int]:
    """Return the targets that the hosts themselves show, by host: another ops machine may have made the change."""
    there: dict[str, list[Release]] = {}
    for name, each in facts.items():
        serving = _serving(model, each)
        slots = [slot.release for slot in each.slots_of(model) if slot.release]
        there[name] = [serving, *(r for r in slots if r != serving)] if serving else slots
    served = [each[0] for each in there.values() if each]
    everywhere = [each for found in there.values() for each in found]
    alike = len({each.accelerator for each in served}) == 1

    def key(release: Release) -> object:
        return release.number if alike else (release.version, release.revision)

    counted = Counter(map(key, everywhere))
    if len({key(each) for each in served}) > 1:
        # A change stopped midway: most hosts serve, or hold ready, the release from before it.
        candidates = sorted(served, key=lambda each: (-counted[key(each)], each.number))
    else:
        beside = [each for found in there.values() for each in found[1:]]
        candidates = sorted(beside, key=lambda each: (-counted[key(each)], -each.number))
    if not candidates:
        return {}
    goal = key(candidates[0])
    return {
        name: each.number for name, found in there.items() for each in found if key(each) == goal
    }


def _rollouts(told: Sequence[tuple[str, Deployment]]) -> list[list[tuple[str, Deployment]]]:
    """Return the deployments of each rollout together, the latest rollout first."""
    found: dict[str, list[tuple[str, Deployment]]] = {}
    for name, each in told:
        found.setdefault(each.rollout or f"#{each.id}", []).append((name, each))
    return list(found.values())


def _last_live(
    told: Sequence[tuple[str, Deployment]], unreachable: Collection[str]
) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, each in told:
        if name in unreachable and each.outcome is Outcome.LIVE:
            found.setdefault(name, each.release)
    return found


def _goal(
    name: str, serving: Release | None, goals: Mapping[str, int], past: Past
) -> Release | None:
    """Return the target of one host: its own, or the one of the hosts that are like it."""
    if name in goals:
        return past.releases.get(goals[name])
    if serving is not None and serving.number in goals.values():
        return serving
    found = [past.releases[each] for each in set(goals.values()) if each in past.releases]
    if serving is None:
        return found[0] if len(found) == 1 else None
    alike = [each for each in found if each.accelerator == serving.accelerator]
    if alike:
        return max(alike, key=lambda each: (each.engine == serving.engine, each.number))
    # Hosts with other devices have the same version as another release.
    versions = {(each.version, each.revision) for each in found}
    same = [
        each
        for each in past.releases.values()
        if each.accelerator == serving.accelerator and (each.version, each.revision) in versions
    ]
    return max(same, key=lambda each: (each == serving, each.number), default=None)


def _serving(model: str, facts: HostFacts) -> Release | None:
    slot = facts.serving_slot(model)
    return slot.release if slot else None
