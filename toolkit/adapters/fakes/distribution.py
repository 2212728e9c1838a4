"""A distribution to hosts in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from toolkit.adapters.distribution.port import Progress, Report, Tree
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.hosts.client import silent
from toolkit.adapters.interruption import Interruption
from toolkit.domain.hosts.fleet import Host


@dataclass
class FakeDistribution:
    """`Distribution` to fake `hosts`, by name. `failing` is host -> message of its failure.

    `placed` is (host, kind) -> names of its trees, `sent` lists (host, kind, name) of all transfers in order.
    """

    hosts: Mapping[str, FakeHost] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    placed: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    interruption: Interruption = field(default_factory=Interruption)

    def spread(self, tree: Tree, hosts: Sequence[Host], report: Report) -> Mapping[str, str]:
        wrong = dict(self.failing)
        for host in hosts:
            there = self.placed.setdefault((host.name, tree.kind), set())
            if host.name in self.failing or tree.name in there:
                continue
            report(Progress(host.name, 0, tree.size))
            report(Progress(host.name, tree.size // 2, tree.size))
            if self.interruption.begun:
                wrong[host.name] = "interrupted"
                continue
            there.add(tree.name)
            self.sent.append((host.name, tree.kind, tree.name))
            if tree.kind == "compiled" and host.name in self.hosts:
                self.hosts[host.name].compiled.add(tree.name)
            if tree.kind == "snapshots" and host.name in self.hosts:
                names = [file.path for file in tree.files]
                self.hosts[host.name].place(tree.source, tree.name, names, silent)
            report(Progress(host.name, tree.size, tree.size))
        return {host.name: wrong.get(host.name, "") for host in hosts}
