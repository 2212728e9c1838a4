"""The licences of a release as a registry has them now: of its model, and of each of its LoRA adapters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.domain.deployment.release import Release
from toolkit.domain.registry.model import Policy, Version
from toolkit.planning.release.licence_policy import licence_verdict


@dataclass(frozen=True, slots=True)
class LicenceDecision:
    """Whether a release may be deployed by its licences, and why.

    `allowed` is None where the registry has not all of the release any more, and refuses nothing of the rest. `version`
    is None where it does not have the version. `registry` and `lock` are the SHA-256 of the two files.
    """

    version: Version | None
    allowed: bool | None
    reason: str
    registry: str
    lock: str


def decide(
    release: Release, versions: Iterable[Version], policy: Policy, *, registry: str, lock: str
) -> LicenceDecision:
    """Return the decision about a release; `versions` are those that its model has in the registry."""
    wanted = (release.version, release.revision)
    version = next((each for each in versions if (each.name, each.revision) == wanted), None)
    if version is None:
        return LicenceDecision(None, None, "the registry has this version no more", registry, lock)
    verdict = licence_verdict(version, policy)
    allowed: list[bool | None] = [verdict.allowed]
    reasons = [verdict.reason]
    pinned = {(each.name, each.revision): each for each in version.adapters}
    for adapter in release.adapters:
        found = pinned.get((adapter.name, adapter.revision))
        if found is None:
            allowed.append(None)
            why = "the registry has it no more"
        else:
            verdict = licence_verdict(version.part(found), policy)
            allowed.append(verdict.allowed)
            why = verdict.reason
        reasons.append(f"adapter {adapter.name}: {why}")
    all_of = False if False in allowed else None if None in allowed else True
    return LicenceDecision(version, all_of, "; ".join(reasons), registry, lock)
