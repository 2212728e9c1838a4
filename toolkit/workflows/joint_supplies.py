"""What the ops machine brings to several hosts: fetched and checked once, sent to all of them together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from toolkit.adapters.distribution import Distribution, Report, Tree
from toolkit.domain.fleet import Host
from toolkit.domain.model import Version
from toolkit.domain.plan import Step, StepKind
from toolkit.domain.release import Release
from toolkit.errors import ToolkitError
from toolkit.workflows.joint import Joint
from toolkit.workflows.tools import Say, SnapshotFiles, Tools


class JointSupplies:
    """The supplies of hosts that are prepared at once, each with its `steps` and `releases`, by name."""

    def __init__(
        self,
        tools: Tools,
        steps: Mapping[str, Sequence[Step]],
        releases: Mapping[str, Release | None],
    ) -> None:
        self._supplies, self._distribution = tools.supplies, tools.distribution
        self._once = threading.Lock()
        self._done: dict[str, ToolkitError | None] = {}
        self._expected: dict[tuple[str, str], set[str]] = {}
        for name, each in steps.items():
            release = releases[name]
            kinds = {step.kind for step in each}
            if release and StepKind.DISTRIBUTE in kinds:
                self._expected.setdefault(("snapshots", release.snapshot), set()).add(name)
            if release and StepKind.INSTALL_ENGINE in kinds:
                self._expected.setdefault(("wheelhouse", release.engine), set()).add(name)
        self._joints = {
            key: Joint[tuple[Tree, Host, Report]](len(names), self._spread_to_all)
            for key, names in self._expected.items()
        }
        self._arrived: dict[tuple[str, str, str], str] = {}

    def for_host(self, name: str) -> Distribution:
        """Return the distribution as the host `name` asks for it."""
        return _ForHost(self, name)

    def leave(self, name: str) -> None:
        """The host `name` asks for nothing any more."""
        for key, names in self._expected.items():
            if name in names:
                names.discard(name)
                self._joints[key].leave()

    def abort(self, why: str) -> None:
        """Let no host wait for others any more."""
        for joint in self._joints.values():
            joint.abort(why)

    def fetch(self, version: Version, say: Say) -> None:
        self._just_once("fetch", lambda: self._supplies.fetch(version, say))

    def verify(self, release: Release) -> None:
        self._just_once(release.snapshot, lambda: self._supplies.verify(release))

    def snapshot(self, release: Release) -> SnapshotFiles:
        return self._supplies.snapshot(release)

    def engine_variables(self, engine: str, say: Say) -> Mapping[str, Any]:
        with self._once:
            return self._supplies.engine_variables(engine, say)

    def engine_tree(self, engine: str) -> Tree:
        return self._supplies.engine_tree(engine)

    def spread_together(self, tree: Tree, host: Host, report: Report) -> Mapping[str, str]:
        """Send `tree` to `host` together with all others that wait for it."""
        self._joints[tree.kind, tree.name].join((tree, host, report))
        return {host.name: self._arrived[tree.kind, tree.name, host.name]}

    def _spread_to_all(self, asked: list[tuple[Tree, Host, Report]]) -> None:
        tree, _, report = asked[0]
        found = self._distribution.spread(tree, [host for _, host, _ in asked], report)
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
            if error := self._done[what]:
                raise error


class _ForHost:
    def __init__(self, joint: JointSupplies, name: str) -> None:
        self._joint, self._name = joint, name

    def spread(self, tree: Tree, hosts: Sequence[Host], report: Report) -> Mapping[str, str]:
        (host,) = hosts
        return self._joint.spread_together(tree, host, report)
