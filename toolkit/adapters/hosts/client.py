"""Run commands of the host's side of the toolkit."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.adapters.capacity import width
from toolkit.adapters.descriptors import need_descriptors
from toolkit.adapters.hosts.channel import HostChannel
from toolkit.adapters.hosts.conversation import Conversation
from toolkit.adapters.hosts.dialog import Dialog, DialogEnded, refusal, running
from toolkit.adapters.hosts.facts import understood
from toolkit.adapters.hosts.refusals import pauses, refuses_for_now
from toolkit.adapters.hosts.ways import NO_HOSTSIDE, Here, OverSsh
from toolkit.adapters.interruption import Interruption
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.hosts.in_flight import ASKING
from toolkit.errors import HostError
from toolkit.hostside.commands import COMMANDS

Report = Callable[[Mapping[str, Any]], None]
# Seconds for a brief request beside the time that it names itself. A busy host takes seconds, and one whose disk
# hangs may take for ever, while its sshd goes on answering.
BRIEF_SECONDS = 180.0
# Seconds of silence for any other request: its process gives a sign of life each ten, see `life.py` of the host's side.
SILENT_SECONDS = 180.0


_KILLED = -9


def silent(_: Mapping[str, Any]) -> None:
    """Ignore progress."""


class HostClient:
    """Requests to one host. `toolkit/hostside/commands.py` lists the commands.

    An interruption ends a command, unless the command is carried through. A lost ops machine or link closes the
    command's standard input, which ends it on the host.
    """

    def __init__(self, way: Here | OverSsh, interruption: Interruption | None = None) -> None:
        self.host, self._way = way.host, way
        self._interruption = interruption or Interruption()
        self._channel = HostChannel(partial(_serve, way))
        conversing = partial(_converse, self._channel, self._interruption, self.host.name)
        self._conversation = Conversation(conversing)
        self._placed = False
        weakref.finalize(self, self._channel.end)

    def connect(self) -> None:
        """Begin to connect and to observe the host, for the first request, which raises the error of a failure."""
        # Without an ssh to run, for example.
        with suppress(OSError, HostError):
            request = {"root": self.host.root, "label": self.host.label}
            self._conversation.begin("observe", request)

    def hang_up(self) -> None:
        """Let the process on the host end, and do not wait for it: `end` does so."""
        self._channel.hang_up()

    def end(self) -> None:
        """End the process on the host, and with it all that is asked there."""
        self._channel.end(self._conversation.forget())

    def ask(self, name: str, report: Report = silent, /, **request: Any) -> dict[str, Any]:
        """Run the command `name` to its end and return its result; raises HostError where it has none."""
        with self._answers(name, {"root": self.host.root, **request}) as answers:
            for answer in answers:
                if "event" in answer:
                    with understood(self.host.name):
                        report(answer["event"])
                elif "error" in answer:
                    raise refusal(f"{self.host.name}: {name}", answer)
                else:
                    result: dict[str, Any] = answer["result"]
                    return result
        raise AssertionError("answers end with a result or an error")

    def renew(self, damaged: Sequence[str]) -> None:
        """Place the host's side anew, and remove other `damaged` copies of it, by name; raises HostError."""
        self.end()
        self._way.renew(damaged, self._interruption.sleep)
        self._placed = False

    @contextmanager
    def open(self, name: str, /, **request: Any) -> Iterator[Dialog]:
        """Start the command `name`. Leaving the context closes its standard input and ends it."""
        if not self._placed:
            self._way.place(self._interruption.sleep)
            self._placed = True
        interruption = None if COMMANDS[name].carried_through else self._interruption
        if interruption is not None:
            interruption.check()
        title = f"{self.host.name}: {name}"
        if COMMANDS[name].apart:
            argv = self._way.command(
                [self.host.python, "-I", f"{self._way.hostside}/__main__.py", name]
            )
            started = running(argv, interruption, self._failure, title, self._way.first)
        else:
            started = running(self._channel.strand(name), interruption, self._failure, title)
        with started as dialog, dialog.bounded(SILENT_SECONDS):
            dialog.send({"root": self.host.root, **request})
            yield dialog

    @contextmanager
    def _answers(self, name: str, request: Mapping[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        if COMMANDS[name].brief:
            with self._conversation.turn() as mine:
                if mine:
                    with self._ending(name), self._in_time(request, self._conversation.kill):
                        yield self._conversed(name, request)
                    return
        with self.open(name, **request) as dialog:
            bounded = self._in_time(request, dialog.kill) if COMMANDS[name].brief else nullcontext()
            with bounded:
                yield dialog.answers()

    @contextmanager
    def _in_time(self, request: Mapping[str, Any], kill: Callable[[], None]) -> Iterator[None]:
        """Kill what answers a brief request where the host takes too long; then raise HostError."""
        seconds, late = BRIEF_SECONDS + float(request.get("timeout") or 0), threading.Event()

        def end() -> None:
            late.set()
            kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except HostError:
            if not late.is_set():
                raise
            words = f"it did not answer within {seconds:.0f} s"
            raise self._failure(_KILLED, words) from None
        finally:
            timer.cancel()

    def _ending(self, name: str) -> AbstractContextManager[None]:
        if COMMANDS[name].carried_through:
            return nullcontext()
        return self._interruption.ending(self._conversation.kill)

    def _conversed(self, name: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        tries = pauses()
        while True:
            try:
                yield from self._placed_and_asked(name, request)
                return
            except DialogEnded as ended:
                again = refuses_for_now(ended.words, ended.code)
                pause = next(tries, None) if again else None
                if pause is None:
                    raise self._failure(ended.code, ended.words) from None
            self._interruption.sleep(pause)

    def _placed_and_asked(self, name: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            for answer in self._conversation.ask(name, request):
                self._placed = True
                yield answer
        except DialogEnded as ended:
            if ended.code != NO_HOSTSIDE:
                raise
            self._way.place(self._interruption.sleep)
            yield from self._conversation.ask(name, request)

    def _failure(self, code: int, words: str) -> HostError:
        self._interruption.check()
        return self._way.failure(code, words)


class Clients:
    """The clients of several hosts, for several threads. `stop` ends all that they run."""

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.stop = scratch, Interruption()
        self._clients: dict[str, HostClient] = {}
        self._guard = threading.Lock()

    def of(self, host: Host) -> HostClient:
        """Return the client of `host`; raises ToolkitError where this process may not open what so many need."""
        with self._guard:
            if host.name not in self._clients:
                need_descriptors(self, len(self._clients) + 1)
                self._clients[host.name] = host_client(host, self.scratch, self.stop)
            return self._clients[host.name]

    def connect(self, hosts: Sequence[Host]) -> None:
        """Begin to connect to the hosts that are asked first, and to observe them; return at once."""
        for host in hosts[: width(ASKING)]:
            self.of(host).connect()

    def end(self) -> None:
        """End what `connect` began, on all hosts together: one after the other takes a way to each and back."""
        for client in self._clients.values():
            client.hang_up()
        for client in self._clients.values():
            client.end()


def host_client(host: Host, scratch: Path, interruption: Interruption | None = None) -> HostClient:
    """Return a client of `host` over the connection that its fleet file names.

    `scratch` holds the socket of a shared SSH connection; `RealConverge` uses the same one.
    """
    local = host.connection == "local"
    return HostClient(Here(host) if local else OverSsh(host, scratch), interruption)


def _serve(way: Here | OverSsh) -> Dialog:
    return Dialog(way.serve(), first=way.first)


def _converse(channel: HostChannel, interruption: Interruption, title: str) -> Dialog:
    # An interruption may have ended the process before this one.
    interruption.check()
    return Dialog(channel.strand("converse"), title=title)
