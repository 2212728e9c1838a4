"""A newcomer's machines: fresh hosts, a checkout, a package index and a Hub within reach, and no GPU."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.adapters.host_lab import STUB, WAYS
from tests.fleet.base import LOGIN
from tests.fleet.lab import FleetLab, fleet_lab
from tests.fleet.machine import Machine
from tests.on_thread import serve_on_thread
from tests.system.stub_site import ROOT as ON_HOST
from tests.walk.blocks import ROOT
from tests.walk.hub import ShippedHub
from tests.walk.terminal import Terminal
from tests.walk.wheels import wheelhouse
from tests.wheel import UV
from toolkit.adapters.mirror.app import mirror_app
from toolkit.config.engine_locks import read_locks

CHECKOUT = "open-weights-toolkit"
WHEELS = "/wheels"
PIP = f"[global]\nno-index = true\nfind-links = {WHEELS}\ndisable-pip-version-check = true\n"
UV_SETTINGS = f'no-index = true\nfind-links = ["{WHEELS}"]\npython-downloads = "never"\n'
_WRITE = 'umask 022; mkdir -p "${1%/*}"; printf %s "$2" >"$1"; chmod 755 "$1"'


@dataclass(frozen=True)
class Newcomer:
    """The hosts, the Hub that they reach, and what a login there has in its environment."""

    lab: FleetLab
    hub: ShippedHub
    variables: dict[str, str]

    @contextmanager
    def login(self, host: str) -> Iterator[Terminal]:
        """Log in at a host, in the clone where there is one."""
        shell = Terminal(self.lab[host], self.variables)
        try:
            shell.type(f"cd {CHECKOUT} 2>/dev/null")
            yield shell
        finally:
            shell.close()

    def install(self, terminal: Terminal) -> None:
        """Install the toolkit at a host as README says, with `uv tool`, and begin in an empty directory."""
        done = terminal.type("uv tool install --quiet . && export PATH=~/.local/bin:$PATH")
        assert done.code == 0, done
        terminal.type("mkdir ~/models && cd ~/models")


@contextmanager
def newcomer(*hosts: str) -> Iterator[Newcomer]:
    """Boot fresh hosts of these names; a checkout lies at the first one, where a person works."""
    shares = {WHEELS: wheelhouse(), "/usr/local/bin/uv": UV.resolve()}
    with fleet_lab(hosts, shares=shares) as lab:
        hub = ShippedHub(lab.directory / "hub")
        with serve_on_thread(mirror_app(hub), f"{lab.network.gateway}:0") as endpoint:
            _clone(lab.machines[0])
            for machine in lab.machines:
                machine.run("chown", "-R", f"{LOGIN}:", f"/home/{LOGIN}")
                write(machine, "/etc/pip.conf", PIP)
                write(machine, "/etc/uv/uv.toml", UV_SETTINGS)
                for accelerator in ("cpu", "cuda"):
                    _install_stub(machine, accelerator)
            yield Newcomer(lab, hub, {"HF_ENDPOINT": endpoint, "LC_ALL": "C.UTF-8"})


def write(machine: Machine, path: str, text: str) -> None:
    """Write a file of the host as root; everybody may read and run it."""
    machine.run("sh", "-c", _WRITE, "sh", path, text)


def _clone(machine: Machine) -> None:
    """Put a clone of this repository, as it is now, into the home of the host's administrator."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout
    packed = subprocess.run(
        ["tar", "-C", str(ROOT), "--null", "--files-from=-", "--ignore-failed-read", "-cz"],
        input=listed,
        capture_output=True,
        check=True,
    ).stdout
    words = ["ssh", *machine.ssh_options, machine.address]
    unpack = f"mkdir {CHECKOUT} && tar -C {CHECKOUT} -xz"
    subprocess.run([*words, unpack], input=packed, check=True, capture_output=True, timeout=60)


def _install_stub(machine: Machine, accelerator: str) -> None:
    """Put a stub where vLLM would be installed, which takes minutes and 3 GB."""
    engine = next(
        each.id
        for each in read_locks(Path("/nonexistent"))
        if each.python == "3.11" and each.accelerator == accelerator and "-0.32.0-" in each.id
    )
    place = f"{ON_HOST}/engines/{engine}"
    write(machine, f"{place}/bin/vllm", STUB.read_text())
    write(machine, f"{place}/bin/{WAYS.name}", WAYS.read_text())
    machine.run("ln", "-s", "/usr/bin/python3", f"{place}/bin/python")
    write(machine, f"{place}/.complete", engine)
