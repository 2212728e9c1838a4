"""What a machine says of itself: its kernel, drivers, supervisord, uv, and the rows of its history."""

from __future__ import annotations

import json
import socket
import subprocess
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from tests.fuzz.of_wires import answer, brings
from tests.fuzz.parser import A, B, hostside, packed, words, written
from tests.planning.facts import release
from toolkit.adapters.audit.late import late_records
from toolkit.adapters.engines.packages import locate, newest, pip_settings, resolve
from toolkit.adapters.history import records, tallies, use
from toolkit.adapters.history.opening import DAMAGE
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.trail.audit import next_line, sound
from toolkit.errors import ToolkitError

with hostside():
    accelerators = import_module("accelerators")
    energy = import_module("energy")
    listeners = import_module("listeners")
    listening = import_module("listening")
    processes = import_module("processes")
    program = import_module("program")
    supervisord = import_module("supervisord")


def _xml(value: str) -> bytes:
    text = f"<?xml version='1.0'?>\n<methodResponse><params><param>{value}</param></params></methodResponse>\n"
    return answer(text.encode(), "Content-Type: text/xml")


SUPERVISORD = (
    _xml(
        "<value><struct><member><name>statename</name><value><string>RUNNING</string></value></member>"
        "<member><name>pid</name><value><int>412</int></value></member>"
        "<member><name>start</name><value><int>1796000000</int></value></member></struct></value>"
    ),
    answer(
        b"<?xml version='1.0'?><methodResponse><fault><value><struct><member><name>faultCode</name>"
        b"<value><int>10</int></value></member><member><name>faultString</name><value>BAD_NAME</value></member>"
        b"</struct></value></fault></methodResponse>"
    ),
    answer(b"", "Server: x", status="500 Internal Server Error"),
)


def of_supervisord(data: bytes) -> Any:
    """Read the answer of a supervisord about a program."""
    with brings(data, supervisord._UnixConnection):
        try:
            return supervisord.state("x", "tiny-blue")
        except supervisord.Silent as silent:
            return str(silent)


TCP = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 28312 1 0 100 0 0 10 0
   1: 0100007F:1F91 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000  1000        0 28313 1 0 100 0 0 10 0
"""
TCP6 = b"""\
  sl  local_address                         remote_address                        st tx rx tr tm retr uid timeout inode
   0: 0000000000000000FFFF00000100007F:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 28314 1 0
"""
TRIE = b"""\
Local:
  +-- 0.0.0.0/0 3 0 5
           |-- 10.0.0.5
              /32 host LOCAL
"""
DIAG = (
    listening._HEADER.pack(72, listening._BY_FAMILY, 2, 0, 0) + b"\2\x0a\0\0\x1f\x90" + b"\0" * 50
)
DIAG += listening._HEADER.pack(20, listening._DONE, 2, 0, 0) + b"\0" * 4
KERNEL = (TCP, TCP6, TRIE, DIAG)


class _Netlink:
    def __init__(self, data: bytes) -> None:
        self._data = [data]

    def __enter__(self) -> _Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def recv(self, _: int) -> bytes:
        if not self._data:
            raise TimeoutError
        return self._data.pop()

    def ignore(self, *_: Any) -> None:
        pass

    send = settimeout = ignore


def of_a_kernel(data: bytes) -> Any:
    """Read the same bytes as each of the kernel's tables of sockets and addresses."""
    found: list[Any] = []
    path = str(written("proc", data))
    with (
        patch.object(listening, "_TABLES", (path,)),
        patch.object(listeners, "_TABLES", (("tcp", path),)),
        patch.object(listeners, "_programs", lambda _: {}),
    ):
        found += [listeners.listeners(), sorted(listening.read())]
    with patch.object(listening, "lines", lambda _: words(data).splitlines()):
        found.append(listeners.own_addresses())
    with patch.object(socket, "socket", lambda *_: _Netlink(data)), suppress(OSError):
        found.append(sorted(listening.asked(socket.AF_INET)))
    return found


COMPUTE = (b"412, 1024\n412, 512\n413, [N/A]\n", b"No running processes found\n")
ENERGY = packed({"joules": 1.5, "devices": 1, "counters": {"GPU-a": 1.5}, "fault": ""})
SYSTEMCTL = b"LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=412\nActiveEnterTimestampMonotonic=9\n"
TOOLS = (*COMPUTE, ENERGY, SYSTEMCTL)


def of_its_tools(data: bytes) -> Any:
    """Read the same bytes as what nvidia-smi, the reader of energy and systemctl say."""
    text = words(data)
    with patch.object(program, "output", lambda *_: (0, text)):
        found: list[Any] = [accelerators.users(), energy.energy("x")]
    with patch.object(processes, "_asked", lambda _: text), suppress(OSError):
        found.append(processes._systemd("x.service"))
    return found


def _package(name: str) -> str:
    url = f"https://x/{name}.whl"
    wheels = f'[{{ url = "{url}", hashes = {{ sha256 = "{A}" }} }}, {{ url = "{url}", hashes = {{ sha256 = "{B}" }} }}]'
    return f'[[packages]]\nname = "{name}"\nversion = "1.0"\nwheels = {wheels}\n'


PYLOCK = f'lock-version = "1.0"\ncreated-by = "uv"\n{_package("a")}\n{_package("b")}'.encode()
PIP = b"global.find-links='https://a.example/x https://b.example'\nglobal.index-url='https://c.example/simple'\n"
UV = (PYLOCK, PIP)


def of_uv(data: bytes) -> Any:
    """Read the same bytes as the lock that uv writes, and as the settings of pip."""
    done = SimpleNamespace(returncode=0, stdout=words(data), stderr="")
    found: list[Any] = []
    with patch.object(subprocess, "run", lambda *_, **__: done):
        found.append(pip_settings())
        for ask in (
            lambda: resolve(["a==1"], Accelerator.CUDA, "3.12"),
            lambda: newest("a", Accelerator.CUDA, "3.12"),
            lambda: locate("a==1", Accelerator.CUDA, "3.12"),
        ):
            with suppress(ToolkitError):
                found.append(ask())
    return found


READERS = {
    "step": records.step_of, "release": records.dated_release_of, "model": records.model_of,
    "host": records.host_of, "seconds": records.seconds_of, "fit": records.fit_of, "start": records.start_of,
    "gate": records.gate_of, "use": use.use_of, "run": use.run_of, "last": use.last_of, "cursor": use.cursor_of,
    "tally": tallies.tally, "watched": tallies.watched_of,
}  # fmt: skip
_RUN = {"ledger": A[:16], "program": "m-blue", "run": A[:16], "host": "gpu1", "model": "m", "version": "1",
        "release_number": 3, "engine": "v", "started": 1.5, "first": 1, "last": 1, "records": 1, "missing": 0,
        "asked": 3, "tokens_out": 2, "unknown": 0, "counted_in": 3, "counted_out": 2, "summed_in": 3, "summed_out": 2,
        "open": 0, "at": 1.5}  # fmt: skip
_DATED = {
    "model": "m",
    "host": "gpu1",
    "rollout": "r",
    "at": 1.5,
    "release_number": 3,
    "created_at": 1.5,
}
ROWS = tuple(
    packed(each)
    for each in (
        {**_DATED, "body": json.dumps(release(3).as_json())},
        {**_DATED, "deployment": 1, "seq": 2, "kind": "start", "detail": "blue", "outcome": "live",
         "started_at": 1.5, "ended_at": 2.5},
        {**_DATED, "phases": '{"weights": 1.5}', "seconds": 9.5, "engine": "e", "kept": 1, "device": "d",
         "predicted": '{"weights": 1}', "actual": "{}", "result": '{"gate": "bake", "verdict": "failed"}'},
        _RUN,
        {**_RUN, "file": 1, "position": 9, "refused": 0, "lost": 0, "set_back": 0},
        {"day": "2026-11-27", "host": "gpu1", "key": "ann", "model": "m", "version": "1", "release_number": 3,
         "requests": 1, "tokens_in": 3, "cached": 1, "tokens_out": 2, "reasoning": 0, "unknown": 0, "base": "m",
         "ended": "whole", "audio_seconds": 0.5},
        {**_DATED, "hour": 496000, "version": "1", "counts": '{"200": 3, "503:replica": 1}', "seconds": 9.5},
    )
)  # fmt: skip


def of_a_history(data: bytes) -> Any:
    """Read the row in `data` as one of each table; SQLite keeps a cell of any type in any column."""
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        row = None
    found = []
    cells = {} if not isinstance(row, dict) else {name: _cell(each) for name, each in row.items()}
    for read in READERS.values() if cells else ():
        with suppress(*DAMAGE):
            made = read(cells)
            found.append(asdict(made) if hasattr(made, "__dataclass_fields__") else repr(made))
    return found


def _cell(value: Any) -> Any:
    """Return the value as a database gives it, whose texts are UTF-8."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


LATE = packed({"records": [{"kind": "intent", "at": 1.8e9, "command": "deploy", "who": "ann"}]})


def late(data: bytes) -> Any:
    """Read records that a command could not write into the audit log, and write them into it."""
    home = written("audit-late-0", data).parent
    found = []
    for _, of_file in late_records(home):
        found += [asdict(next_line(None, sound(each))) for each in of_file]
    return found
