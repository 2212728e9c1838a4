"""A candidate that is live on all hosts, and whose command ended before it could accept it in the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.domain.model import Model, Version
from toolkit.domain.release import Deployment, Outcome, Release


def left_candidate(
    model: Model, deployments: Sequence[Deployment], releases: Mapping[int, Release]
) -> Version | None:
    """Return the candidate of `model` that each host with the model serves by its last change; None where none is.

    `deployments` are those of the model, the newest first; `releases` has its releases by number. A candidate on some
    hosts alone is on trial, and one that stands before the newest version was passed over since.
    """
    latest: dict[str, Deployment] = {}
    for each in deployments:
        if each.outcome in (Outcome.LIVE, Outcome.DONE):
            latest.setdefault(each.host, each)
    serving = {
        (found.version, found.revision) if (found := releases.get(each.release)) else None
        for each in latest.values()
        if each.outcome is Outcome.LIVE
    }
    after = model.versions[model.versions.index(model.newest) + 1 :] if model.versions else ()
    return next((each for each in after if serving == {(each.name, each.revision)}), None)
