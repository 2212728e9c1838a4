"""Two hosts for the same cases: the fake in memory, and this machine with real supervisord, HAProxy and Ansible."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.lab import end_supervisor, free_port
from toolkit.adapters.ansible import Converge, RealConverge
from toolkit.adapters.fakes.host import Behaviour, FakeConverge, FakeHost
from toolkit.adapters.host import HostPort, RealHost
from toolkit.adapters.host_shell import LocalShell
from toolkit.adapters.playbooks import playbook_directory, provision_digest
from toolkit.domain.fleet import Host
from toolkit.domain.release import Release
from toolkit.planning.router_config import render_files
from toolkit.planning.routes import Routes, needs_reload, runtime_commands

ENGINE = "vllm-0.0.0-cpu-py311-00000000"
STUB = Path(__file__).parent / "stub_vllm.py"


def release(behaviour: Behaviour) -> Release:
    """Return a release whose version is named after how it does."""
    return Release(
        model="tiny",
        number=1,
        version=str(behaviour),
        source="demo/tiny",
        revision="0" * 40,
        snapshot=behaviour.name.lower(),
        engine=ENGINE,
        accelerator="cpu",
        memory=10**6,
        devices=1,
        args=("--served-model-name", "tiny"),
        env={},
    )


class HostLab:
    """A provisioned host with an engine, and how to start replicas on it."""

    def __init__(self, host: HostPort, converge: Converge) -> None:
        self.host, self.converge = host, converge
        self.ports = {"blue": free_port(host.host.port_base)}
        self.ports["green"] = free_port(self.ports["blue"] + 1)

    def play(self, playbook: str, variables: Mapping[str, Any]) -> tuple[str, ...]:
        common = {"toolkit_init": self.host.observe().init}
        return self.converge.run(playbook, self.host.host, {**common, **variables}, lambda _: None)

    def start(self, slot: str, behaviour: Behaviour = Behaviour.GOOD) -> str:
        """Start a replica; return its program's name."""
        wanted, program = release(behaviour), f"tiny-{slot}"
        self.play(
            "replica",
            {
                "replica_program": program,
                "replica_state": "started",
                "replica_engine": ENGINE,
                "replica_snapshot": wanted.snapshot,
                "replica_port": self.ports[slot],
                "replica_args": list(wanted.args),
                "replica_env": {},
                "replica_manifest": {
                    "model": "tiny",
                    "slot": slot,
                    "port": self.ports[slot],
                    "devices": [],
                    "release": wanted.as_json(),
                },
            },
        )
        return program

    def route(self, routes: Routes) -> None:
        """Make the router follow `routes`."""
        old = Routes.from_json(self.host.observe().routes)
        self.host.apply_routes(
            render_files(routes), runtime_commands(old, routes), reload=needs_reload(old, routes)
        )

    def empty(self) -> None:
        """Take away all routes and replicas."""
        self.route(Routes())
        for slot in self.host.observe().slots:
            self.stop(slot.slot)

    def stop(self, slot: str) -> tuple[str, ...]:
        return self.play("replica", {"replica_program": f"tiny-{slot}", "replica_state": "absent"})


def fake_lab() -> HostLab:
    host = FakeHost()
    host.behaviour = {str(each): each for each in Behaviour}
    lab = HostLab(host, FakeConverge(host))
    lab.play("provision", {"provision_digest": "d"})
    for behaviour in Behaviour:
        host.place("/store", behaviour.name.lower(), ["behaviour"], lambda _: None)
    return lab


@contextmanager
def real_lab() -> Iterator[HostLab]:
    """Provision this machine under a directory of its own; everything ends and goes with the context."""
    root = Path(tempfile.mkdtemp(prefix="toolkit-lab-", dir="/var/tmp"))
    root.chmod(0o755)
    try:
        port = free_port(18600)
        target = Host(
            "localhost",
            root=str(root),
            router_bind=f"127.0.0.1:{port}",
            router_metrics_bind=f"127.0.0.1:{free_port(port + 1)}",
            port_base=port + 10,
        )
        lab = HostLab(
            RealHost(target, LocalShell(target)), RealConverge(playbook_directory(), root / "run")
        )
        lab.play("provision", {"provision_digest": provision_digest(target)})
        engine = root / "engines" / ENGINE / "bin"
        engine.mkdir(parents=True)
        shutil.copyfile(STUB, engine / "vllm")
        (engine / "vllm").chmod(0o755)
        for behaviour in Behaviour:
            source = root / "sources" / behaviour.name.lower()
            source.mkdir(parents=True)
            (source / "behaviour").write_text(str(behaviour))
            lab.host.place(str(source), behaviour.name.lower(), ["behaviour"], lambda _: None)
        yield lab
    finally:
        end_supervisor(root)
        shutil.rmtree(root)
