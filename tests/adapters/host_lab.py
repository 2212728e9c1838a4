"""Three hosts for the same cases: the fake in memory, this machine with real supervisord, and one over SSH with its
own real systemd; HAProxy and Ansible are real on both of these."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from demo.lab import end_supervisor, free_port
from tests.adapters.accounts import accounts_of
from tests.fleet.machine import boot
from tests.fleet.network import network
from tests.planning.rendered import render_files
from toolkit.adapters.ansible.converge import Converge, RealConverge
from toolkit.adapters.ansible.playbooks import playbook_directory, provision_digest
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.converge import FakeConverge
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.hosts.client import host_client, silent
from toolkit.adapters.hosts.host import RealHost
from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.hosts.ssh import master_options
from toolkit.adapters.interruption import Interruption
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import ProcessState, SlotFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.hosts.leftover import Leftover, LeftoverKind
from toolkit.hostside.guard_names import order_path
from toolkit.planning.change.process import process_variables, seat_of
from toolkit.planning.routing.routes import Routes

ENGINE = "vllm-0.0.0-cpu-py311-00000000"
# Users and their rules of packets are the machine's: those of the whole-system tests have the usual names.
USER = "toolkit-lab"
STUB = Path(__file__).parent / "stub_vllm.py"
# Beside the stub: what its replicas may try, and what records the use of requests.
WAYS = STUB.with_name("stub_ways.py")
STATES = Path(__file__).parents[1] / "recorder/engine_double.py"


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


def run_here(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


class HostLab:
    """A provisioned host with an engine, and how to start replicas on it."""

    def __init__(
        self,
        host: HostPort,
        converge: Converge,
        scratch: Path = Path(),
        run: Callable[..., str] = run_here,
        interruption: Interruption | None = None,
    ) -> None:
        """`run` runs a command on the host as root, and returns what it says."""
        self.interruption = interruption or Interruption()
        self.host, self.converge, self.scratch, self.run = host, converge, scratch, run
        self.ports = {"blue": free_port(host.host.port_base)}
        self.ports["green"] = free_port(self.ports["blue"] + 1)

    def play(
        self,
        playbook: str,
        variables: Mapping[str, Any],
        watch: Callable[[str], None] = lambda _: None,
    ) -> tuple[str, ...]:
        common = {"toolkit_init": self.host.observe().init}
        return self.converge.run(playbook, self.host.host, {**common, **variables}, watch)

    def start(
        self,
        slot: str,
        behaviour: Behaviour = Behaviour.GOOD,
        watch: Callable[[str], None] = lambda _: None,
        fences: Sequence[str] | None = None,
        snapshot: str = "",
        *,
        sleepy: bool = False,
    ) -> str:
        """Start a replica; return its program's name. `watch` hears of each task.

        It gets these `fences`, by default all that the host has, and this `snapshot`, by default the behaviour's. A
        `sleepy` one can doze, as on a GPU.
        """
        wanted, program, root = release(behaviour), f"tiny-{slot}", self.host.host.root
        wanted = replace(wanted, snapshot=snapshot or wanted.snapshot)
        if sleepy:
            args = (*wanted.args, "--enable-sleep-mode")
            wanted = replace(wanted, accelerator="cuda", args=args)
        fences = self.host.observe().fences if fences is None else fences
        seat = seat_of(root, program, self.ports[slot], {}, fences)
        self.play(
            "replica",
            {
                "replica_program": program,
                "replica_user": self.host.host.slot_user(program),
                "replica_state": "started",
                "replica_fences": list(fences),
                **process_variables(wanted, slot, seat, ()),
            },
            watch,
        )
        return program

    def install_beside(self) -> None:
        """Have the present engine lie beside itself, as the role `engine` installs it for a repair."""
        if isinstance(self.host, FakeHost):
            self.play("engine", {"engine_id": ENGINE, "engine_beside": True})
            return
        top = f"{self.host.host.root}/engines"
        self.run("cp", "-a", f"{top}/{ENGINE}", f"{top}/.{ENGINE}.anew")
        self.run("touch", f"{top}/.{ENGINE}.anew/.complete")

    def change_engine(self) -> None:
        """Change the program of the present engine."""
        if isinstance(self.host, FakeHost):
            self.host.damaged[ENGINE] = ("bin/vllm: was changed",)
        else:
            path = f"{self.host.host.root}/engines/{ENGINE}/bin/vllm"
            self.run("sh", "-c", 'echo "# changed" >>"$1"', "sh", path)

    def damage_order(self, model: str) -> None:
        """Damage the order of a model's guard."""
        if isinstance(self.host, FakeHost):
            damaged = (*self.host.facts.damaged, order_path(model))
            self.host.facts = replace(self.host.facts, damaged=damaged)
        else:
            path = f"{self.host.host.root}/{order_path(model)}"
            self.run("sh", "-c", 'echo "{" >"$1"', "sh", path)

    def cut_short(self, path: str) -> None:
        """Leave four bytes at a path of `engines` below the root, an hour ago."""
        if isinstance(self.host, FakeHost):
            name = path.rpartition("/")[2]
            self.host.left.append(Leftover(path, LeftoverKind.INSTALLATION, name, 4, 3600.0))
        else:
            place = f"{self.host.host.root}/{path}"
            self.run("sh", "-c", _WRITE, "sh", place, "file", "data", "644")
            self.run("touch", "-d", "1 hour ago", f"{place}/file", place)

    def route(self, routes: Routes) -> None:
        """Make the router follow `routes`."""
        self.host.apply_routes(render_files(routes))

    def ready(self) -> str:
        """Return the program of a good replica in blue, ready and without traffic: the one there, or a new one."""
        if not any(self._is_good(slot) for slot in self.host.observe().slots):
            program = self.start("blue")
            assert self.host.wait_ready(program, self.ports["blue"], 120, silent).ok
        return "tiny-blue"

    def empty(self, *, but_ready: bool = False) -> None:
        """Take away all routes and replicas, by shorter ways than the role's, which tests themselves go.

        With `but_ready` the replica that `ready` would return stays.
        """
        self.route(Routes())
        facts = self.host.observe()
        for slot in facts.slots:
            if but_ready and self._is_good(slot):
                continue
            if isinstance(self.host, FakeHost):
                self.stop(slot.slot)
            else:
                self.run(
                    "sh", "-c", _DISCARD[facts.init], "sh", self.host.host.root, f"tiny-{slot.slot}"
                )

    def _is_good(self, slot: SlotFacts) -> bool:
        return (
            (slot.slot, slot.process, slot.healthy) == ("blue", ProcessState.RUNNING, True)
            and slot.release == release(Behaviour.GOOD)
            and not (slot.weight or slot.drift)
        )

    def ask(self, slot: str, request: str = "") -> str:
        """Have a replica answer; `request` is its user's name, see stub_vllm.py."""
        payload = {"messages": [], "user": request}
        return self.host.complete(self.ports[slot], payload, 20).text

    def running(self, slot: str) -> int:
        """Return how many requests a replica works on."""
        url = f"http://127.0.0.1:{self.ports[slot]}/metrics"
        read = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=5).read().decode())"
        lines = self.run("/usr/bin/python3", "-c", read).splitlines()
        (shown,) = (each for each in lines if each.startswith("vllm:num_requests_running"))
        return int(float(shown.split()[-1]))

    def stop(self, slot: str, *, home_kept: bool = True) -> tuple[str, ...]:
        program = f"tiny-{slot}"
        return self.play(
            "replica",
            {
                "replica_program": program,
                "replica_user": self.host.host.slot_user(program),
                "replica_state": "absent",
                "replica_home_kept": home_kept,
            },
        )


def fake_lab() -> HostLab:
    host = FakeHost()
    host.behaviour = {str(each): each for each in Behaviour}
    converge = FakeConverge(host, interruption=host.interruption)
    lab = HostLab(host, converge, interruption=host.interruption)
    lab.play("provision", {"provision_digest": "d"})
    for behaviour in Behaviour:
        host.place("/store", behaviour.name.lower(), ["behaviour"], lambda _: None)
    return lab


@contextmanager
def real_lab() -> Iterator[HostLab]:
    """Provision this machine under a directory of its own; everything ends and goes with the context."""
    with accounts_of(USER) as user, _provisioned_here(user) as lab:
        yield lab


@contextmanager
def _provisioned_here(user: str) -> Iterator[HostLab]:
    root = Path(tempfile.mkdtemp(prefix="toolkit-lab-", dir="/var/tmp"))
    root.chmod(0o755)
    modules = Path(tempfile.mkdtemp(prefix="toolkit-modules-"))
    try:
        port = free_port(18600)
        target = Host(
            "localhost",
            root=str(root),
            user=user,
            router_bind=f"127.0.0.1:{port}",
            router_metrics_bind=f"127.0.0.1:{free_port(port + 1)}",
            port_base=port + 10,
            settings={"toolkit_hang_seconds": 2},
        )
        interruption = Interruption()
        lab = HostLab(
            RealHost(host_client(target, root / "run", interruption)),
            RealConverge(
                playbook_directory(), root / "run", modules=modules, interruption=interruption
            ),
            interruption=interruption,
        )
        lab.play("provision", {"provision_digest": provision_digest(target)})
        supply(lab)
        yield lab
    finally:
        end_supervisor(root)
        shutil.rmtree(root)
        shutil.rmtree(modules)


@contextmanager
def systemd_lab() -> Iterator[HostLab]:
    """Boot a host with systemd and provision it over SSH; it is gone with the context."""
    with bare_lab() as lab:
        lab.play("provision", {"provision_digest": provision_digest(lab.host.host)})
        supply(lab)
        yield lab


@contextmanager
def bare_lab(number: int = 11) -> Iterator[HostLab]:
    """Boot a host with systemd, its address ending in `number`, on which the toolkit has not been yet."""
    scratch = Path(tempfile.mkdtemp(prefix="toolkit-ssh-", dir="/var/tmp"))
    try:
        with network() as net, boot("alpha", net, number) as machine:
            target = Host(
                "alpha",
                connection="ssh",
                address=machine.address,
                ssh_options=machine.ssh_options,
                settings={"toolkit_hang_seconds": 2},
            )
            interruption = Interruption()
            try:
                yield HostLab(
                    RealHost(host_client(target, scratch, interruption)),
                    RealConverge(
                        playbook_directory(),
                        scratch,
                        modules=scratch / "modules",
                        interruption=interruption,
                    ),
                    scratch,
                    machine.run,
                    interruption,
                )
            finally:
                end = ["ssh", *master_options(target, scratch), "-O", "exit", target.address]
                subprocess.run(end, capture_output=True, timeout=60)
    finally:
        shutil.rmtree(scratch)


def supply(lab: HostLab) -> None:
    """Put the stub where an engine would be, and a snapshot for each way in which it does."""
    root = lab.host.host.root
    engine = f"{root}/engines/{ENGINE}/bin"
    lab.run("sh", "-c", _WRITE, "sh", engine, "vllm", STUB.read_text(), "755")
    for beside in (WAYS, STATES):
        lab.run("sh", "-c", _WRITE, "sh", engine, beside.name, beside.read_text(), "644")
    lab.run("ln", "-sf", "/usr/bin/python3", f"{engine}/python")
    for behaviour in Behaviour:
        source = f"{root}/sources/{behaviour.name.lower()}"
        lab.run("sh", "-c", _WRITE, "sh", source, "behaviour", str(behaviour), "644")
        lab.host.place(source, behaviour.name.lower(), ["behaviour"], lambda _: None)


_DISCARD = {
    "systemd": (
        'unit="${1##*/}-$2.service"; systemctl disable --quiet --now "$unit"; rm "/etc/systemd/system/$unit" && '
        'systemctl daemon-reload && rm -rf "$1/slots/$2" "$1/watch/asleep/$2" "$1/watch/dozing/$2"'
    ),
    "supervisord": (
        'rm "$1/supervisor/conf.d/$2.conf" && supervisorctl -s "unix://$1/supervisor/supervisor.sock" update && '
        'rm -rf "$1/slots/$2" "$1/watch/asleep/$2" "$1/watch/dozing/$2"'
    ),
}
_WRITE = 'umask 022; mkdir -p "$1"; printf %s "$3" >"$1/$2"; chmod "$4" "$1/$2"'
