"""Talk to HAProxy's master process: its workers, their servers, a reload.

After a reload the former worker stays until its last stream has ended, and serves one more request of each client
whose connection was idle. So questions and commands go to every worker, not only to the newest.
"""

from __future__ import annotations

import contextlib
import csv
import os
import re
import socket
import time
from collections.abc import Iterator

import bounds
from directory import Directory, NotSafe, connectable
from processes import command_line
from wire import Document, Servers

TIMEOUT = 5.0
# A master that replaces itself takes connections again within a second, or several on a busy machine.
REPLACED_SECONDS = 20.0
# A reload that has not begun by then was lost.
LOST_SECONDS = 1.0
# A master that has run for less may still make its socket.
_BEGUN_SECONDS = 5.0
# The names of backends that take no requests begin with this: each tells whether one target may get new ones.
INDICATOR = "up."
_MOST_BYTES = 64 * 2**20


class RouterError(Exception):
    """The router refused something or did not do it in time."""


class RouterDown(RouterError):
    """Nothing answers on the master socket."""


def processes(directory: str) -> Document:
    """Return {"version": str, "master": pid, "reloads": int, "failed": int, "current": [pid], "old": [pid]}.

    After a reload that failed, the workers from before are the current ones. Raises RouterDown where no router runs.
    """
    text = _ask(directory, "show proc")
    with _understood():
        return _processes(text)


def _processes(text: str) -> Document:
    found: Document = {"version": "", "master": 0, "reloads": 0, "failed": 0}
    workers: dict[int, list[int]] = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 4 or not fields[0].isdecimal():
            continue
        if fields[1] == "master":
            found["version"], found["master"] = fields[-1], int(fields[0])
            found["reloads"] = int(fields[2])
            failed = re.search(r"failed: (\d+)", line)
            found["failed"] = int(failed.group(1)) if failed else 0
        elif fields[1] == "worker":
            workers.setdefault(int(fields[2]), []).append(int(fields[0]))
    newest = min(workers, default=0) if found["failed"] else 0
    found["current"] = workers.pop(newest, [])
    found["old"] = [pid for pids in workers.values() for pid in pids]
    return found


def servers(directory: str, pid: int) -> Servers | None:
    """Return {backend: {server: {"weight", "status", "check", "code", "sessions", "bytes", "address",
    "algorithm"}}} of a worker. `code` is the status that its last check got, `bytes` what the server has answered.

    `algorithm` is how its backend balances. None where that worker is gone.
    """
    # backends and servers: 2 + 4; a backend's row comes after those of its servers
    text = _ask_worker(directory, pid, "show stat -1 6 -1")
    if text is None:
        return None
    with _understood():
        return _servers(text)


def _servers(text: str) -> Servers:
    found: Servers = {}
    # The watch looks twice a second, and in a large fleet half of the rows are indicators.
    rows = (line for line in text.lstrip("# ").splitlines() if not line.startswith(INDICATOR))
    for row in csv.DictReader(rows):
        if row["svname"] == "BACKEND":
            for server in found.get(row["pxname"], {}).values():
                server["algorithm"] = row["algo"]
            continue
        found.setdefault(row["pxname"], {})[row["svname"]] = {
            "weight": int(row["uweight"] or row["weight"]),
            "status": row["status"],
            "check": row["check_status"].lstrip("* "),
            "code": row["check_code"],
            "sessions": int(row["scur"]),
            "bytes": int(row["bout"] or 0),
            "address": row["addr"],
            "algorithm": "",
        }
    return found


def counters(directory: str, pid: int) -> list[dict[str, str]]:
    """Return a worker's counts of each server, by HAProxy's own names; nothing where that worker is gone."""
    text = _ask_worker(directory, pid, "show stat -1 4 -1") or ""
    with _understood():
        return list(csv.DictReader(text.lstrip("# ").splitlines()))


def answered(directory: str) -> int | None:
    """Return how many requests of clients the workers that run have answered well; None where no router runs."""
    try:
        found = processes(directory)
    except RouterDown:
        return None
    total = 0
    for pid in found["current"] + found["old"]:
        # frontends: 1
        text = _ask_worker(directory, pid, "show stat -1 1 -1") or ""
        with _understood():
            for row in csv.DictReader(text.lstrip("# ").splitlines()):
                total += int(row["hrsp_2xx"] or 0) if row["pxname"] == "api" else 0
    return total


def frontend(directory: str, pid: int, name: str) -> dict[str, int]:
    """Return a worker's figures of a frontend, by HAProxy's own names; nothing where that worker is gone."""
    text = _ask_worker(directory, pid, "show stat -1 1 -1") or ""
    with _understood():
        rows = csv.DictReader(text.lstrip("# ").splitlines())
        found: dict[str, str] = next((row for row in rows if row["pxname"] == name), {})
        return {key: int(value) for key, value in found.items() if value and value.isdecimal()}


def lost_lines(directory: str, pid: int) -> int:
    """Return how many lines of its log a worker has lost since its start: whoever takes them did not keep up."""
    text = _ask_worker(directory, pid, "show info") or ""
    found = re.search(r"^DroppedLogs: (\d+)", text, re.MULTILINE)
    return int(found.group(1)) if found else 0


def table(directory: str, pid: int, name: str, field: str, least: int = 0) -> dict[str, int]:
    """Return {key: value} of the entries of a worker's table whose `field` is `least` or more.

    A key that is an address of IPv4 has that form.
    """
    text = _ask_worker(directory, pid, f"show table {name} data.{field} ge {least}") or ""
    form = rf" key=(?:::ffff:)?(\S+) .*\b{field}(?:\(\d+\))?=(\d+)"
    return {key: int(value) for key, value in re.findall(form, text)}


def unanswered(directory: str, pid: int) -> dict[str, int]:
    """Return {backend: requests} that a worker has ended without an answer; nothing where that worker is gone.

    They have no line in its log, see `unanswered.py`. One that ends just now may count too early.
    """
    # backends: 2
    text = _ask_worker(directory, pid, "show stat -1 2 -1") or ""
    with _understood():
        rows = csv.DictReader(text.lstrip("# ").splitlines())
        # Of each request a backend counts the begin, and the end where a status was sent.
        names = ("stot", "req_tot", "scur")
        counts = {row["pxname"]: [int(row[each] or 0) for each in names] for row in rows}
    return {name: max(0, all - ended - now) for name, (all, ended, now) in counts.items()}


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Raise RouterError where an answer is none of HAProxy's, or is cut short."""
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, csv.Error) as error:
        words = f"{type(error).__name__}: {error}"[: bounds.WORDS]
        raise RouterError(f"the router answers as no HAProxy does: {words}") from None


def uploading(directory: str, pid: int) -> dict[str, str]:
    """Return {id: address} of a worker's streams whose requests are not whole yet."""
    text = _ask_worker(directory, pid, "show sess all") or ""
    form = r"^(0x[0-9a-f]+): \[[^]\n]*\] id=(\d+) (?:.*\n )*? txn=.* req\.st=MSG_DATA "
    return {each: address for address, each in re.findall(form, text, re.MULTILINE)}


def tell(directory: str, pid: int, commands: list[str]) -> list[str]:
    """Send the commands to the worker `pid` in their order; return its complaints.

    A worker that has ended meanwhile has no complaints.
    """
    complaints = []
    for command in commands:
        answer = (_ask_worker(directory, pid, command) or "").strip()
        if answer:
            complaints.append(f"{command}: {answer}")
    return complaints


def read_map(directory: str, pid: int, name: str) -> dict[str, str] | None:
    """Return the entries of the map `name` in the worker `pid`; None where it has no such map."""
    answer = _ask_worker(directory, pid, f"show map {name}")
    if answer is None or answer.startswith("Unknown map"):
        return None
    rows = [line.split(None, 2) for line in answer.splitlines() if line.strip()]
    return {row[1]: row[2] for row in rows if len(row) == 3}


def set_map(directory: str, pid: int, name: str, entries: dict[str, str]) -> bool:
    """Replace the entries of the map `name` in the worker `pid` by `entries`, all at once.

    Returns False where the worker has no such map. A worker that has ended meanwhile counts as done. Raises
    RouterError where the worker refuses.
    """
    has = read_map(directory, pid, name)
    if has is None:
        return _ask_worker(directory, pid, "show info") is None
    if has == entries:
        return True
    answer = _ask_worker(directory, pid, f"prepare map {name}")
    if not answer and not _answers(directory, [pid]):
        return True
    version = (answer or "").rpartition(":")[2].strip()
    if not version.isdecimal():
        raise RouterError(f"the router prepares no new {name}: {answer}")
    commands = [f"add map @{version} {name} {key} {value}" for key, value in entries.items()]
    complaints = tell(directory, pid, [*commands, f"commit map @{version} {name}"])
    if not complaints and read_map(directory, pid, name) not in (entries, None):
        complaints = ["it holds something else afterwards"]
    # A command whose answer was lost came twice, and then there is nothing left to commit.
    if complaints and read_map(directory, pid, name) != entries and _answers(directory, [pid]):
        raise RouterError(f"the router does not follow {name}: " + "; ".join(complaints))
    return True


def reload(directory: str, timeout: float = 20.0) -> None:
    """Make the master read its files again; return once the new worker runs, within `timeout` seconds.

    Raises RouterError where the new worker does not come up; the former one goes on serving.
    """
    before, asked = processes(directory), -LOST_SECONDS
    until = time.monotonic() + timeout
    while (now := time.monotonic()) < until:
        # Another reload, which the master has just begun, drops this one without a word.
        if asked + LOST_SECONDS < now:
            with contextlib.suppress(RouterError):
                _asked(directory, "reload")
            asked = time.monotonic()
        # While it replaces itself, or starts anew, it answers late or not at all.
        with contextlib.suppress(RouterError):
            seen = processes(directory)
            # A master that started since has read the files, too, and counts from 0.
            new = seen["master"] != before["master"] or seen["reloads"] > before["reloads"]
            if seen["master"] == before["master"] and seen["failed"] > before["failed"]:
                break
            if new and _answers(directory, seen["current"]):
                return
            if new:
                asked = until
        time.sleep(0.01)
    else:
        raise RouterError(f"the router did not reload within {timeout:.0f} s")
    raise RouterError("the router refused its new files; the former ones serve")


def _answers(directory: str, pids: list[int]) -> bool:
    return bool(pids) and all(_ask_worker(directory, pid, "show info") for pid in pids)


def _ask_worker(directory: str, pid: int, command: str) -> str | None:
    """Return the worker's answer, or None where the worker is gone."""
    answer = _ask(directory, f"@!{pid} {command}")
    if answer.startswith(("Can't find the target", "Can't connect to the target")):
        return None
    return answer


def _answer(connection: socket.socket) -> str:
    """Read the answer to its end; raises socket.timeout where it has none in time or within bounds."""
    chunks: list[bytes] = []
    until, left = time.monotonic() + 4 * TIMEOUT, _MOST_BYTES
    while chunk := connection.recv(65536):
        chunks.append(chunk)
        left -= len(chunk)
        if left < 0 or time.monotonic() > until:
            raise socket.timeout
    return b"".join(chunks).decode(errors="replace")


def _connect(connection: socket.socket, directory: str) -> None:
    """Connect to the master's socket. It is root's own, but a router of an older toolkit has it beside its files."""
    for place in (control(directory), sockets(directory), directory):
        with contextlib.suppress(FileNotFoundError, NotSafe), Directory(place) as opened:
            handle = connectable(os.path.join(place, "master.sock"), (0, opened.owner))
            try:
                connection.connect(f"/proc/self/fd/{handle}")
                return
            finally:
                os.close(handle)
    raise FileNotFoundError


def control(directory: str) -> str:
    """Return the directory of the router's control socket, which root alone may enter."""
    return os.path.join(os.path.dirname(directory), "control")


def sockets(directory: str) -> str:
    """Return the directory of the router's sockets, the only one that its user writes to."""
    return os.path.join(os.path.dirname(directory), "sockets")


def _ask(directory: str, command: str) -> str:
    """Return the answer to a command, which may be carried out twice.

    The shortest answer is an empty line: a master that replaces itself at a reload drops the connections that it has
    taken, without a word, and whether it has passed the command on does not show.
    """
    until = time.monotonic() + REPLACED_SECONDS
    while not (answer := _asked(directory, command)):
        if time.monotonic() > until:
            raise RouterError(f"the router gives no answer to {command!r}")
        time.sleep(0.01)
    return answer


def _asked(directory: str, command: str) -> str:
    """Return the answer to a command, or nothing where the master dropped the connection."""
    if "\n" in command or ";" in command:
        raise RouterError(f"not one command: {command!r}")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        try:
            _connect(connection, directory)
            connection.sendall(command.encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)
            return _answer(connection)
        except (socket.timeout, BlockingIOError):
            # A master that takes no connections has its queue full, after which the kernel refuses at once.
            raise RouterError(
                f"the router did not answer {command!r} within {TIMEOUT:.0f} s"
            ) from None
        except (FileNotFoundError, ConnectionRefusedError):
            if _is_cut_off(directory):
                words = "runs, and its control socket is gone; only its restart brings it back"
                raise RouterError(f"the router {words}") from None
            raise RouterDown(f"no router answers in {control(directory)}") from None
        except ConnectionError:
            return ""


def _is_cut_off(directory: str) -> bool:
    """Whether a router serves though nothing listens at its control socket: somebody has removed that.

    A master has workers, unlike the workers that a killed one leaves for a moment, and has had the time to begin.
    """
    parents = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        # A process that has ended meanwhile.
        with contextlib.suppress(OSError, IndexError):
            if _is_router(name, directory):
                parents[name] = _stat(name)[1]
    masters = {parent for parent in parents.values() if parent in parents}
    with contextlib.suppress(OSError, IndexError):
        return any(_age(each) > _BEGUN_SECONDS for each in masters)
    return False


def _is_router(pid: str, directory: str) -> bool:
    """Whether a process has the router's command line; one of another user may have any that it likes."""
    words = command_line(int(pid))
    if "-S" not in words or os.path.join(directory, "haproxy.cfg") not in words:
        return False
    seen = os.stat(f"/proc/{pid}")
    return seen.st_uid == 0 or seen.st_gid == os.stat(directory).st_gid


def _age(pid: str) -> float:
    """Return the seconds since the start of a process."""
    began = int(_stat(pid)[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began


def _stat(pid: str) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on, the state."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].decode().split()
