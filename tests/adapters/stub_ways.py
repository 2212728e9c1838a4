"""The ways out of its sandbox that a replica of `stub_vllm.py` may try, each by its name."""

import contextlib
import ctypes
import errno
import os
import socket
import stat
import struct
import subprocess
import tempfile
import time


def connect(address, port):
    """Reach an address over TCP."""
    socket.create_connection((address, int(port)), timeout=1).close()
    return "connected"


def send(address, port):
    """Send a datagram."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", (address, int(port)))
    return "sent"


def past_loopback(address):
    """Send a datagram to an address of loopback through another interface: it would go to the gateway."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for name in (each for _, each in socket.if_nameindex() if each != "lo"):
        with socket.socket(family, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode() + b"\0")
            sender.sendto(b"hello", (address, 9))
            return "sent"
    raise OSError("through no interface")


def accepted(address, port):
    """Listen at a port, and reach it from here."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, int(port)))
        listener.listen()
        return connect(*listener.getsockname()[:2])


def terminal():
    """Make a terminal of one's own."""
    for each in os.openpty():
        os.close(each)


def by_protocol(number, address):
    """Send a datagram of another protocol than UDP."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM, int(number)) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", (address, 9))
    return "sent"


def joined(group):
    """Join a multicast group, on loopback."""
    if ":" in group:
        family, level, option = socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP
        value = socket.inet_pton(family, group) + struct.pack("=I", socket.if_nametoindex("lo"))
    else:
        family, level, option = socket.AF_INET, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP
        value = socket.inet_aton(group) + socket.inet_aton("127.0.0.1")
    with socket.socket(family, socket.SOCK_DGRAM) as member:
        member.setsockopt(level, option, value)


def opened(path):
    """Connect to a UNIX socket of whatever kind, or else list a directory."""
    if os.path.isdir(path):
        return " ".join(["listed", *os.listdir(path)])
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as client:
            number = client.connect_ex(path)
        if number == 0:
            return "connected"
        if number != errno.EPROTOTYPE:
            break
    raise OSError(number, os.strerror(number))


def sockets(top):
    """Connect to each UNIX socket below a directory."""
    found = []
    for folder, _, names in os.walk(top):
        for path in (os.path.join(folder, name) for name in names):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                with contextlib.suppress(OSError):
                    opened(path)
                    found.append(path)
    if not found:
        raise OSError("no socket is in reach")
    return " ".join(["connected", *found])


def queue(name):
    """Open a message queue of POSIX, by mq_open of x86-64."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(240, name.encode(), os.O_RDWR, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def exchanged(one, other):
    """Let two names of files change places, by renameat2 of x86-64."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(316, -100, one.encode(), -100, other.encode(), 2) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def inherited():
    """List the files and directories that are open in this process."""
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    found = {os.readlink(each) for each in links if os.path.lexists(each)}
    return " ".join(sorted(each for each in found if each.startswith("/")))


def written(directory):
    """Make a file in a directory."""
    with tempfile.TemporaryFile(dir=directory):
        return "written"


def read(path):
    """Read a file."""
    with open(path, "rb") as file:
        return f"read: {len(file.read(4096))}"


def become(program):
    """Run a program that is root's and setuid; it prints the user that it runs as."""
    if subprocess.check_output([program, "-u"], text=True).strip() != "0":
        raise PermissionError("it did not become root")


def left_behind():
    """Leave a process in a session of its own, which is nobody's child, and say its pid."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        if pid := os.fork():
            os.write(writing, str(pid).encode())
            os._exit(0)
        os.closerange(0, 1024)
        time.sleep(600)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as said:
        return said.read()


def called(number, *numbers):
    """Make a system call of x86-64."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(int(number), *map(int, numbers)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def flooded(size):
    """Write so many bytes to the log, at full speed."""
    block = b"x" * 1023 + b"\n"
    for _ in range(int(size) >> 20):
        os.write(1, block * 1024)
    return "written"


# What a replica may try; each raises OSError where the way is shut.
WAYS = {
    "connect": connect,
    "send": send,
    "past": past_loopback,
    "accept": accepted,
    "protocol": by_protocol,
    "terminal": terminal,
    "join": joined,
    "open": opened,
    "abstract": lambda name: opened("\0" + name),
    "sockets": sockets,
    "queue": queue,
    "exchange": exchanged,
    "inherited": inherited,
    "write": written,
    "read": read,
    "become": become,
    "leave": left_behind,
    "call": called,
    "flood": flooded,
    "grow": lambda size: os.ftruncate(1, int(size)),
    "link": os.symlink,
    "hardlink": os.link,
    "niceness": lambda pid: os.setpriority(os.PRIO_PROCESS, int(pid), 19),
    "signal": lambda pid: os.kill(int(pid), 0),
    "socket": lambda *numbers: socket.socket(*map(int, numbers)).close(),
}


def tried(way, words):
    """Say what came of a way, `through` where that has no word of its own."""
    try:
        return way(*words) or "through"
    except OSError as error:
        return f"refused: {error}"
