"""Which licences may be deployed, decided from the registry alone."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.domain.model import Policy, Version


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version may be deployed, why, and what to write where it may not."""

    allowed: bool
    reason: str
    hint: str = ""


def licence_verdict(version: Version, policy: Policy) -> Verdict:
    """Return what `policy` says of the licence of `version`.

    A denied licence is denied for every model. An allowed one is allowed for every model, one
    approved by name for those models. A licence that stands nowhere is refused: somebody has to
    read its terms once, and the hint holds the line that records that they did.
    """
    licence, model = version.licence, version.model
    if licence in policy.denied:
        return Verdict(
            False,
            f"the licence {licence} of {version.title} is denied by policy",
            f"choose a model with another licence, or take {licence} out of policy.licences.denied",
        )
    if licence in policy.allowed:
        return Verdict(True, f"{licence} is allowed for every model")
    names = policy.approved.get(licence, ())
    if model in names:
        return Verdict(True, f"{licence} is approved for {model}")
    line = f"{licence}: [{', '.join((*names, model))}]"
    return Verdict(
        False,
        f"the licence {licence} of {version.title} is not approved for {model}",
        f"read its terms, then write `{line}` under policy.licences.approved",
    )
