"""The ways out of its sandbox that a replica of `stub_vllm.py` may try, each by its name."""

import ctypes
import os
import socket
import subprocess
import tempfile


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


def opened(path):
    """Connect to a UNIX socket, or else list a directory."""
    if os.path.isdir(path):
        return " ".join(["listed", *os.listdir(path)])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    return "connected"


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


def called(number, *numbers):
    """Make a system call of x86-64."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(int(number), *map(int, numbers)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


# What a replica may try; each raises OSError where the way is shut.
WAYS = {
    "connect": connect,
    "send": send,
    "open": opened,
    "write": written,
    "read": read,
    "become": become,
    "call": called,
    "link": os.symlink,
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
