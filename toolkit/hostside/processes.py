"""The state of a replica's process, from systemd where it runs, else from supervisord."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import time
from collections.abc import Iterable, Sequence
from typing import Dict, Tuple

from directory import read_text
from wire import Document

# A systemd that replaces itself answers again within a second, or in a few on a busy host.
ANSWER_SECONDS = 10.0
_LONGEST_SECONDS = 60
# Bytes of a command line that are read. A replica may have thousands of processes with lines of millions, and those of
# another user may be as long as they like.
_LINE_BYTES = 2**15
# Seconds for which the memory of processes is counted exactly: that takes long where one has many mappings.
EXACT_SECONDS = 5.0
# Thread -> the seconds for which it ran, and for which it stood in line for a processor.
ThreadTimes = Dict[str, Tuple[float, float]]


def init_system() -> str:
    """Return `systemd` or `supervisord`."""
    return "systemd" if os.path.isdir("/run/systemd/system") else "supervisord"


def states(root: str, programs: Sequence[str]) -> list[Document]:
    """Return the `state` of each program: systemd is asked once for all."""
    if init_system() == "systemd" and programs:
        return _systemd([_unit(root, each) for each in programs])
    return [state(root, each) for each in programs]


def state(root: str, program: str) -> Document:
    """Return {"state": running|stopped|failed|absent, "pid": int, "started_at": float or None}."""
    if init_system() == "systemd":
        return _systemd([_unit(root, program)])[0]
    # Import it only here: its modules take longer to load than everything that a host with systemd needs.
    import supervisord

    try:
        found = supervisord.state(os.path.join(root, "supervisor", "supervisor.sock"), program)
    except supervisord.Silent:
        # Its programs live on, and the watch starts it again.
        pid = _beside(root, program)
        return {
            "state": "running" if pid else "absent",
            "pid": pid,
            "started_at": _started_at(pid),
        }
    # After a supervisord was killed, the script that it runs only stays beside the one that has the replica.
    if found["pid"] and (pid := _beside(root, program)) not in (0, found["pid"]):
        return {**found, "pid": pid, "started_at": _started_at(pid)}
    return found


@functools.lru_cache(maxsize=1)
def boot() -> str:
    """Return a word that is another one after each boot of the host, also where the host is a container."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            kernel = file.read().strip()
    except OSError:
        kernel = "unknown"
    return "%s-%s" % (kernel, _ticks_of_first())


def _ticks_of_first() -> str:
    """Return the ticks at the start of the first process: a container that starts again keeps its kernel's boot."""
    return str(_ticks(1) or 0)


def started(pid: int) -> str:
    """Return the identity of a process: boot, pid and the ticks at its start; empty where it has ended."""
    fields = _fields(pid)
    return "" if not fields or fields[0] in "ZX" else f"{boot()} {pid} {fields[19]}"


def is_stopped(pid: int) -> bool:
    """Whether somebody has stopped a process by a signal (SIGSTOP), and no debugger holds it."""
    return _fields(pid)[:1] == ["T"]


def _fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on, the state; none where the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return []


class Family:
    """The children of each process of this host, as they are at the first question: one look at the host asks often."""

    def __init__(self) -> None:
        self._children: dict[int, list[int]] | None = None

    def children(self, pid: int) -> Iterable[int]:
        """Return the pids of the children of a process."""
        if self._children is None:
            self._children = children()
        return self._children.get(pid, ())


def children() -> dict[int, list[int]]:
    """Return {pid: pids of its children} of all processes of this host."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            # Without a buffer and the other fields, because there may be thousands of them.
            try:
                with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                    parent = int(file.read().rpartition(b")")[2].split(None, 2)[1])
            except (OSError, IndexError):
                continue
            found.setdefault(parent, []).append(int(name))
    return found


def resident(pid: int, family: Family | None = None) -> int:
    """Return the bytes of memory that the process and its descendants use (PSS).

    Where that takes more than five seconds, each process that is left counts with all of its pages that are no file's.
    """
    until = time.monotonic() + EXACT_SECONDS
    found = tree(pid, family)
    return sum(_memory(each) if time.monotonic() < until else _own_memory(each) for each in found)


def tree(pid: int, family: Family | None = None) -> list[int]:
    """Return the pids of the process and its descendants; `family` are those of the same look, else as they are now."""
    family = family or Family()
    found, rest = [], [pid] if pid else []
    while rest:
        each = rest.pop()
        found.append(each)
        rest.extend(family.children(each))
    return found


def run_times(
    pid: int, core: str, *, alone: bool, family: Family | None = None
) -> dict[int, ThreadTimes]:
    """Return the times of the threads of each computing process below `pid`.

    They have `core` in their command line; without such a process, all descendants count. With `alone` all of the tree
    counts, as `pid` does where it has no descendant. `family` is as for `tree`.
    """
    found = tree(pid, family)
    below = found[1:]
    if not alone and below:
        found = [each for each in below if computes(each, core)] or below
    return {each: _thread_times(each) for each in found}


def computes(pid: int, core: str) -> bool:
    """Whether a process has the name `core` of those that compute in its command line."""
    return bool(core) and core in " ".join(command_line(pid))


def ranks(pids: Iterable[int], differ: str) -> list[list[int]]:
    """Return the groups of those processes whose command lines differ in the pattern `differ` alone."""
    found: dict[str, list[int]] = {}
    for pid in pids:
        name, count = re.subn(differ, "", " ".join(command_line(pid)))
        if count:
            found.setdefault(name, []).append(pid)
    return list(found.values())


def command_line(pid: int) -> list[str]:
    """Return the words of a process's command line, of a long one the first; none where the process is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(_LINE_BYTES).decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def waits(pid: int) -> bool:
    """Whether a process is what runs in the place of a replica that sleeps: the start of its slot becomes it."""
    return command_line(pid) == ["sleep", "infinity"]


def identity(pid: int) -> str:
    """Return the identity of a process, which a later one with its number lacks: number and ticks of the start.

    It is `0` where there is none.
    """
    return f"{pid} {ticks}" if (ticks := _ticks(pid)) is not None else "0"


def _thread_times(pid: int) -> ThreadTimes:
    """Return the times of a process's threads (sched-stats: the first two fields, in ns)."""
    found: ThreadTimes = {}
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                ran, waited = file.read().split()[:2]
                found[thread] = int(ran) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        pass  # it ended, or one of its threads did
    return found


def _memory(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _own_memory(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as file:
            _, present, shared = map(int, file.read().split()[:3])
    except (OSError, ValueError):
        return 0
    return (present - shared) * os.sysconf("SC_PAGE_SIZE")


def _beside(root: str, program: str) -> int:
    """Return the pid of the start script that has the replica of a slot; 0 where none runs."""
    start = os.path.join(root, "slots", program, "start")
    text = (read_text(f"{start}.pid") or "").strip()
    if not text.isdecimal() or start not in command_line(int(text)):
        return 0
    # A replica can get the number of a script that has ended, and give itself its words.
    return int(text) if _owner(int(text)) in (0, os.geteuid()) else 0


def _owner(pid: int) -> int:
    """Return the user of a process; -1 where it has ended."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def _unit(root: str, program: str) -> str:
    # The root is part of the unit's name, so that two roots of one machine have separate units.
    return f"{os.path.basename(os.path.normpath(root))}-{program}.service"


def _systemd(units: Sequence[str]) -> list[Document]:
    fields = "LoadState,ActiveState,SubState,MainPID,ActiveEnterTimestampMonotonic"
    shown = _asked(["systemctl", "show", *units, "--property", fields])
    # The properties of each unit, in the order of the question, with an empty line between two.
    parts = shown.strip().split("\n\n")
    if len(parts) != len(units):
        raise OSError(f"systemctl tells of {len(parts)} units and not of {len(units)}")
    return list(map(_state_in, parts, units))


def _state_in(shown: str, unit: str) -> Document:
    """Return the state in what systemctl shows of a unit."""
    values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    active, sub = values.get("ActiveState"), values.get("SubState")
    if values.get("LoadState") == "not-found":
        word = "absent"
    elif active == "failed" or sub == "auto-restart":
        word = "failed"
    elif active in ("active", "activating"):
        word = "running"
    else:
        word = "stopped"
    number = values.get("MainPID") or "0"
    if not re.fullmatch("[0-9]{1,10}", number):
        raise OSError(f"systemctl names no process of {unit}: {number[:100]!r}")
    pid = int(number)
    return {"state": word, "pid": pid, "started_at": _started_at(pid)}


def _asked(argv: list[str]) -> str:
    """Return the output of a command; raises OSError with its words where it goes on failing, or does not end.

    A systemd that replaces itself drops questions. To take that for an answer would end what serves.
    """
    until = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
                timeout=_LONGEST_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise OSError(f"{argv[0]} did not end within {_LONGEST_SECONDS} s") from None
        if done.returncode == 0:
            return done.stdout
        if time.monotonic() > until:
            raise OSError(f"{argv[0]}: {done.stderr.strip()[-400:]}")
        time.sleep(0.05)


def _started_at(pid: int) -> float | None:
    """Return the epoch time at which the process started."""
    ticks = _ticks(pid)
    if ticks is None:
        return None
    try:
        with open("/proc/stat") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith("btime"))
    except (OSError, IndexError, ValueError, StopIteration):
        return None
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int | None:
    """Return the ticks from the boot to the start of the process (proc(5): field 22 of stat)."""
    fields = _fields(pid)
    return int(fields[19]) if len(fields) > 19 else None
