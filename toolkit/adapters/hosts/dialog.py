"""Commands of a host's side whose standard input carries more than the request, over the shared SSH connection."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toolkit.adapters.hosts.ssh import place_hostside, root_command
from toolkit.adapters.hosts.ssh_faults import reach_hint
from toolkit.domain.fleet import Host
from toolkit.errors import HostError

_END_SECONDS = 10


class Dialog:
    """A running command: what is written reaches its standard input, its answers are JSON lines."""

    def __init__(self, process: subprocess.Popen[bytes], host: str, hint: str) -> None:
        self._process, self._host, self._hint = process, host, hint

    def send(self, document: Mapping[str, Any]) -> None:
        """Write one JSON line. A command that has ended ignores it; its answers say why it did."""
        self.write(json.dumps(dict(document)).encode() + b"\n")

    def write(self, data: bytes | memoryview) -> bool:
        """Write bytes; false where the command or the connection has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def close(self) -> None:
        """End the command's standard input."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the command's events and at last {"result": ...}; raises HostError where there is none."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: dict[str, Any] = json.loads(line)
            if "error" in answer:
                raise HostError(f"{self._host}: {answer['error']}")
            yield answer.get("event", answer)
            if "result" in answer:
                return
        assert self._process.stderr is not None
        words = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        reason = words[-1] if words else "the connection ended without an answer"
        raise HostError(f"{self._host}: {reason}", hint=self._hint)


class Dialogs:
    """Opens dialogs with one command's hosts, from several threads; `abort` ends all that run."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._running: set[subprocess.Popen[bytes]] = set()
        self._hostside: dict[str, str] = {}
        self._guard = threading.Lock()
        self._aborted = False

    def abort(self) -> None:
        """End every dialog, and let no new one begin."""
        with self._guard:
            self._aborted = True
            for process in self._running:
                process.kill()

    def ask(self, host: Host, command: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Run a command that needs only its request; yields as `Dialog.events` does. Ends with this process."""
        with self.open(host, command, {**request, "until_eof": True}) as dialog:
            yield from dialog.events()

    @contextmanager
    def open(self, host: Host, command: str, request: Mapping[str, Any]) -> Iterator[Dialog]:
        """Start a command; leaving the context closes its standard input and waits for its end."""
        if host.name not in self._hostside:
            self.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._hostside[host.name] = place_hostside(host, self.scratch)
        argv = [host.python, "-I", self._hostside[host.name], command]
        with self.process(root_command(host, self.scratch, argv)) as process:
            dialog = Dialog(process, host.name, reach_hint(host))
            dialog.send({"root": host.root, **request})
            yield dialog

    @contextmanager
    def process(self, argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Start a process of this machine that `abort` ends too; leaving the context waits for its end, as `open`."""
        process = self._start(argv)
        try:
            yield process
        finally:
            self._end(process)

    def _start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._guard:
            if self._aborted:
                raise HostError("interrupted")
            pipe = subprocess.PIPE
            process = subprocess.Popen(
                argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
            self._running.add(process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        with self._guard:
            self._running.discard(process)
