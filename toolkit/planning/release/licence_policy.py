"""Licences and files that may be deployed, by registry and lock alone."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.registry.model import Policy, Version
from toolkit.planning.release.file_choice import forbidden_reason


@dataclass(frozen=True, slots=True)
class LicenceVerdict:
    """Whether a version may be deployed, the reason, and the line to write if it may not."""

    allowed: bool
    reason: str
    hint: str = ""


def licence_verdict(version: Version, policy: Policy) -> LicenceVerdict:
    """Return the verdict of `policy` on the licence of `version`.

    A denied licence is denied for every model. An allowed licence is allowed for every model, an approved one for the
    models named there. Any other licence is refused: a person has to read its terms once, and the hint holds the line
    that records it.
    """
    licence, model = version.licence, version.model
    if licence in policy.denied:
        return LicenceVerdict(
            False,
            f"the licence {licence} of {version.title} is denied by policy",
            f"choose a model with another licence, or take {licence} out of policy.licences.denied",
        )
    if licence in policy.allowed:
        return LicenceVerdict(True, f"{licence} is allowed for every model")
    names = policy.approved.get(licence, ())
    if model in names:
        return LicenceVerdict(True, f"{licence} is approved for {model}")
    line = f"{licence}: [{', '.join((*names, model))}]"
    return LicenceVerdict(
        False,
        f"the licence {licence} of {version.title} is not approved for {model}",
        f"read its terms, then write `{line}` under policy.licences.approved",
    )


def permission_verdict(version: Version, snapshot: Snapshot) -> LicenceVerdict:
    """Return whether every pinned file of `version` is one that its permission allows today.

    A permission can be withdrawn after the files were pinned. Then they are refused.
    """
    for file in snapshot.files:
        reason = forbidden_reason(file.path, version.permission)
        if reason:
            return LicenceVerdict(
                False,
                f"the lock of {version.title} holds {file.path}: {reason}",
                f"toolkit registry pin {version.title} --lock-only",
            )
    return LicenceVerdict(True, "no file needs a permission that is not there")
