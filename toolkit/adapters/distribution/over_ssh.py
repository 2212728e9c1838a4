"""Distribution over SSH.

Every file is hashed on the host before the tree appears there, by one rename. Hosts get what they lack: files that
another of their trees has are linked. What brings the rest: a swarm, in which the bytes leave this machine about once
and hosts pass them on to each other; where that cannot run, rsync to each that has it; and else a plain stream, which
needs nothing but SSH and the host's Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from toolkit.adapters.distribution.delivery import Delivery, Need, Throttle
from toolkit.adapters.distribution.port import Progress, Report, Tree
from toolkit.adapters.distribution.rsync import can_rsync, send_by_rsync
from toolkit.adapters.distribution.swarm import LEAST_BYTES, Swarm, why_not
from toolkit.adapters.distribution.swarm_library import Wheels
from toolkit.adapters.hosts.dialog import Dialogs
from toolkit.adapters.interruption import Interruption
from toolkit.domain.fleet import Host
from toolkit.errors import ToolkitError

# Each is a process or two here.
_AT_ONCE = 50
_LEAST_HOSTS = 2


class SshDistribution:
    """From the ops machine's `home`.

    `limit` is in bytes a second, 0 for none; it holds for this machine, and for each host that passes pieces on.
    """

    def __init__(
        self,
        home: Path,
        *,
        limit: int = 0,
        swarm: bool = True,
        rsync: bool = True,
        interruption: Interruption | None = None,
    ) -> None:
        self._home, self._limit, self._swarm, self._rsync = home, limit, swarm, rsync
        self._interruption = interruption or Interruption()

    def spread(self, tree: Tree, hosts: Sequence[Host], report: Report) -> Mapping[str, str]:
        dialogs, interruption = Dialogs(self._home / "run"), self._interruption
        throttle = Throttle(self._limit, interruption.sleep)
        delivery = Delivery(tree, dialogs, throttle, report, interruption)
        with interruption.ending(dialogs.abort), ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                return self._spread(delivery, hosts, pool)
            except BaseException:
                # The pool waits for its threads, and they wait for their hosts.
                dialogs.abort()
                raise

    def _spread(
        self, delivery: Delivery, hosts: Sequence[Host], pool: ThreadPoolExecutor
    ) -> Mapping[str, str]:
        needs: dict[str, Need] = {}

        def look(host: Host) -> None:
            needs.pop(host.name, None)
            need = delivery.look(host)
            if need is not None and need.files:
                needs[host.name] = need
            elif need is not None:
                delivery.finish(host)

        def stream(host: Host) -> None:
            delivery.stream(needs[host.name])

        def rest() -> list[Host]:
            return [need.host for need in needs.values() if need.host.name not in wrong]

        wrong = _each(pool, look, hosts)
        # Whatever did not reach a host has changed what is there.
        if self._swarm:
            wrong |= _each(pool, look, self._by_swarm(delivery, needs))
        if self._rsync:
            wrong |= _each(pool, look, self._by_rsync(delivery, needs, rest(), pool))
        wrong |= _each(pool, stream, rest())
        return {host.name: wrong.get(host.name, "") for host in hosts}

    def _by_rsync(
        self,
        delivery: Delivery,
        needs: dict[str, Need],
        hosts: Sequence[Host],
        pool: ThreadPoolExecutor,
    ) -> list[Host]:
        """Bring the tree to those of `hosts` that have rsync and take them out of `needs`; return those not reached."""
        able = [host for host in hosts if can_rsync(needs[host.name])]
        limit = delivery.throttle.limit // max(1, len(able))
        wrong = _each(pool, lambda host: send_by_rsync(delivery, needs[host.name], limit), able)
        names = [host.name for host in able]
        return self._not_reached(
            delivery, needs, names, wrong, "without rsync, which did not reach it"
        )

    def _by_swarm(self, delivery: Delivery, needs: dict[str, Need]) -> list[Host]:
        """Bring the tree to hosts that can be in a swarm and take them out of `needs`; return those not reached."""
        wheels = Wheels(self._home, self._interruption)
        able = []
        for name, need in needs.items():
            if need.size < LEAST_BYTES:
                continue
            if reason := why_not(need, wheels):
                delivery.report(Progress(name, 0, need.size, f"not in a swarm: {reason}"))
            else:
                able.append(need)
        if len(able) < _LEAST_HOSTS:
            return []
        try:
            wrong = Swarm(delivery, able, wheels, self._home / "pieces").run()
        except (ToolkitError, OSError, ImportError) as error:
            wrong = {need.host.name: str(error) for need in able}
        names = [need.host.name for need in able]
        return self._not_reached(
            delivery, needs, names, wrong, "over SSH alone, as the swarm did not reach it"
        )

    def _not_reached(
        self,
        delivery: Delivery,
        needs: dict[str, Need],
        tried: Iterable[str],
        wrong: Mapping[str, str],
        words: str,
    ) -> list[Host]:
        """Take hosts that were reached out of `needs`; say of the others `tried` what was wrong, and return them."""
        left = []
        for name in tried:
            need = needs[name]
            if not wrong.get(name):
                del needs[name]
                continue
            left.append(need.host)
            if not self._interruption.begun:
                delivery.report(Progress(name, 0, need.size, f"{words}: {wrong[name]}"))
        return left


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
