"""The playbooks in memory: they converge a host in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.adapters.ansible.certificate import settings_of
from toolkit.adapters.ansible.converge import Progress, Require, nothing
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.interruption import Interruption
from toolkit.domain.hosts.facts import RouterFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError


@dataclass
class FakeConverge:
    """The playbooks, on a `FakeHost`. `failing` names a playbook whose next runs fail.

    `prepared` says whether a command knew beforehand that it would run one.
    """

    target: FakeHost
    failing: str = ""
    interruption: Interruption = field(default_factory=Interruption)
    prepared: bool = False

    def prepare(self) -> None:
        self.prepared = True

    def run(
        self,
        playbook: str,
        host: Host,
        variables: Mapping[str, Any],
        progress: Progress,
        require: Require = nothing,
    ) -> tuple[str, ...]:
        detail = variables.get("replica_program") or variables.get("engine_id") or ""
        state = variables.get("replica_state", "")
        progress(playbook)
        self.interruption.check()
        require()
        self.target.happens(" ".join(filter(None, (playbook, state, detail))))
        if playbook == self.failing:
            raise HostError(f"{host.name}: {playbook}: a task failed")
        if playbook == "provision":
            self.target.learn(
                lambda facts: replace(
                    facts,
                    converged=variables["provision_digest"],
                    settings=settings_of(host, ""),
                    router=RouterFacts(True, host.router_bind, "2.6", 1),
                )
            )
        elif playbook == "engine" and variables.get("engine_beside"):
            self.target.beside.add(variables["engine_id"])
        elif playbook == "engine":
            self.target.learn(
                lambda facts: replace(facts, engines=(*facts.engines, variables["engine_id"]))
            )
        elif variables.get("replica_runs_on"):
            self.target.rewrite(variables["replica_manifest"])
        elif state == "started":
            self.target.start(variables["replica_manifest"])
            self.target.homes.add(variables["replica_program"])
        else:
            self.target.stop(variables["replica_program"])
            if not variables.get("replica_home_kept", True):
                self.target.homes.discard(variables["replica_program"])
        require()
        return (playbook,)
