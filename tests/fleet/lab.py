"""Several hosts and what `toolkit` needs to work on them: an inventory and an ops machine's home."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fleet.base import LOGIN
from tests.fleet.machine import PREFIX, SCRATCH, Machine, boot_several
from tests.fleet.network import Network, network
from tests.fleet.power import DISK_BYTES
from tests.json_documents import require_document

TOOLKIT = (sys.executable, "-m", "toolkit.cli.main")
ROOT = Path(__file__).parents[2]
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
FIRST_ADDRESS = 11


@dataclass(frozen=True)
class FleetLab:
    """Running hosts. `directory` is the ops machine's: `fleet.yaml`, `model_registry.yaml` if any, `home`."""

    machines: tuple[Machine, ...]
    network: Network
    directory: Path

    @property
    def inventory(self) -> Path:
        """The fleet file, an Ansible inventory; a test may write another text."""
        return self.directory / "fleet.yaml"

    @property
    def registry(self) -> Path:
        """Where a test may write its registry."""
        return self.directory / "model_registry.yaml"

    @property
    def home(self) -> Path:
        """The ops machine's store, history and private files."""
        return self.directory / "home"

    def __getitem__(self, name: str) -> Machine:
        return next(machine for machine in self.machines if machine.name == name)

    def command(self, *words: str) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the environment of a toolkit command on this fleet."""
        places = {
            "TOOLKIT_HOME": str(self.home),
            "TOOLKIT_FLEET": str(self.inventory),
            "TOOLKIT_REGISTRY": str(self.registry),
            "PYTHONPATH": str(ROOT),
        }
        return [*TOOLKIT, *words], {**os.environ, **places}

    def toolkit(
        self, *words: str, check: bool = True, timeout: float = 600, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a toolkit command on this fleet, `more` being added to its environment.

        Raises RuntimeError with its words where it fails and `check` is set.
        """
        argv, environment = self.command(*words)
        done = subprocess.run(
            argv, env={**environment, **more}, capture_output=True, text=True, timeout=timeout
        )
        if check and done.returncode:
            raise RuntimeError(
                f"toolkit {shlex.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
            )
        require_document(words, done.returncode, done.stdout)
        return done

    def hang_up(self) -> None:
        """End the connections that commands have left open for the next one."""
        for socket in [*(self.home / "run").glob("*")] if (self.home / "run").is_dir() else []:
            if socket.is_socket():
                words = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "any"]
                subprocess.run(words, capture_output=True, timeout=20)


@contextmanager
def fleet_lab(
    hosts: int | Sequence[str],
    *,
    disk: int = DISK_BYTES,
    shares: Mapping[str, Path] | None = None,
    variables: Mapping[str, str] | None = None,
    silence: int = 0,
) -> Iterator[FleetLab]:
    """Boot that many hosts, or hosts of these names, and write their inventory; all is gone with the context.

    `disk` and `shares` are those of `boot`; `variables` go to all hosts of the inventory. A host that is silent for
    `silence` seconds is taken for dead; without it that takes as long as the toolkit says.
    """
    names = _names(hosts) if isinstance(hosts, int) else tuple(hosts)
    # Sockets lie in it, and their paths may have 107 characters.
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=SCRATCH))
    numbers = {name: FIRST_ADDRESS + place for place, name in enumerate(names)}
    try:
        (directory / "home").mkdir()
        with network() as net, boot_several(numbers, net, disk=disk, shares=shares) as machines:
            lab = FleetLab(machines, net, directory)
            lab.inventory.write_text(inventory_text(machines, variables or {}, silence))
            try:
                yield lab
            finally:
                lab.hang_up()
    finally:
        shutil.rmtree(directory)


def inventory_text(
    machines: Sequence[Machine], variables: Mapping[str, str], silence: int = 0
) -> str:
    """Return the inventory that leads to the machines."""
    alive = [f"ServerAliveInterval={max(1, silence // 3)}", f"ConnectTimeout={silence}"]
    patience = [word for each in alive for word in ("-o", each)] if silence else []
    lines = ["all:", "  vars:", f"    ansible_user: {LOGIN}"]
    lines += [f"    {name}: {value}" for name, value in variables.items()]
    lines += ["  hosts:"]
    for machine in machines:
        lines += [
            f"    {machine.name}:",
            f"      ansible_host: {machine.address}",
            f"      ansible_ssh_private_key_file: {machine.key}",
            f"      ansible_ssh_common_args: {shlex.join([*machine.common_options, *patience])}",
        ]
    return "\n".join([*lines, ""])


def _names(count: int) -> tuple[str, ...]:
    return (
        NAMES[:count] if count <= len(NAMES) else tuple(f"host{each:02}" for each in range(count))
    )
