"""Distribution over SSH.

A host hashes every file before the tree appears there, by one rename. A host gets only the files that it lacks, and it
links those that another of its trees has. The rest travels in one of three ways: a swarm of each site's hosts, in which
the bytes leave this machine about once and hosts pass them on to each other; rsync to each host that has it, where no
swarm can run; or a plain stream, which needs nothing but SSH and the host's Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from toolkit.adapters.capacity import width
from toolkit.adapters.descriptors import free_descriptors
from toolkit.adapters.disk import scratch_of
from toolkit.adapters.distribution.delivery import Delivery, Need, Throttle
from toolkit.adapters.distribution.port import Progress, Report, Tree
from toolkit.adapters.distribution.rsync import can_rsync, send_by_rsync
from toolkit.adapters.distribution.swarm import LEAST_BYTES, Swarm, why_not
from toolkit.adapters.distribution.swarm_library import Wheels
from toolkit.adapters.hosts.client import Clients
from toolkit.adapters.interruption import Interruption
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.hosts.in_flight import SENDING
from toolkit.errors import ToolkitError

_LEAST_HOSTS = 2


class SshDistribution:
    """`Distribution` over SSH from the ops machine's `home`.

    `limit` is in bytes a second, 0 for none. It applies to this machine, and to each host that passes pieces on.
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
        clients, interruption = Clients(scratch_of(self._home)), self._interruption
        throttle = Throttle(self._limit, interruption.sleep)
        delivery = Delivery(tree, clients, throttle, report, interruption)
        with interruption.ending(clients.stop.begin), ThreadPoolExecutor(width(SENDING)) as pool:
            try:
                spreading = _Spreading(delivery, self._home, pool)
                return spreading.run(hosts, swarm=self._swarm, rsync=self._rsync)
            except BaseException:
                # The pool waits for its threads, and these wait for their hosts.
                clients.stop.begin()
                raise
            finally:
                free_descriptors(clients)


class _Spreading:
    """A tree on its way to several hosts. `_needs` has what each host still lacks, by the host's name."""

    def __init__(self, delivery: Delivery, home: Path, pool: ThreadPoolExecutor) -> None:
        self._delivery, self._home, self._pool = delivery, home, pool
        self._needs: dict[str, Need] = {}

    def run(self, hosts: Sequence[Host], *, swarm: bool, rsync: bool) -> Mapping[str, str]:
        """Bring the tree to `hosts`; return for each host's name why it failed, empty if it did not."""
        wrong = self._each(self._survey, hosts)

        def rest() -> list[Host]:
            return [need.host for need in self._needs.values() if need.host.name not in wrong]

        # A failed attempt has changed what its host lacks, so such hosts are surveyed again.
        if swarm:
            wrong |= self._each(self._survey, self._by_swarm())
        if rsync:
            wrong |= self._each(self._survey, self._by_rsync(rest()))
        wrong |= self._each(lambda host: self._delivery.stream(self._needs[host.name]), rest())
        return {host.name: wrong.get(host.name, "") for host in hosts}

    def _survey(self, host: Host) -> None:
        self._needs.pop(host.name, None)
        need = self._delivery.survey(host)
        if need is not None and need.files:
            self._needs[host.name] = need
        elif need is not None:
            self._delivery.finish(host)

    def _by_rsync(self, hosts: Sequence[Host]) -> list[Host]:
        """Bring the tree to those of `hosts` that have rsync; return the hosts on which that failed."""
        able = [need for host in hosts if can_rsync(need := self._needs[host.name])]
        limit = self._delivery.throttle.limit // max(1, len(able))

        def send(host: Host) -> None:
            send_by_rsync(self._delivery, self._needs[host.name], limit)

        wrong = self._each(send, [need.host for need in able])
        return self._failed(able, wrong, "without rsync, which did not reach it")

    def _by_swarm(self) -> list[Host]:
        """Bring the tree to the hosts that can be in a swarm; return the hosts on which that failed."""
        wheels = Wheels(self._home, self._delivery.interruption)
        able = []
        for need in self._needs.values():
            if need.size < LEAST_BYTES:
                continue
            if reason := why_not(need, wheels):
                self._tell(need, f"not in a swarm: {reason}")
            else:
                able.append(need)
        swarms = [each for each in _by_site(able) if len(each) >= _LEAST_HOSTS]
        # The limit is one session's, so with a limit one site follows the other.
        with ThreadPoolExecutor(
            1 if self._delivery.throttle.limit else max(1, len(swarms))
        ) as pool:
            wrongs = list(pool.map(lambda needs: self._swarm(needs, wheels), swarms))
        tried = [need for needs in swarms for need in needs]
        wrong = {name: words for each in wrongs for name, words in each.items()}
        return self._failed(tried, wrong, "over SSH alone, as the swarm did not reach it")

    def _swarm(self, needs: Sequence[Need], wheels: Wheels) -> Mapping[str, str]:
        """Bring the tree to the hosts of one site; return for each host's name why that failed, empty if it did not."""
        try:
            return Swarm(self._delivery, needs, wheels, self._home / "pieces").run()
        except (ToolkitError, OSError, ImportError, RuntimeError) as error:
            # libtorrent says with a RuntimeError that it can do nothing with a torrent.
            return {need.host.name: str(error) for need in needs}

    def _failed(self, tried: Sequence[Need], wrong: Mapping[str, str], words: str) -> list[Host]:
        """Forget the needs of hosts that have the tree now; report and return the hosts that failed."""
        failed = []
        for need in tried:
            name = need.host.name
            if not wrong.get(name):
                del self._needs[name]
                continue
            failed.append(need.host)
            if not self._delivery.interruption.begun:
                self._tell(need, f"{words}: {wrong[name]}")
        return failed

    def _tell(self, need: Need, words: str) -> None:
        self._delivery.report(Progress(need.host.name, 0, need.size, words))

    def _each(self, act: Callable[[Host], None], hosts: Iterable[Host]) -> dict[str, str]:
        """Call `act` for all hosts at once; return the messages of errors by the host's name."""
        running = {self._pool.submit(act, host): host for host in hosts}
        wrong = {}
        for done in as_completed(running):
            try:
                done.result()
            except (ToolkitError, OSError) as error:
                wrong[running[done].name] = str(error)
        return wrong


def _by_site(needs: Iterable[Need]) -> list[list[Need]]:
    """Return the needs of each site's hosts. Across sites, hosts would send a piece over a slow link many times."""
    found: dict[str, list[Need]] = {}
    for need in needs:
        found.setdefault(need.host.site, []).append(need)
    return list(found.values())
