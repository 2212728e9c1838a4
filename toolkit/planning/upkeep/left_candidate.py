"""A candidate that is live on all hosts, and whose command ended before it could accept it in the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from toolkit.domain.deployment.release import Deployment, Outcome, Release
from toolkit.domain.hosts.facts import FleetFacts
from toolkit.domain.registry.model import Model, Version
from toolkit.planning.change.judged import failed_rollouts


def left_candidate(
    model: Model, deployments: Sequence[Deployment], releases: Mapping[int, Release]
) -> Version | None:
    """Return the candidate of `model` that each host with the model serves by its last change; None where none is.

    `deployments` are those of the model, the newest first; `releases` has its releases by number. A candidate on some
    hosts alone is on trial, and one that stands before the newest version was passed over since.
    """
    latest: dict[str, Deployment] = {}
    for each in deployments:
        if (each.replaces or each.leaves) and each.outcome in (Outcome.LIVE, Outcome.DONE):
            latest.setdefault(each.host, each)
    serving = {
        (found.version, found.revision) if (found := releases.get(each.release)) else None
        for each in latest.values()
        if each.outcome is Outcome.LIVE
    }
    after = model.versions[model.versions.index(model.newest) + 1 :] if model.versions else ()
    return next((each for each in after if serving == {(each.name, each.revision)}), None)


def with_outcomes(deployments: Iterable[Deployment], seen: FleetFacts) -> list[Deployment]:
    """Return the deployments; one whose command ended in its bake is live where its release has the traffic.

    No guard watches the model any more. A release that a guard on any host has returned is live on no host.
    """
    failed = failed_rollouts(seen.facts.values())
    found = []
    for each in deployments:
        facts = seen.facts.get(each.host)
        slot = facts.serving_slot(each.model) if facts else None
        serves = bool(
            slot and slot.healthy and slot.release and slot.release.number == each.release
        )
        ended = each.outcome is Outcome.RUNNING and each.rollout not in failed and serves
        found.append(replace(each, outcome=Outcome.LIVE) if ended else each)
    return found
