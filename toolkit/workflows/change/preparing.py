"""Bring the files, the packages and the engine of a release to its host, before a replica starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from toolkit.adapters.distribution.port import Tree
from toolkit.domain.deployment.plan import Step, StepKind
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import HostFacts
from toolkit.workflows.change.send import bring_engine, send
from toolkit.workflows.change.subject import HostChange
from toolkit.workflows.tools import Tools

# Runs the playbook of this name with these variables.
Play = Callable[[str, Mapping[str, Any]], None]


class Preparing:
    """Performs the steps before the start of a replica."""

    def __init__(self, tools: Tools, change: HostChange, facts: HostFacts, play: Play) -> None:
        self._tools = tools
        self._change = change
        self._facts = facts
        self._play = play

    def perform(self, step: Step) -> None:
        """Perform one step; raises StoreError, IntegrityError or HostError where it fails."""
        self._do[step.kind](self)

    def _fetch(self) -> None:
        assert self._change.version is not None, "only a deployment of a version fetches"
        self._tools.supplies().fetch(self._change.version)

    def _provision(self) -> None:
        self._play("provision", {"provision_digest": self._tools.provision_digest})

    def _install_engine(self) -> None:
        engine = self._change.planned.engine
        play = partial(self._play, "engine")
        bring_engine(self._tools, engine, there=engine in self._facts.engines, play=play)

    def _verify(self) -> None:
        for part in self._lacking():
            self._tools.supplies().verify(part)

    def _distribute(self) -> None:
        for part in self._lacking():
            stored = self._tools.supplies().snapshot(part)
            send(self._tools, Tree("snapshots", part.snapshot, stored.directory, stored.files))

    def _lacking(self) -> list[Release]:
        """Return the release of the plan once for each of its snapshots that the host lacks."""
        parts = self._change.planned.parts
        return [part for part in parts if part.snapshot not in self._facts.snapshots]

    _do: Mapping[StepKind, Callable[[Preparing], None]] = {
        StepKind.FETCH: _fetch,
        StepKind.VERIFY: _verify,
        StepKind.PROVISION: _provision,
        StepKind.INSTALL_ENGINE: _install_engine,
        StepKind.DISTRIBUTE: _distribute,
    }
