"""A host over SSH: OpenSSH's own client, with one shared connection for a whole command.

The first process to connect becomes the master. Later ones, Ansible's included, then connect in milliseconds.
"""

from __future__ import annotations

import functools
import hashlib
import io
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import toolkit.hostside
from toolkit.adapters.disk import sockets_of
from toolkit.adapters.hosts.become import as_root, sudo_input
from toolkit.adapters.hosts.refusals import pauses, refuses_for_now
from toolkit.adapters.hosts.ssh_faults import host_error
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

HOSTSIDE = Path(toolkit.hostside.__file__).parent
CONNECT_SECONDS = 10
# A host without power is detected after interval x (count + 1) seconds of silence. Frequent questions and a late
# decision keep that time short without losing a slow host: it must miss four answers in a row, and any other data
# counts as an answer. sshd itself answers, and a busy engine (nice 10) does not delay it. A signal of the toolkit's own
# would come from Python, and so later where memory or disk are short.
_ALIVE_SECONDS = 2
_ALIVE_COUNT = 4
_NO_CONNECTION = 255
# sshd answers even where the login's shell, sudo or disk hangs, so keep-alives do not notice. Placing the host's side
# takes a second.
RUN_SECONDS = 120.0
_TICK_SECONDS = 0.2
_TUNNEL_ATTEMPTS = 3


def master_options(host: Host, scratch: Path) -> tuple[str, ...]:
    """Return ssh's options for `host`, with a master connection whose socket lies in `scratch`, see `sockets_of`.

    The master stays for a minute after its last use. Ten seconds of silence from the host end the connection.
    """
    return (
        *host.ssh_options,
        "-o", "BatchMode=yes",
        "-o", f"ConnectTimeout={CONNECT_SECONDS}",
        "-o", f"ServerAliveInterval={_ALIVE_SECONDS}",
        "-o", f"ServerAliveCountMax={_ALIVE_COUNT}",
        "-o", "ControlMaster=auto",
        "-o", "ControlPersist=60",
        "-o", f"ControlPath={sockets_of(scratch)}/%C",
    )  # fmt: skip


def root_command(host: Host, scratch: Path, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs `argv` as root on `host`."""
    return ["ssh", *master_options(host, scratch), host.address, as_root(host, argv)]


def place_hostside(host: Host, scratch: Path, sleep: Callable[[float], None] = time.sleep) -> str:
    """Put the host's side of the toolkit on `host` unless it is there; return its directory on the host.

    The directory is named after its content, so that ops machines with different versions do not share it.
    Between tries to connect to a host that refuses for now it pauses by `sleep`. Raises HostError with the words of ssh
    or sudo.
    """
    final = hostside_path(host)
    first = sudo_input(host)
    done = _run(root_command(host, scratch, ["test", "-d", final]), first, sleep)
    if done.returncode == 0:
        return final
    if done.returncode == _NO_CONNECTION:
        raise _refused(host, done)
    script = (
        'umask 022 && mkdir -p "${1%/*}" && new=$(mktemp -d "$1.XXXXXX") && chmod 755 "$new" && tar -x -C "$new" '
        # A host that loses its power must not keep the directory's name and empty files.
        '&& find "$new" -exec sync {} + '
        # Another ops machine may have placed it meanwhile.
        '&& { mv -T "$new" "$1" 2>/dev/null || { rm -rf "$new"; test -d "$1"; }; }'
    )
    argv = root_command(host, scratch, ["sh", "-c", script, "sh", final])
    done = _run(argv, first + _archive(), sleep)
    if done.returncode:
        raise _refused(host, done)
    return final


def renew_hostside(
    host: Host, scratch: Path, damaged: Sequence[str], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Put the host's side of this toolkit on `host` anew, and remove the `damaged` copies of other ones, by name.

    A command that finds none for a moment places it itself. Raises HostError with the words of ssh or sudo.
    """
    final = hostside_path(host)
    script = (
        'umask 022 && final=$1 && shift && mkdir -p "${final%/*}" && new=$(mktemp -d "$final.XXXXXX") '
        '&& chmod 755 "$new" && tar -x -C "$new" && find "$new" -exec sync {} + '
        '&& old=$(mktemp -d "$final.XXXXXX") && { test ! -e "$final" || mv -T "$final" "$old/was"; } '
        # Another command may have placed it meanwhile.
        '&& { mv -T "$new" "$final" 2>/dev/null || rm -rf "$new"; } && rm -rf "$old" '
        '&& for name; do rm -rf "${final%/*}/$name" || exit; done'
    )
    others = [name for name in damaged if name != final.rpartition("/")[2]]
    command = root_command(host, scratch, ["sh", "-c", script, "sh", final, *others])
    done = _run(command, sudo_input(host) + _archive(), sleep)
    if done.returncode:
        raise _refused(host, done)


def require_answer(host: Host, scratch: Path, sleep: Callable[[float], None]) -> None:
    """Raise HostError where `host` does not run a command that does nothing, within RUN_SECONDS."""
    done = _run(root_command(host, scratch, ["true"]), sudo_input(host), sleep)
    if done.returncode:
        raise _refused(host, done)


def hostside_path(host: Host) -> str:
    """Return the directory of the host's side of this toolkit on `host`, whether it exists or not."""
    return f"{host.root}/bin/hostside-{_digest()}"


@contextmanager
def tunnel(host: Host, scratch: Path, port: int) -> Iterator[int]:
    """Yield a loopback port of this machine that leads to the loopback `port` of the host, by the shared connection.

    Raises HostError where the host's sshd allows no tunnels.
    """
    for attempt in range(_TUNNEL_ATTEMPTS):
        with socket.create_server(("127.0.0.1", 0)) as free:
            local = free.getsockname()[1]
        words = ["-L", f"127.0.0.1:{local}:127.0.0.1:{port}", host.address]
        options = master_options(host, scratch)
        done = _run(["ssh", *options, "-O", "forward", *words], b"")
        if done.returncode == 0:
            break
        # Another process may have taken the port.
        if attempt == _TUNNEL_ATTEMPTS - 1:
            raise _refused(host, done)
    try:
        yield local
    finally:
        _run(["ssh", *options, "-O", "cancel", *words], b"")


def _refused(host: Host, done: subprocess.CompletedProcess[bytes]) -> HostError:
    return host_error(host, done.stderr.decode(errors="replace"), done.returncode)


def _run(
    argv: Sequence[str], text: bytes, sleep: Callable[[float], None] = time.sleep
) -> subprocess.CompletedProcess[bytes]:
    """Run ssh to its end, for RUN_SECONDS at most; `sleep` raises where the command was interrupted."""
    tries = pauses()
    while True:
        done = _run_once(argv, text, sleep)
        again = refuses_for_now(done.stderr.decode(errors="replace"), done.returncode)
        pause = next(tries, None) if again else None
        if pause is None:
            return done
        sleep(pause)


def _run_once(
    argv: Sequence[str], text: bytes, sleep: Callable[[float], None]
) -> subprocess.CompletedProcess[bytes]:
    until, pipe = time.monotonic() + RUN_SECONDS, subprocess.PIPE
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    said: list[tuple[bytes, bytes]] = []
    # In a thread: the library's own time limit loses the rest of what is to be sent.
    talk = threading.Thread(target=lambda: said.append(process.communicate(text)), daemon=True)
    talk.start()
    try:
        while True:
            talk.join(_TICK_SECONDS)
            if said:
                return subprocess.CompletedProcess(argv, process.returncode, *said[0])
            if time.monotonic() > until:
                words = f"it did not answer within {RUN_SECONDS:.0f} s".encode()
                return subprocess.CompletedProcess(argv, _NO_CONNECTION, b"", words)
            sleep(0)
    finally:
        process.kill()
        talk.join(_TICK_SECONDS)


@functools.cache
def _texts() -> tuple[tuple[str, bytes], ...]:
    """Return name and text of each file of the host's side."""
    return tuple((file.name, file.read_bytes()) for file in sorted(HOSTSIDE.glob("*.py")))


@functools.cache
def _digest() -> str:
    """Return a digest of the names and texts of the host's side."""
    summary = hashlib.sha256()
    for name, text in _texts():
        summary.update(f"{name}\0{len(text)}\0".encode() + text)
    return summary.hexdigest()[:16]


@functools.cache
def _archive() -> bytes:
    """Return the host's side as a tar archive."""
    # Here and not above: most commands find the host's side in its place, and connect before all else.
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in _texts():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text))
    return packed.getvalue()
