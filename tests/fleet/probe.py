"""What this process can reach, in a file: run on test hosts, in and outside of sandboxes.

    probe.py OUT [connect/ADDRESS/PORT | send/ADDRESS/PORT | look-up/NAME | raw/ADDRESS | frame/DEVICE]...

OUT is then a JSON object: each word -> `through` or why not, and `cgroup` -> where this process was.
"""

import json
import pathlib
import socket
import sys


def connect(address, port):
    socket.create_connection((address, int(port)), timeout=1).close()


def send(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"probe", (address, int(port)))


def look_up(name):
    socket.getaddrinfo(name, 443)


def raw(address):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sender:
        sender.sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", (address, 0))


def frame(device):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((device, 0x88B5))
        sender.send(bytes(60))


def tried(word):
    kind, *details = word.split("/")
    ways = {"connect": connect, "send": send, "look-up": look_up, "raw": raw, "frame": frame}
    try:
        ways[kind](*details)
    except OSError as error:
        return f"refused: {error}"
    return "through"


out = pathlib.Path(sys.argv[1])
found = {"cgroup": pathlib.Path("/proc/self/cgroup").read_text().strip()}
found.update({word: tried(word) for word in sys.argv[2:]})
making = out.with_suffix(".new")
making.write_text(json.dumps(found))
making.rename(out)
