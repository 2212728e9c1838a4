"""What an upgrade does on a whole fleet, from how it goes on each host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.domain.plan import Strategy
from toolkit.planning.fit import HostFit


@dataclass(frozen=True, slots=True)
class Upgrade:
    """`strategy` is empty where there is nothing to change; `words` say it to people."""

    strategy: str
    words: str


def upgrade_of(hosts: Sequence[HostFit]) -> Upgrade:
    """Return what an upgrade does, given how the version fits on each host.

    Where several hosts serve the model, they are changed one after the other and the others keep serving, so
    that a swap on one of them is no downtime of the model.
    """
    changed = [host for host in hosts if host.strategy]
    if not changed:
        return Upgrade("", "")
    if len(changed) == 1:
        (host,) = changed
        downtime = host.downtime if host.strategy == Strategy.SWAP else "0 s"
        return Upgrade(
            host.strategy, f"on {host.host}, {host.why}, with an expected downtime of {downtime}"
        )
    swapped = [host.host for host in changed if host.strategy == Strategy.SWAP]
    words = f"{len(changed)} hosts one after the other; the others keep serving"
    if swapped:
        words += f"; out of the route while theirs is swapped: {', '.join(swapped)}"
    return Upgrade(str(Strategy.ROLLING), words)
