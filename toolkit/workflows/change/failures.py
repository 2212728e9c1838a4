"""The errors of a release that is no good, with the command that shows why."""

from __future__ import annotations

from toolkit.domain.deployment.release import Release
from toolkit.domain.replicas.probe import Waited
from toolkit.errors import ReleaseFailedError
from toolkit.planning.engines import engine_of


def refused(release: Release, slot: str, fault: str) -> ReleaseFailedError:
    """Return the error of a release that does not pass a check, for its `fault`."""
    return ReleaseFailedError(
        f"{release.title} did not pass its gate: {fault}", hint=logs_of(release, slot)
    )


def failed(release: Release, slot: str, what: str, waited: Waited) -> ReleaseFailedError:
    """Return the error of a replica that ended or hung, with the decisive line of its log."""
    line = engine_of(release.engine).decisive_line(waited.log)
    said = f"\n  its log says: {line}" if line else ""
    return ReleaseFailedError(f"{release.title} {what}{said}", hint=logs_of(release, slot))


def logs_of(release: Release, slot: str) -> str:
    """Return the command that shows the log of a slot."""
    # A crashed process has been restarted since, so the cause is in the former log.
    return f"toolkit logs {release.model} --slot {slot} --previous, or without --previous"
