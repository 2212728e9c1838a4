"""Run the host's side of the toolkit: here or over SSH, with sudo where needed."""

from __future__ import annotations

import json
import os
import subprocess
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from toolkit.adapters.hosts.conversation import BRIEF, Conversation, Ended
from toolkit.adapters.hosts.ssh import HOSTSIDE, hostside_path, place_hostside, root_command
from toolkit.adapters.hosts.ssh_faults import host_error
from toolkit.adapters.interruption import Interruption
from toolkit.domain.fleet import Host
from toolkit.errors import HostError

# words on standard error and the exit status of a command that gave no answer -> what to tell
_Refused = Callable[[str, int], HostError]


class Shell(Protocol):
    """Start a command of the host's side and talk to it in JSON lines.

    A command that is asked with `until_eof` ends with an interruption, see `Interruption`; others are carried through.
    """

    def session(
        self, command: str, request: Mapping[str, Any]
    ) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """Return a context manager that yields the answers as they come."""


class LocalShell:
    """The ops machine itself as a host."""

    def __init__(self, host: Host, interruption: Interruption | None = None) -> None:
        self._prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
        self._host, self._interruption = host, interruption or Interruption()

    @contextmanager
    def session(
        self, command: str, request: Mapping[str, Any]
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """Run `command` here; its standard input stays open until the caller leaves the context."""
        argv = [*self._prefix, self._host.python, "-I", str(HOSTSIDE), command]
        with _talk(argv, request, self._refused, self._interruption) as answers:
            yield answers

    def _refused(self, words: str, code: int) -> HostError:
        said = words.strip().splitlines()
        hint = "be root or have passwordless sudo, then: toolkit doctor"
        return HostError(f"{self._host.name}: {said[-1] if said else 'no answer'}", hint=hint)


class SshShell:
    """A host over SSH. `scratch` holds the socket of the shared connection: the one given to `RealConverge`.

    A lost ops machine or link closes the command's standard input on the host, which ends it there.
    """

    def __init__(self, host: Host, scratch: Path, interruption: Interruption | None = None) -> None:
        self._host, self._scratch = host, scratch
        self._interruption = interruption or Interruption()
        self._hostside = ""
        self._conversation = Conversation(partial(_begin, host, scratch, self._interruption))
        weakref.finalize(self, self._conversation.end)

    @contextmanager
    def session(
        self, command: str, request: Mapping[str, Any]
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """Run `command` on the host; its standard input stays open until the caller leaves the context."""
        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        if command in BRIEF:
            with self._conversation.turn() as mine:
                if mine:
                    with _ending(self._interruption, request, self._conversation.kill):
                        yield self._converse(command, request)
                    return
        self._hostside = self._hostside or place_hostside(self._host, self._scratch)
        remote = [self._host.python, "-I", self._hostside, command]
        argv = root_command(self._host, self._scratch, remote)
        refused = partial(host_error, self._host)
        with _talk(argv, request, refused, self._interruption) as answers:
            yield answers

    def _converse(self, command: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            try:
                yield from self._conversation.ask(command, request)
            except Ended as ended:
                if ended.code != _NO_HOSTSIDE:
                    raise
                self._hostside = place_hostside(self._host, self._scratch)
                yield from self._conversation.ask(command, request)
        except Ended as ended:
            self._interruption.check()
            raise host_error(self._host, ended.words, ended.code) from None


def _begin(host: Host, scratch: Path, interruption: Interruption) -> subprocess.Popen[str]:
    # The one before may have been ended by it.
    interruption.check()
    remote = ["sh", "-c", _CONVERSE, "sh", host.python, hostside_path(host)]
    return _start(root_command(host, scratch, remote))


# To ask first whether the host's side is there would take as long as a request.
_NO_HOSTSIDE = 86
_CONVERSE = f'[ -d "$2" ] || exit {_NO_HOSTSIDE}; exec "$1" -I "$2" converse'


def _ending(
    interruption: Interruption, request: Mapping[str, Any], end: Callable[[], None]
) -> AbstractContextManager[None]:
    return interruption.ending(end) if request.get("until_eof") else nullcontext()


@contextmanager
def _talk(
    argv: Sequence[str], request: Mapping[str, Any], refused: _Refused, interruption: Interruption
) -> Iterator[Iterator[dict[str, Any]]]:
    process = _start(argv)
    assert process.stdin is not None
    try:
        # A command that ended at once has its reason on standard error, which is read below.
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(dict(request)) + "\n")
            process.stdin.flush()
        with _ending(interruption, request, process.kill):
            yield _answers(process, refused, interruption)
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _answers(
    process: subprocess.Popen[str], refused: _Refused, interruption: Interruption
) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None and process.stderr is not None
    answered = False
    for line in process.stdout:
        answer: dict[str, Any] = json.loads(line)
        answered = True
        yield answer
    interruption.check()
    if not answered:
        words = process.stderr.read()
        raise refused(words, process.wait())


def _start(argv: Sequence[str]) -> subprocess.Popen[str]:
    # In a session of its own: Ctrl-C in a terminal would end it too, and with it the lock that an undo needs.
    pipe = subprocess.PIPE
    return subprocess.Popen(
        argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
