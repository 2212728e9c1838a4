"""The supplies of several hosts: fetched and checked once, sent to all hosts together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.adapters.distribution.port import Report, Tree
from toolkit.domain.deployment.release import Release
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import ToolkitError
from toolkit.workflows.change.rendezvous import Rendezvous
from toolkit.workflows.tools import Say, SnapshotFiles, Tools

if TYPE_CHECKING:
    from toolkit.domain.registry.model import Version


class SharedSupplies:
    """The supplies, and the distribution, of hosts that are prepared at once."""

    def __init__(self, tools: Tools, coming: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """`coming` has for each host's name the kind and name of the trees that it will request."""
        self._supplies, self._distribution = tools.supplies, tools.distribution
        self._once = threading.Lock()
        self._done: dict[str, ToolkitError | None] = {}
        self._expected: dict[tuple[str, str], set[str]] = {}
        for name, trees in coming.items():
            for tree in trees:
                self._expected.setdefault(tree, set()).add(name)
        self._meetings = {
            key: Rendezvous[tuple[Tree, Host, Report]](len(names), self._spread_to_all)
            for key, names in self._expected.items()
        }
        self._arrived: dict[tuple[str, str, str], str] = {}

    def leave(self, name: str) -> None:
        """Stop waiting for the host `name`, which requests nothing more."""
        for key, names in self._expected.items():
            if name in names:
                names.discard(name)
                self._meetings[key].leave()

    def abort(self, why: str) -> None:
        """Turn away all hosts that wait for others."""
        for meeting in self._meetings.values():
            meeting.abort(why)

    def fetch(self, version: Version) -> None:
        self._just_once("fetch", lambda: self._supplies().fetch(version))

    def verify(self, release: Release) -> None:
        self._just_once(release.snapshot, lambda: self._supplies().verify(release))

    def snapshot(self, release: Release) -> SnapshotFiles:
        return self._supplies().snapshot(release)

    def engine_variables(self, engine: str, say: Say) -> Mapping[str, Any]:
        with self._once:
            return self._supplies().engine_variables(engine, say)

    def engine_packages(self, engine: str) -> tuple[FileDigest, ...]:
        return self._supplies().engine_packages(engine)

    def recheck_engine(self, engine: str) -> bool:
        with self._once:
            return self._supplies().recheck_engine(engine)

    def spread(self, tree: Tree, hosts: Sequence[Host], report: Report) -> Mapping[str, str]:
        """Send `tree` to the only host of `hosts`, together with all others that wait for it."""
        (host,) = hosts
        self._meetings[tree.kind, tree.name].join((tree, host, report))
        return {host.name: self._arrived[tree.kind, tree.name, host.name]}

    def _spread_to_all(self, wanted: list[tuple[Tree, Host, Report]]) -> None:
        tree, _, report = wanted[0]
        found = self._distribution().spread(tree, [host for _, host, _ in wanted], report)
        for name, words in found.items():
            self._arrived[tree.kind, tree.name, name] = words

    def _just_once(self, what: str, act: Callable[[], None]) -> None:
        with self._once:
            if what not in self._done:
                self._done[what] = None
                try:
                    act()
                except ToolkitError as error:
                    self._done[what] = error
            failed = self._done[what]
            if failed is not None:
                raise failed
