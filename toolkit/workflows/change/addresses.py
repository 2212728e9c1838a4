"""Tell routers where those of other hosts listen, once provisioning has moved them."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.patience import NO_PATIENCE, Patience
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import HostError
from toolkit.planning.routing.agreement import have_moved
from toolkit.workflows.change.routers import TELL, Routers, missed
from toolkit.workflows.fleet.look import lock_all, look


def tell_addresses(
    hosts: Sequence[HostPort], owner: LockOwner, patience: Patience = NO_PATIENCE
) -> None:
    """Tell the routers of all hosts that answer their routes, where these lead to a former address of a host.

    Raises BusyError where another command holds a host, HostError where a router does not follow.
    """
    seen = look(hosts)
    if not have_moved(seen.by_label):
        return
    there = [each for each in hosts if each.name in seen.facts]
    with lock_all(there, owner, patience):
        again = look(there)
        if again.errors:
            raise again.failure()
        routers = Routers(there)
        routers.observed(again.by_label)
        if rows := missed(routers.catch_up()):
            raise HostError("not all routers follow:\n  " + "\n  ".join(rows), hint=TELL)
