"""A host's disk and its power: the disk is there before the first boot and outlives every power cut."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fleet.base import base_tree

HERE = Path(__file__).parent
# What is left to a host's disk by default. It is memory, but only what is written takes any.
DISK_BYTES = 8 * 2**30
# Processes end with the thread that started them (PR_SET_PDEATHSIG), so all are started by one that stays.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


@dataclass(frozen=True)
class Disk:
    """A file system at `directory`/disk in the mount namespace of the process `holder`."""

    directory: Path
    holder: int
    size: int

    def enter(self) -> list[str]:
        """Return the words before a command that is to see the disk."""
        return ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt"]

    def shrink(self, left: int) -> None:
        """Take away what is free but for `left` bytes."""
        for attempt in range(5):
            try:
                self.resize(self._used() + left)
                return
            except subprocess.CalledProcessError:
                # Somebody wrote in between, and a disk gets no smaller than what is on it.
                if attempt == 4:
                    raise

    def resize(self, size: int) -> None:
        """Give the disk another size in bytes; not less than is used."""
        change = ["mount", "-o", f"remount,size={size}", f"{self.directory}/disk"]
        subprocess.run([*self.enter(), *change], check=True, capture_output=True, timeout=20)

    def _used(self) -> int:
        words = [*self.enter(), "df", "--block-size=1", "--output=used", f"{self.directory}/disk"]
        shown = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout
        return int(shown.split()[-1])


@contextmanager
def new_disk(directory: Path, size: int) -> Iterator[Disk]:
    """Make a disk of `size` bytes; it is gone with the context, or with this process."""
    (directory / "disk").mkdir()
    words = ["unshare", "--mount", str(HERE / "disk.sh"), str(directory), str(size)]
    process = start(words, stdout=subprocess.PIPE, text=True)
    try:
        with process.stdout:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"no disk at {directory} (exit status {process.wait(20)})")
        yield Disk(directory, process.pid, size)
    finally:
        process.kill()
        process.wait(timeout=20)


class Supply:
    """The power of one host, off at first."""

    def __init__(self, disk: Disk, shares: Sequence[str]) -> None:
        """`shares` are SOURCE:TARGET, paths of this machine that the host sees, read-only."""
        self._disk, self._shares = disk, tuple(shares)
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self.pid = 0

    def on(self) -> None:
        """Start the host's PID 1; `pid` is its number as seen from here. It ends with this process at the latest."""
        if self._process is not None:
            raise RuntimeError(f"{self._disk.directory.name} has its power already")
        base, directory = base_tree(), self._disk.directory
        namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child=KILL"]
        init = [str(HERE / "init.sh"), "power", str(base), str(directory), directory.name]
        with (directory / "console").open("w") as console:
            self._process = start(
                [*self._disk.enter(), "unshare", *namespaces, *init, *self._shares],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.pid = _child(self._process)
            self._pidfd = os.pidfd_open(self.pid)
        except (OSError, RuntimeError) as error:
            self.off()
            raise RuntimeError(f"{error}\n{(directory / 'console').read_text()}") from error

    def off(self) -> None:
        """End PID 1, and with it every process of the host, by SIGKILL; return when all have ended."""
        if self._process is None:
            return
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            # Readable once the process is gone, and with it every other of the host.
            select.select([self._pidfd], [], [], 60)
            os.close(self._pidfd)
            # `unshare` sees its end and ends as well; until then it has a place in /proc.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=20)
        self._process.kill()
        self._process.wait(timeout=60)
        self._process, self._pidfd, self.pid = None, -1, 0
        remove_cgroup(self._disk.directory.name)


def start(words: Sequence[str], **more: Any) -> subprocess.Popen[Any]:
    """Start a process that ends with this one, however this one ends."""
    command = ["setpriv", "--pdeathsig", "KILL", *words]
    return _STARTER.submit(subprocess.Popen, command, **more).result()


def remove_cgroup(name: str) -> None:
    """Remove the host's empty cgroups, through a mount of the hierarchy that nobody else sees."""
    script = (
        'mount --make-rprivate / && mount -t cgroup2 cgroup2 /mnt && cd "/mnt/$1" 2>/dev/null || exit 0; '
        'for _ in $(seq 1000); do find "/mnt/$1" -depth -type d -exec rmdir {} + 2>/dev/null; '
        '[ -d "/mnt/$1" ] || exit 0; sleep 0.02; done; exit 1'
    )
    subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", name], check=True, timeout=60)


def remove_abandoned(scratch: Path, prefix: str) -> None:
    """Remove the directories PREFIX PID-* of runs that were killed; their hosts have ended with them."""
    for directory in scratch.glob(f"{prefix}*-*"):
        owner = directory.name.removeprefix(prefix).partition("-")[0]
        if not Path("/proc", owner).exists():
            remove_cgroup(directory.name)
            shutil.rmtree(directory, ignore_errors=True)


def _child(process: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        found = children.read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.01)
    raise RuntimeError(f"unshare made no host (exit status {process.poll()})")
