"""Bring one tree to one host: survey what the host has, send the rest over SSH."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.adapters.distribution.port import Progress, Report, Tree
from toolkit.adapters.hosts.client import Clients
from toolkit.adapters.hosts.dialog import Dialog
from toolkit.adapters.hosts.facts import understood
from toolkit.adapters.interruption import Interruption
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.outside import shown, text_of, texts_of, whole
from toolkit.errors import HostError

_CHUNK = 2**18


@dataclass(frozen=True, slots=True)
class Need:
    """The files that a host lacks, and its facts for the transfer.

    `arrived` is path -> bytes that an interrupted run left in the directory `incoming`. `python` is the host's version
    (`3.11`), `libraries` its unpacked libtorrents, `rsync` whether it has rsync, `pieces` whether a swarm left some.
    """

    host: Host
    files: tuple[FileDigest, ...]
    arrived: Mapping[str, int]
    python: str
    machine: str
    libraries: tuple[str, ...]
    incoming: str
    rsync: bool
    pieces: bool = False

    @property
    def size(self) -> int:
        """Bytes of all missing files."""
        return sum(file.size for file in self.files)


class Throttle:
    """A limit of `limit` bytes a second over all threads; 0 is no limit."""

    def __init__(
        self,
        limit: int,
        sleep: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self._sleep, self._clock = sleep, clock
        self._free_at = 0.0
        self._guard = threading.Lock()

    def take(self, count: int) -> None:
        """Return once `count` more bytes may be sent."""
        if not self.limit:
            return
        with self._guard:
            now = self._clock()
            start = max(now, self._free_at)
            self._free_at = start + count / self.limit
        self._sleep(start - now)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One tree and the means to bring it to hosts. Every method raises HostError where the host fails."""

    tree: Tree
    clients: Clients
    throttle: Throttle
    report: Report
    interruption: Interruption

    def request(self) -> dict[str, Any]:
        """Return the part of a request that tells a command on the host about the tree."""
        files = [(file.path, file.size, file.sha256) for file in self.tree.files]
        return {"kind": self.tree.kind, "name": self.tree.name, "files": files}

    def survey(self, host: Host) -> Need | None:
        """Return the files that `host` lacks, None for a whole tree. On this machine, put the tree in place at once."""
        if host.connection == "local":
            self._put_locally(host)
            return None
        result = self._call(host, "tree-survey")
        if result.get("present"):
            return None
        with understood(host.name):
            need = self._need(host, result)
        self.report(Progress(host.name, 0, need.size))
        return need

    def _need(self, host: Host, told: Mapping[str, Any]) -> Need:
        lacking = set(texts_of(told["missing"], "missing"))
        arrived = {path: whole(size, "arrived") for path, size in told["arrived"].items()}
        return Need(
            host=host,
            files=tuple(file for file in self.tree.files if file.path in lacking),
            arrived=arrived,
            python=text_of(told["python"], "python"),
            machine=text_of(told["machine"], "machine"),
            libraries=texts_of(told["libraries"], "libraries"),
            incoming=text_of(told["incoming"], "incoming"),
            rsync=_flag(told["rsync"], "rsync"),
            pieces=_flag(told["swarm"], "swarm"),
        )

    def drop_pieces(self, host: Host) -> None:
        """Make `host` remove the pieces of a swarm: they take the room that another way of delivery needs."""
        self._call(host, "tree-drop-swarm")

    def finish(self, host: Host) -> None:
        """Make `host` check the files in its `incoming` directory and publish the tree."""
        result = self._call(host, "tree-finish")
        with understood(host.name):
            wrong = texts_of(result["wrong"], "wrong")
        if wrong:
            raise _damaged(host, wrong)

    def stream(self, need: Need) -> None:
        """Send the files of `need`, from where an interrupted run stopped, and make the host publish the tree."""
        there = [(file, need.arrived.get(file.path, 0)) for file in need.files]
        sending = [(file, start if start <= file.size else 0) for file, start in there]
        wrong = self._send(need, sending)
        if again := [(file, 0) for file, start in sending if file.path in wrong and start]:
            wrong = wrong - {file.path for file, _ in again} | self._send(need, again)
        if wrong:
            raise _damaged(need.host, sorted(wrong))

    def _send(self, need: Need, sending: list[tuple[FileDigest, int]]) -> set[str]:
        """Send the files from their offsets; return the paths of those that arrived with a wrong digest."""
        request = {**self.request(), "send": [(file.path, start) for file, start in sending]}
        left = {file.path: file.size for file, _ in sending}
        with (
            self.clients.of(need.host).open("tree-receive", **request) as dialog,
            ThreadPoolExecutor(1) as writer,
        ):
            written = writer.submit(self._write, dialog, sending)
            try:
                for event in dialog.events():
                    with understood(need.host.name):
                        if "result" in event:
                            return set(texts_of(event["result"]["wrong"], "wrong"))
                        path = event["path"]
                        left[path] = whole(event["left"], "left", most=left[path])
                    done = need.size - sum(left.values())
                    self.report(Progress(need.host.name, done, need.size))
            except BaseException as error:
                # Closing the dialog ends the writer.
                dialog.close()
                reason = written.exception()
                if isinstance(error, HostError) and reason is not None:
                    # The writer failed first: the host saw only the end of its input.
                    raise HostError(f"{need.host.name}: {reason}") from reason
                raise
        raise AssertionError("a dialog ends with a result or an error")

    def _write(self, dialog: Dialog, sending: list[tuple[FileDigest, int]]) -> None:
        try:
            for file, start in sending:
                with (Path(self.tree.source) / file.path).open("rb", buffering=0) as opened:
                    opened.seek(start)
                    left = file.size - start
                    while left:
                        chunk = opened.read(min(_CHUNK, left))
                        if not chunk:
                            raise OSError(f"{file.path} is shorter here than its pin says")
                        self.throttle.take(len(chunk))
                        if not dialog.write(chunk):
                            return
                        left -= len(chunk)
        except OSError:
            # Closing the dialog ends the host's wait for the rest.
            dialog.close()
            raise

    def _call(self, host: Host, command: str) -> dict[str, Any]:
        return self.clients.of(host).ask(command, **self.request())

    def _put_locally(self, host: Host) -> None:
        self.clients.of(host).ask(
            "place",
            kind=self.tree.kind,
            digest=self.tree.name,
            source=self.tree.source,
            files=[file.path for file in self.tree.files],
        )


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {shown(value)}")
    return value


def _damaged(host: Host, paths: Sequence[str]) -> HostError:
    return HostError(f"{host.name}: not what was pinned when it arrived: {', '.join(paths)}")
