"""A whole Debian host with its own systemd, sshd and address, in namespaces of this machine.

It is ready in a second or two. Whatever ends this process ends the host too, and with it all its mounts and its
network: nothing of it has a name outside its own namespaces but a cgroup, a directory and one end of a cable.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fleet.base import LOGIN, base_tree
from tests.fleet.network import Network, ip

INIT = Path(__file__).parent / "init.sh"
BOOT_SECONDS = 60
SCRATCH = Path("/var/tmp")
PREFIX = "toolkit-host-"


def missing() -> str:
    """Return what this machine lacks for test hosts, or nothing."""
    if os.uname().sysname != "Linux":
        return "a host with systemd needs Linux"
    if os.geteuid() != 0:
        return "a host with systemd needs root, for its namespaces"
    tools = ("mmdebstrap", "ip", "unshare", "setpriv", "nsenter", "ssh", "ssh-keygen")
    absent = [tool for tool in tools if shutil.which(tool) is None]
    return f"{', '.join(absent)} not found: scripts/system_packages.sh" if absent else ""


def require_hosts() -> None:
    """Skip the test with the reason; in CI fail, since whoever reads that it passed must know that it ran."""
    if lacking := missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lacking)


@dataclass(frozen=True)
class Machine:
    """A running host. `pid` is its PID 1 as seen from here; `ssh_options` are what `ssh` needs to log in."""

    name: str
    address: str
    pid: int
    ssh_options: tuple[str, ...]

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command on the host as root, not over the network; return its standard output.

        Raises RuntimeError with the command's words where it fails and `check` is set.
        """
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


@contextmanager
def boot(name: str, network: Network, number: int) -> Iterator[Machine]:
    """Boot a host with the address `network.prefix` + `number`; it loses its power when the context ends.

    Raises RuntimeError, with what the host said, where it is not up within a minute.
    """
    _remove_abandoned()
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=SCRATCH))
    cgroup = directory.name
    address = f"{network.prefix}{number}"
    try:
        (directory / "disk").mkdir()
        options = _write_files(directory, name, address)
        with (
            (directory / "console").open("w+") as console,
            _power(directory, cgroup, console) as pid,
        ):
            _plug_in(pid, network, address)
            machine = Machine(name, address, pid, options)
            try:
                _wait_until_up(machine)
            except RuntimeError as error:
                console.seek(0)
                raise RuntimeError(f"{error}\n{console.read()}{_journal(machine)}") from error
            yield machine
    finally:
        _remove_cgroup(cgroup)
        shutil.rmtree(directory)


def _write_files(directory: Path, name: str, address: str) -> tuple[str, ...]:
    """Write what makes this host different from others, and keys for this run alone; return ssh's options."""
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
    return (
        "-F", "none",
        "-o", f"User={LOGIN}",
        "-o", f"IdentityFile={directory / 'id'}",
        "-o", "IdentitiesOnly=yes",
        "-o", f"UserKnownHostsFile={directory / 'known_hosts'}",
        "-o", "StrictHostKeyChecking=yes",
    )  # fmt: skip


@contextmanager
def _power(directory: Path, cgroup: str, console: object) -> Iterator[int]:
    """Start the host's PID 1; yields its pid as seen from here. It ends by SIGKILL, at the latest with this thread."""
    base = base_tree()
    namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child=KILL"]
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, str(INIT), str(base), str(directory), cgroup],
        stdin=subprocess.DEVNULL,
        stdout=console,  # type: ignore[arg-type]
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    pidfd = -1
    try:
        pid = _child(process)
        pidfd = os.pidfd_open(pid)
        yield pid
    finally:
        if pidfd >= 0:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            # Readable once the process is gone, and with it every other of the host.
            select.select([pidfd], [], [], 20)
            os.close(pidfd)
        process.kill()
        process.wait(timeout=20)


def _child(process: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        found = children.read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.01)
    raise RuntimeError(f"unshare made no host (exit status {process.poll()})")


def _plug_in(pid: int, network: Network, address: str) -> None:
    cable = f"tk{pid}"
    ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    ip("link", "set", cable, "master", network.bridge, "up")
    ip("link", "set", "lo", "up", inside=pid)
    ip("addr", "add", f"{address}/24", "dev", "eth0", inside=pid)
    ip("link", "set", "eth0", "up", inside=pid)


def _wait_until_up(machine: Machine) -> None:
    """Return once sshd greets and systemd has started all there is to start."""
    until = time.monotonic() + BOOT_SECONDS
    state = ""
    while time.monotonic() < until:
        if not Path(f"/proc/{machine.pid}").exists():
            raise RuntimeError(f"{machine.name} ended while it booted")
        if _greets(machine.address):
            state = machine.run("systemctl", "is-system-running", check=False).strip()
            if state in ("running", "degraded"):
                return
        time.sleep(0.05)
    raise RuntimeError(f"{machine.name} is {state or 'silent'} after {BOOT_SECONDS} s")


def _greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False


def _journal(machine: Machine) -> str:
    try:
        return machine.run("journalctl", "--no-pager", "--lines=60", check=False)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        return str(error)


def _remove_abandoned() -> None:
    """Remove what a killed run could not; its hosts have ended with it."""
    for directory in SCRATCH.glob(f"{PREFIX}*-*"):
        owner = directory.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            _remove_cgroup(directory.name)
            shutil.rmtree(directory, ignore_errors=True)


def _remove_cgroup(name: str) -> None:
    """Remove the host's empty cgroups, through a mount of the hierarchy that nobody else sees."""
    script = (
        'mount --make-rprivate / && mount -t cgroup2 cgroup2 /mnt && cd "/mnt/$1" 2>/dev/null || exit 0; '
        'for _ in $(seq 100); do find "/mnt/$1" -depth -type d -exec rmdir {} + 2>/dev/null; '
        '[ -d "/mnt/$1" ] || exit 0; sleep 0.02; done; exit 1'
    )
    subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", name], check=True, timeout=20)
