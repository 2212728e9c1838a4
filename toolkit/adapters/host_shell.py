"""Run the host's side of the toolkit: here, with sudo where needed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import toolkit.hostside
from toolkit.domain.fleet import Host
from toolkit.errors import HostError

HOSTSIDE = Path(toolkit.hostside.__file__).parent


class Shell(Protocol):
    """Start a command of the host's side and talk to it in JSON lines."""

    def session(
        self, command: str, request: Mapping[str, Any]
    ) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """Return a context manager that yields the answers as they come."""


class LocalShell:
    """The ops machine itself as a host."""

    def __init__(self, host: Host) -> None:
        self._prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
        self._host = host

    @contextmanager
    def session(
        self, command: str, request: Mapping[str, Any]
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """Run `command` here; its standard input stays open until the caller leaves the context."""
        argv = [*self._prefix, self._host.python, "-I", str(HOSTSIDE), command]
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(dict(request)) + "\n")
            process.stdin.flush()
            yield _answers(process, self._host.name)
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def _answers(process: subprocess.Popen[str], host: str) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None and process.stderr is not None
    answered = False
    for line in process.stdout:
        answer: dict[str, Any] = json.loads(line)
        answered = True
        yield answer
    if not answered:
        words = process.stderr.read().strip().splitlines()
        raise HostError(
            f"{host}: {words[-1] if words else 'no answer'}",
            hint="be root or have passwordless sudo, then: toolkit doctor",
        )
