"""Many hosts in one process: the real host's side of the toolkit behind an `ssh`, each host with its own directory.

The program `ssh` that stands for OpenSSH's connects to this process, which answers as the host's side would there. No
router and no replica runs.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

HOSTSIDE = Path(__file__).parents[2] / "toolkit" / "hostside"
_SSH = f"""#!{sys.executable} -IS
import os, socket, sys, threading
if "-O" in sys.argv:
    sys.exit(0)
line = socket.socket(socket.AF_UNIX)
line.connect("DOOR")
line.sendall(sys.argv[-1].encode() + b"\\0")
def hand_on():
    while piece := os.read(0, 65536):
        line.sendall(piece)
    line.shutdown(socket.SHUT_WR)
threading.Thread(target=hand_on, daemon=True).start()
while piece := line.recv(65536):
    os.write(1, piece)
os._exit(0)
"""


class StubHosts:
    """Answers for all hosts. `received` are the bytes that hosts got, `asked` how often they were asked what."""

    def __init__(self, directory: Path) -> None:
        self._door = str(directory / "door")
        self.received, self.asked = 0, 0
        self._guard = threading.Lock()
        program = directory / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(_SSH.replace("DOOR", self._door))
        program.chmod(0o755)
        self.path = program.parent

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Answer within this context."""
        sys.path.insert(0, str(HOSTSIDE))
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(self._door)
            door.listen(4096)
            threading.Thread(target=self._accept, args=(door,), daemon=True).start()
            yield

    def _accept(self, door: socket.socket) -> None:
        with suppress(OSError):
            while True:
                line, _ = door.accept()
                threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line, line.makefile("rb") as stream, suppress(OSError):
            words = b""
            while not words.endswith(b"\0"):
                words += stream.read(1)
            argv = shlex.split(words[:-1].decode())
            if " serve" in words.decode():
                self._serve(line, stream)
            elif "-d" in argv or "mkdir" in words.decode():
                while stream.read(65536):
                    pass
            else:
                self._carry_out(line.sendall, argv[-1], self._request(stream) or {}, stream)

    def _serve(self, line: socket.socket, stream: IO[bytes]) -> None:
        """Speak as `channel.py` of the host's side does, with a thread for each dialog."""
        dialogs: dict[bytes, IO[bytes]] = {}
        sending = threading.Lock()

        def say(text: bytes) -> None:
            with sending, suppress(OSError):
                line.sendall(text)

        def answer(number: bytes, name: str, given: IO[bytes]) -> None:
            def emit(text: bytes) -> None:
                say(number + b" line " + text)

            with given:
                if name == "converse":
                    while request := self._request(given):
                        self._carry_out(emit, request.pop("command"), request, given)
                else:
                    self._carry_out(emit, name, self._request(given) or {}, given)
            say(number + b' ended [0, ""]\n')

        for said in stream:
            number, word, text = (*said.rstrip(b"\n").split(b" ", 2), b"")[:3]
            if word == b"open":
                reading, writing = os.pipe()
                dialogs[number] = os.fdopen(writing, "wb", buffering=0)
                threading.Thread(
                    target=answer,
                    args=(number, text.decode(), os.fdopen(reading, "rb")),
                    daemon=True,
                ).start()
            elif word == b"close":
                dialogs.pop(number).close()
            else:
                dialogs[number].write(text + b"\n")
        for each in dialogs.values():
            each.close()

    def _request(self, stream: IO[bytes]) -> dict[str, Any] | None:
        said = stream.readline()
        with self._guard:
            self.received += len(said)
            self.asked += bool(said)
        return json.loads(said) if said else None

    def _carry_out(
        self,
        send: Callable[[bytes], None],
        name: str,
        request: dict[str, Any],
        stream: IO[bytes],
    ) -> None:
        def emit(document: dict[str, Any]) -> None:
            send(json.dumps(document).encode() + b"\n")

        given = {
            **request,
            "request": request,
            "report": lambda event: emit({"event": event}),
            "stream": stream,
        }
        try:
            command = importlib.import_module("commands").COMMANDS[name]
            function = getattr(importlib.import_module(command.module), command.function)
            emit({"result": function(*[given[each] for each in command.takes])})
        except Exception as error:
            emit({"error": f"{type(error).__name__}: {error}"})
