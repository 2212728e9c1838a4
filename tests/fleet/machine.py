"""A whole Debian host with its own systemd, sshd and address, in namespaces of this machine.

It is ready in a second or two. Whatever ends this process ends the host too, and with it all its mounts and its
network: nothing of it has a name outside its own namespaces but a cgroup, a directory and one end of a cable.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.fleet.base import LOGIN
from tests.fleet.cable import Cable
from tests.fleet.network import Network
from tests.fleet.power import DISK_BYTES, Disk, Supply, new_disk, remove_abandoned
from tests.fleet.watchers import room_for_watchers

BOOT_SECONDS = 60
# More at once would not be there sooner, only all late.
AT_ONCE = 2 * (os.cpu_count() or 1)
SCRATCH = Path("/var/tmp")
PREFIX = "toolkit-host-"
# Marks the line that changes the time of a host.
CLOCK = "# the clock of a test"


def missing() -> str:
    """Return what this machine lacks for test hosts, or nothing."""
    if os.uname().sysname != "Linux":
        return "a host with systemd needs Linux"
    if os.geteuid() != 0:
        return "a host with systemd needs root, for its namespaces"
    tools = ("mmdebstrap", "ip", "tc", "unshare", "setpriv", "nsenter", "ssh", "ssh-keygen")
    absent = [tool for tool in tools if shutil.which(tool) is None]
    return f"{', '.join(absent)} not found: scripts/system_packages.sh" if absent else ""


def require_hosts() -> None:
    """Skip the test with the reason; in CI fail, since whoever reads that it passed must know that it ran."""
    if lacking := missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lacking)


class Machine:
    """A host. `key` and `known_hosts` are files of this machine, for logging in."""

    def __init__(
        self, name: str, address: str, disk: Disk, shares: Sequence[str], cable: Cable
    ) -> None:
        self.name, self.address = name, address
        self.key = disk.directory / "id"
        self.known_hosts = disk.directory / "known_hosts"
        self._disk, self._supply, self._cable = disk, Supply(disk, shares), cable

    @property
    def pid(self) -> int:
        """Its PID 1 as seen from here, 0 without power."""
        return self._supply.pid

    @property
    def common_options(self) -> tuple[str, ...]:
        """Words of an ssh command line but for user and key."""
        return (
            "-F", "none",
            "-o", "IdentitiesOnly=yes",
            "-o", f"UserKnownHostsFile={self.known_hosts}",
            "-o", "StrictHostKeyChecking=yes",
        )  # fmt: skip

    @property
    def ssh_options(self) -> tuple[str, ...]:
        """Words of an ssh command line that log in."""
        return (*self.common_options, "-o", f"User={LOGIN}", "-o", f"IdentityFile={self.key}")

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command on the host as root, not over the network; return its standard output.

        Raises RuntimeError with the command's words where it fails and `check` is set.
        """
        if not self.pid:
            raise RuntimeError(f"{self.name} has no power")
        enter = ["nsenter", "--target", str(self.pid), "--all", "--wdns=/"]
        done = subprocess.run(
            [*enter, *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        )
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {argv}: {done.stderr.strip()}")
        return done.stdout

    def power_off(self) -> None:
        """Cut the power: nothing on the host gets to say a word, and nobody hears that its connections ended."""
        if self.pid:
            # Its kernel is ours and would still tell the other sides.
            self._cable.cut()
        self._supply.off()
        self._cable.unplug()

    def power_on(self) -> None:
        """Boot, with the disk and the address from before; the link is whole and as wide as it was.

        Raises RuntimeError, with what the host said, where it is not up within a minute.
        """
        self._supply.on()
        self._cable.plug_in(self.pid)
        try:
            self._wait_until_up()
        except (RuntimeError, subprocess.SubprocessError) as error:
            console = (self._disk.directory / "console").read_text(errors="replace")
            raise RuntimeError(f"{error}\n{console}{self._journal()}") from error

    def cut_link(self) -> None:
        """Lose every packet from and to the host, without a word to either side."""
        self._cable.cut()

    def mend_link(self) -> None:
        """Let packets through again; return once the host answers.

        For up to a second the kernel still refuses connections to an address at which nobody answered.
        """
        self._cable.mend()
        until = time.monotonic() + BOOT_SECONDS
        while not _greets(self.address):
            if time.monotonic() > until:
                raise RuntimeError(
                    f"{self.name} is silent {BOOT_SECONDS} s after its link is whole"
                )
            time.sleep(0.05)

    def limit_bandwidth(self, rate: str) -> None:
        """Let at most `rate` through in each direction, in tc's words (`200mbit`); empty: as much as there is."""
        self._cable.limit(rate)

    def fill_disk(self, left: int = 0) -> None:
        """Leave `left` bytes free on the disk; until `empty_disk`, nothing makes more room but removing files."""
        self._disk.shrink(left)

    def empty_disk(self) -> None:
        """Give back the room that `fill_disk` took."""
        self._disk.resize(self._disk.size)

    def set_clock(self, seconds: float) -> None:
        """Let Python on the host, and nothing else there, read a `time.time()` that many seconds off.

        The kernel's clock is this machine's too: no namespace has a wall clock of its own.
        """
        text = f"import time; time.time = lambda true=time.time: true() + {seconds!r}  {CLOCK}\n"
        # Each Python imports this module, also one that has no site-packages (-S).
        script = (
            "import encodings; place = encodings.__file__; lines = open(place).readlines(); "
            f"kept = [line for line in lines if {CLOCK!r} not in line]; "
            f"open(place, 'w').writelines([*kept, {text!r}])"
        )
        self.run("python3", "-Ic", script)

    def _wait_until_up(self) -> None:
        """Return once sshd greets and systemd has started all there is to start."""
        until = time.monotonic() + BOOT_SECONDS
        state = ""
        while time.monotonic() < until:
            if not Path(f"/proc/{self.pid}").exists():
                raise RuntimeError(f"{self.name} ended while it booted")
            if _greets(self.address):
                state = self.run("systemctl", "is-system-running", "--wait", check=False).strip()
                if state in ("running", "degraded"):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} is {state or 'silent'} after {BOOT_SECONDS} s")

    def _journal(self) -> str:
        try:
            return self.run("journalctl", "--no-pager", "--lines=60", check=False)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            return str(error)


@contextmanager
def boot(
    name: str,
    network: Network,
    number: int,
    *,
    disk: int = DISK_BYTES,
    shares: Mapping[str, Path] | None = None,
) -> Iterator[Machine]:
    """Boot a host with the address `network.prefix` + `number`; it loses its power when the context ends.

    `disk` is its size in bytes; `shares` are path on the host -> file or directory of this machine, to be seen there
    read-only and without a copy. Raises RuntimeError, with what the host said, where it is not up within a minute.
    """
    with boot_several({name: number}, network, disk=disk, shares=shares) as (machine,):
        yield machine


@contextmanager
def boot_several(
    numbers: Mapping[str, int],
    network: Network,
    *,
    disk: int = DISK_BYTES,
    shares: Mapping[str, Path] | None = None,
) -> Iterator[tuple[Machine, ...]]:
    """Boot hosts, name -> number, a few at a time; they are as `boot` makes them, and in the given order."""
    remove_abandoned(SCRATCH, PREFIX)
    visible = [f"{source}:{target}" for target, source in (shares or {}).items()]
    with room_for_watchers(), ExitStack() as stack:
        machines = tuple(
            stack.enter_context(_switched_off(name, network, number, disk, visible))
            for name, number in numbers.items()
        )
        try:
            _for_each(machines, Machine.power_on)
            yield machines
        finally:
            _for_each(machines, Machine.power_off)


def _for_each(machines: Sequence[Machine], act: Callable[[Machine], None]) -> None:
    """Act on all, a few at a time; the first error ends it, once those under way are through."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for done in [pool.submit(act, machine) for machine in machines]:
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _switched_off(
    name: str, network: Network, number: int, size: int, shares: Sequence[str]
) -> Iterator[Machine]:
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=SCRATCH))
    address = f"{network.prefix}{number}"
    try:
        _write_files(directory, name, address)
        with new_disk(directory, size) as disk:
            machine = Machine(name, address, disk, shares, Cable(network, address))
            try:
                yield machine
            finally:
                machine.power_off()
    finally:
        shutil.rmtree(directory)


def _write_files(directory: Path, name: str, address: str) -> None:
    """Write what makes this host different from others, and keys for this run alone."""
    files = directory / "files"
    for part in ("etc/ssh", f"home/{LOGIN}/.ssh"):
        (files / part).mkdir(parents=True)
    for key in (directory / "id", files / "etc/ssh/ssh_host_ed25519_key"):
        quiet = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name]
        subprocess.run([*quiet, "-f", str(key)], check=True, timeout=20)
    (files / "etc/hostname").write_text(f"{name}\n")
    (files / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{address} {name}\n")
    # Without one systemd would take this for a first boot and enable what the base tree has disabled.
    (files / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
    shutil.copy(directory / "id.pub", files / f"home/{LOGIN}/.ssh/authorized_keys")
    public = (files / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    (directory / "known_hosts").write_text(f"{address} {public}")


def _greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False
