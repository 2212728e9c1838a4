"""Every way out that a compromised replica could try, under systemd and without it: all of them are shut."""

from __future__ import annotations

import hashlib
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.adapters.host_lab import ENGINE, HostLab
from tests.system.waiting import until
from toolkit.adapters.hosts.client import silent
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.hosts.facts import FENCES

# System calls of x86-64 by number: a filter refuses them before the kernel looks at their arguments.
TRACE = "call 101 16 {pid}"
UNSHARE_USER, CLONE_USER, SETNS = "call 272 268435456", "call 56 268435473 0 0 0 0", "call 308 0 0"
KEYRING, BPF, PERF, MOUNT = (
    "call 250 0 0 0",
    "call 321 0 0 0",
    "call 298 0 0 -1 -1 0",
    "call 165 0 0 0 0 0",
)
# What a ring does, no filter of calls sees: a socket of any family too.
IO_URING = "call 425 1 0"
USERFAULTFD = "call 323 1"
PING, UDP, UDP_LITE = "protocol 1", "protocol 17", "protocol 136"
UNIX_DATAGRAM, PACKET, RAW, VSOCK = "socket 1 2", "socket 17 3", "socket 2 3 1", "socket 40 1"
EXCHANGED = ("slots", "caches", "compiling")
OF_PROCESS = ("environ", "mem", "maps", "root/etc/passwd")
SYSTEM = ("write /etc", "write /usr/local/bin", "read /root/.bashrc", "write /var", "read /etc/shadow",
          "open /run/dbus/system_bus_socket")  # fmt: skip
# Keeps open to all users, by its name: sockets in two places and one without a file, a queue and two pieces of memory.
_LEAVES_OPEN = """
import ctypes, os, signal, socket, sys
name, key, kept = sys.argv[1], int(sys.argv[2]), []
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.umask(0)
places = [f"/run/{name}", f"/var/lib/{name}"]
system = ctypes.CDLL(None)
memory = system.shmget(key, 1, 0o1666)
assert memory >= 0 and system.syscall(240, name.encode(), os.O_RDWR | os.O_CREAT, 0o666, 0) >= 0
open(f"/dev/shm/{name}", "w").close()
# The last one says that all are there.
for address in (*places, "\\0" + name):
    kept.append(socket.socket(socket.AF_UNIX))
    kept[-1].bind(address)
    kept[-1].listen()
signal.sigwait({signal.SIGTERM})
for path in (*places, f"/dev/shm/{name}"):
    os.unlink(path)
system.shmctl(memory, 0, 0)
system.syscall(241, name.encode())
"""
_HELD = 'setsid /usr/bin/python3 -c "$1" "$2" "$3" >/dev/null 2>&1 & echo $!'
_SETUID = 'cp /usr/bin/id "$1" && chmod 4755 "$1"'


@pytest.fixture(params=["real", pytest.param("systemd", marks=pytest.mark.system)])
def lab(request: pytest.FixtureRequest) -> Iterator[HostLab]:
    """A host with a replica in blue, which tries to escape, and one in green, which it may not touch."""
    found: HostLab = request.getfixturevalue(f"{request.param}_host")
    found.empty(but_ready=True)
    found.ready()
    green = found.start("green")
    assert found.host.wait_ready(green, found.ports["green"], 120, silent).ok
    found.host.apply_keys(KeyRing())
    found.run("sh", "-c", _SETUID, "sh", _setuid(found))
    yield found
    found.run("rm", "-f", _setuid(found))


def test_every_way_out_of_a_replica_is_shut(lab: HostLab) -> None:
    root = lab.host.host.root
    green = lab.run("pgrep", "-o", "-f", f"serve .* --port {lab.ports['green']}").strip()
    router = lab.run("pgrep", "-o", "-f", f"haproxy -W.*{root}/router/").strip()
    files = [
        *(f"{root}/router/{name}" for name in ("keys.map", "keys.json", "haproxy.cfg")),
        *(f"{root}/logs/tiny-{slot}.log" for slot in ("blue", "green")),
        *(f"{root}/slots/tiny-{slot}/manifest.json" for slot in ("blue", "green")),
        f"{root}/slots/tiny-green/run",
        *(f"/proc/{pid}/{name}" for pid in (green, router) for name in OF_PROCESS),
    ]
    # They are there, for root. And any user but a fenced one becomes root by a setuid program.
    assert set(lab.run("ls", *files).split()) == set(files)
    unfenced = ("setpriv", "--reuid=65534", "--clear-groups")
    assert lab.run(*unfenced, _setuid(lab), "-u") == "0\n"
    places = [
        *("router", "control", "sockets", "logs", "slots", "slots/tiny-green", "slots/tiny-blue"),
        *("compiled", "compiling", "compiling/tiny-green"),
        *("caches", "caches/tiny-green", "snapshots", "engines", "supervisor", "bin", "."),
    ]
    calls = [TRACE.format(pid=green)]
    calls += [UNSHARE_USER, CLONE_USER, SETNS, KEYRING, BPF, PERF, MOUNT, IO_URING, USERFAULTFD]
    tries = [
        *(f"read {path}" for path in files),
        *(f"write {root}/{place}" for place in places),
        *(f"link /etc/passwd {root}/{place}/planted" for place in places),
        *(f"hardlink {path} {root}/caches/tiny-blue/planted" for path in ("/etc/passwd", files[0])),
        *(f"exchange {root}/{place}/tiny-blue {root}/{place}/tiny-green" for place in EXCHANGED),
        *(f"exchange {root}/compiling/here {root}/{place}" for place in ("router", "seals")),
        *(f"open /proc/{pid}/{name}" for pid in (green, router) for name in ("fd", "cwd")),
        *(f"open {root}/{name}" for name in ("control/master.sock", "sockets/named.sock")),
        f"open {root}/supervisor/supervisor.sock",
        *(f"{way} {pid}" for way in ("signal", "niceness") for pid in (green, router)),
        f"become {_setuid(lab)}",
        *(PACKET, RAW, VSOCK),
        # The log would become 2 TiB of holes, which its rotation copies.
        f"grow {2**41}",
        "terminal",
        *SYSTEM,
        # As a client of this host, past the limits of others; and past the router, where nobody asks for a key.
        *(f"connect {address} {port}" for address, port in _doors_of_others(lab)),
        # Another replica that starts again, or the router, is away for a moment: whoever listens in its place gets what
        # clients send to it.
        *(
            f"accept {address} {port}"
            for address in ("127.0.0.1", "::1")
            for port in _of_others(lab)
        ),
    ]
    with _listener(lab) as (address, port):
        # Others on this host get through.
        lab.run("bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}")
        datagrams = [f"{protocol} {address}" for protocol in (UDP, UDP_LITE)]
        past = "past 127.0.0.1"
        assert [_outside(lab, each) for each in (*datagrams, past)] == ["sent"] * 3
        calls += datagrams
        tries += [f"{PING} {address}", f"{UDP} 255.255.255.255", past, "past ::1"]
        tries += [f"connect {address} {port}", f"send {address} 53", "send 127.0.0.53 53"]
        said = {each: lab.ask("blue", each) for each in (*tries, *calls)}
    assert {way: words for way, words in said.items() if not words.startswith("refused")} == {}
    assert {way: said[way] for way in calls if "[Errno 1]" not in said[way]} == {}
    # The replica is well, and where a way is open it says so.
    assert lab.ask("blue", UNIX_DATAGRAM) == "through"
    assert lab.ask("blue", f"write {root}/caches/tiny-blue") == "written"
    assert lab.ask("blue", f"write {root}/compiling/here") == "written"
    # The parts of an engine meet at ports that the system chooses.
    assert [lab.ask("blue", f"accept {each} 0") for each in ("127.0.0.1", "::1")] == [
        "connected"
    ] * 2
    own = lab.ports["blue"]
    assert lab.ask("blue", f"connect 127.0.0.1 {own}") == "connected"


def test_what_others_leave_open_to_every_user_is_out_of_reach(lab: HostLab) -> None:
    name = f"toolkit-{uuid.uuid4().hex}"
    key = int(name[-7:], 16)
    places = [f"/run/{name}", f"/var/lib/{name}"]
    ways = [*(f"open {each}" for each in places), f"queue {name}", f"read /dev/shm/{name}",
            f"call 29 {key} 1 0"]  # fmt: skip
    holder = lab.run("sh", "-c", _HELD, "sh", _LEAVES_OPEN, name, str(key)).strip()
    try:
        until(lambda: _outside(lab, f"abstract {name}", "65534"), 60, "connected".__eq__)
        unfenced = {each: _outside(lab, each, "65534") for each in ways}
        assert [each for each in ways if unfenced[each].startswith("refused")] == []
        said = {each: lab.ask("blue", each) for each in (*ways, "sockets /run", "sockets /var")}
        assert [each for each in said if not said[each].startswith("refused")] == []
        # This one goes with the network, which the replica shares with the router: see docs/fleet.md.
        assert lab.ask("blue", f"abstract {name}") == "connected"
    finally:
        lab.run("kill", holder)


def test_without_systemd_a_replica_joins_no_group(real_host: HostLab) -> None:
    # Under systemd it does: see docs/fleet.md.
    real_host.ready()
    for way in ("join 239.1.2.3", "join ff0e::1"):
        assert _outside(real_host, way) == "through"
        assert "[Errno 1]" in real_host.ask("blue", way)


def test_a_replica_inherits_no_file_but_its_log(lab: HostLab) -> None:
    root = lab.host.host.root
    # What it has opened by itself lies in its home.
    found = [
        each
        for each in lab.ask("blue", "inherited").split()
        if not each.startswith(f"{root}/caches/tiny-blue/")
    ]
    assert found == ["/dev/null", f"{root}/logs/tiny-blue.log"]


def test_neither_replica_nor_router_leaves_a_core(lab: HostLab) -> None:
    for words in (
        f"serve .* --port {lab.ports['green']}",
        f"haproxy -W.*{lab.host.host.root}/router/",
    ):
        pid = lab.run("pgrep", "-o", "-f", words).strip()
        limits = lab.run("cat", f"/proc/{pid}/limits").splitlines()
        (cores,) = (each.split()[4:6] for each in limits if each.startswith("Max core file size"))
        # With 0 the kernel would still hand one to a program that core_pattern names.
        assert cores == ["1", "1"]


def test_a_replica_may_not_fill_the_host_with_processes(lab: HostLab) -> None:
    threads, numbers = (
        int(lab.run("cat", f"/proc/sys/kernel/{name}")) for name in ("threads-max", "pid_max")
    )
    if lab.host.host.connection == "ssh":
        # systemd counts those of the unit.
        most = lab.run("systemctl", "show", "--value", "-p", "TasksMax", "toolkit-tiny-green")
    else:
        pid = _main(lab, "green")
        limits = lab.run("cat", f"/proc/{pid}/limits").splitlines()
        (most,) = (each.split()[2] for each in limits if each.startswith("Max processes"))
    assert int(most) <= min(threads, numbers) * 15 // 100


def test_a_replica_may_not_fill_the_hosts_disk_with_its_log(lab: HostLab) -> None:
    log = f"{lab.host.host.root}/logs/tiny-blue.log"

    def size() -> int:
        return int(lab.run("stat", "--format=%s", log))

    assert lab.ask("blue", f"flood {2**28 + 2**20}") == "written"
    until(size, 60, lambda found: found < 2**20)
    # What it writes next comes behind the end that stays, and not where its log had ended.
    assert lab.ask("blue", f"flood {2**20}") == "written"
    assert size() < 2 * 2**20


@pytest.mark.system
def test_router_and_watch_compute_before_replicas(systemd_host: HostLab) -> None:
    systemd_host.ready()
    names = ("router", "watch", "tiny-blue")
    router, watch, replica = (
        int(systemd_host.run("systemctl", "show", "--value", "-p", "CPUWeight", f"toolkit-{name}"))
        for name in names
    )
    assert min(router, watch) >= 5 * replica


@pytest.mark.system
def test_the_router_has_a_ceiling_of_memory_and_its_process_for_bodies_ends_first(
    systemd_host: HostLab,
) -> None:
    systemd_host.ready()
    router = ("-p", "MemoryMax", "-p", "OOMPolicy", "toolkit-router")
    shown = systemd_host.run("systemctl", "show", "--value", *router)
    assert set(shown.split()) == {str(4 * 2**30), "continue"}
    bodies = systemd_host.run("pgrep", "-f", "^/usr/sbin/haproxy -f .*/bodies.cfg").strip()
    assert int(systemd_host.run("cat", f"/proc/{bodies}/oom_score_adj")) == 1000


def test_where_memory_runs_out_a_replica_ends_before_the_router(lab: HostLab) -> None:
    router = lab.run("pgrep", "-o", "-f", f"haproxy -W.*{lab.host.host.root}/router/").strip()
    said = {
        name: int(lab.run("cat", f"/proc/{pid}/oom_score_adj"))
        for name, pid in (("router", router), ("replica", _main(lab, "green")))
    }
    assert said["replica"] >= said["router"] + 500


def test_the_host_says_that_its_replicas_have_every_fence(lab: HostLab) -> None:
    facts = lab.host.observe()
    assert facts.fences == FENCES
    assert {slot.slot: slot.fences for slot in facts.slots} == {"blue": FENCES, "green": FENCES}


@pytest.mark.parametrize("name", ["calls.bpf", "calls.py"])
def test_a_filter_of_system_calls_that_was_changed_is_named(real_host: HostLab, name: str) -> None:
    path = Path(real_host.host.host.root, "bin", name)
    assert real_host.host.observe().changed_files == ()
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + b"?")
    try:
        assert real_host.host.observe().changed_files == (f"bin/{name} was changed",)
    finally:
        path.write_bytes(kept)


def test_a_host_that_forbids_namespaces_still_gives_a_replica_its_own_user(
    real_host: HostLab,
) -> None:
    real_host.empty()
    root, port = Path(real_host.host.host.root), real_host.ports["blue"]
    digest = hashlib.sha256(f"{root}/tiny-blue".encode()).hexdigest()
    scratch = Path(f"/run/toolkit-{digest[:12]}")
    scratch.mkdir()
    (scratch / "left by a killed one").touch()
    blue = real_host.start("blue", fences=("user", "rights", "network"))
    assert real_host.host.wait_ready(blue, port, 120, silent).ok
    (slot,) = real_host.host.observe().slots
    assert slot.fences == ("user", "rights", "network")
    assert list(scratch.iterdir()) == []
    tries = (
        f"read {root}/router/keys.map", f"read {root}/logs/tiny-blue.log", f"write {root}/router",
        f"read {root}/supervisor/router.log", f"write {root}/logs",
        f"open {root}/control/master.sock", "send 127.0.0.53 53", "signal 1", "read /proc/1/environ",
    )  # fmt: skip
    assert [real_host.ask("blue", each).partition(":")[0] for each in tries] == ["refused"] * 9
    real_host.stop("blue")
    assert not scratch.exists()
    # What its records of use lie in stays.
    assert (root / "caches" / "tiny-blue").exists()


@contextmanager
def _listener(lab: HostLab) -> Iterator[tuple[str, int]]:
    """Yield an address that is neither 127.0.0.1 nor ::1, and a port at which somebody listens there."""
    if lab.host.host.connection == "ssh":
        yield lab.host.host.address, 22
    else:
        with socket.create_server(("127.0.0.2", 0)) as listener:
            yield listener.getsockname()


def _main(lab: HostLab, slot: str) -> str:
    return lab.run("pgrep", "-o", "-f", f"serve .* --port {lab.ports[slot]}").strip()


def _of_others(lab: HostLab) -> list[int]:
    """Return ports of the router and of other slots at which nobody listens now."""
    host = lab.host.host
    relay = int(host.relay_bind.rpartition(":")[2]) if host.relay_bind else 0
    ports = [*range(host.port_base, host.port_base + 100), *([relay, relay + 1] if relay else [])]
    taken = {*lab.host.observe().used_ports, *lab.ports.values()}
    free = [port for port in ports if port not in taken]
    assert len(free) > 50
    return [free[0], free[-1]]


def _doors_of_others(lab: HostLab) -> list[tuple[str, int]]:
    """Return where the router and another replica of the host listen."""
    host = lab.host.host
    binds = (host.router_bind, host.router_metrics_bind)
    ports = [lab.ports["green"], *(int(each.rpartition(":")[2]) for each in binds if each)]
    return [(address, port) for address in ("127.0.0.1", "::1") for port in ports]


def _outside(lab: HostLab, words: str, user: str = "0") -> str:
    """Return what comes of a way outside of a fence, as a user of the host."""
    here = f"{lab.host.host.root}/engines/{ENGINE}/bin"
    ask = f"import sys; sys.path.append({here!r}); import stub_ways as s; w = {words.split()}; "
    ask += "print(s.tried(s.WAYS[w[0]], w[1:]))"
    unfenced = ("setpriv", f"--reuid={user}", "--clear-groups")
    return lab.run(*unfenced, "/usr/bin/python3", "-c", ask).strip()


def _setuid(lab: HostLab) -> str:
    return f"{lab.host.host.root}/engines/{ENGINE}/bin/setuid-id"
