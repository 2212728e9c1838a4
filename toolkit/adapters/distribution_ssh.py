"""Distribution over SSH.

Every file is hashed on the host before the tree appears there, by one rename. Hosts get what they lack: files that
another of their trees has are linked. What brings the rest: a swarm, in which the bytes leave this machine about once
and hosts pass them on to each other; where that cannot run, a plain stream to each, which needs nothing but SSH and
the host's Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from toolkit.adapters.distribution import Report, Tree
from toolkit.adapters.distribution_host import Delivery, Need, Throttle
from toolkit.adapters.host_dialog import Dialogs
from toolkit.domain.fleet import Host
from toolkit.errors import ToolkitError

# Each is a process or two here.
_AT_ONCE = 50


class SshDistribution:
    """`scratch` holds the sockets of shared connections; `limit` is in bytes a second for all hosts, 0 for none."""

    def __init__(self, scratch: Path, *, limit: int = 0) -> None:
        self._scratch, self._limit = scratch, limit

    def spread(self, tree: Tree, hosts: Sequence[Host], report: Report) -> Mapping[str, str]:
        dialogs = Dialogs(self._scratch)
        delivery = Delivery(tree, dialogs, Throttle(self._limit), report)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                return _spread(delivery, hosts, pool)
            except BaseException:
                # The pool waits for its threads, and they wait for their hosts.
                dialogs.abort()
                raise


def _spread(
    delivery: Delivery, hosts: Sequence[Host], pool: ThreadPoolExecutor
) -> Mapping[str, str]:
    wrong: dict[str, str] = {}
    needs: list[Need] = []

    def look(host: Host) -> None:
        need = delivery.look(host)
        if need is not None and need.files:
            needs.append(need)
        elif need is not None:
            delivery.finish(host)

    def stream(host: Host) -> None:
        delivery.stream(next(need for need in needs if need.host == host))

    wrong |= _each(pool, look, hosts)
    wrong |= _each(pool, stream, [need.host for need in needs])
    return {host.name: wrong.get(host.name, "") for host in hosts}


def _each(
    pool: ThreadPoolExecutor, act: Callable[[Host], None], hosts: Iterable[Host]
) -> dict[str, str]:
    """Do `act` for all hosts at once; return the words of the errors by the host's name."""
    running = {pool.submit(act, host): host for host in hosts}
    wrong = {}
    for done in as_completed(running):
        try:
            done.result()
        except (ToolkitError, OSError) as error:
            wrong[running[done].name] = str(error)
    return wrong
