"""Processes that are forked ahead: they wait, and become what `multiprocessing` wants to start.

`multiprocessing` starts a process by its method `spawn` with a command line, the numbers of a few descriptors, and the
environment of the moment. A waiting process becomes that process where the same interpreter is wanted, and where its
own environment is exactly this one: its modules have read it while they were loaded. In all other cases it ends, and
`multiprocessing` starts its own. It is a child of the process that wants it, as the other would be, so that signals,
exit codes and the end of the parent are the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing import spawn, util
from typing import Any, NoReturn

from toolkit_starter.ending import run_and_end

# Loaded modules get no descriptors below this number, so that a waiting process can take those that it is given.
RESERVED = 256
# Far more than a waiting process needs to answer.
ANSWER_SECONDS = 10.0
_WORDS = re.compile(r"from multiprocessing\.spawn import spawn_main; spawn_main\(([\w=, ]+)\)")
_LARGEST = 2**20

Say = Callable[[str], None]


class Ahead:
    """A process that was forked from this one, and waits at the other end of `control`."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid, self.control = pid, control

    def become(self, given: Mapping[str, int], descriptors: Sequence[int]) -> str:
        """Have the process become the one that is wanted; return in words why it does not.

        `given` are the arguments of `spawn_main`, and `descriptors` those that it gets under the same numbers.
        """
        wanted = {"given": dict(given), "descriptors": [*descriptors], "environ": {**os.environ}}
        with self.control:
            self.control.settimeout(ANSWER_SECONDS)
            with contextlib.suppress(OSError, ValueError):
                socket.send_fds(self.control, [json.dumps(wanted).encode()], list(descriptors))
                return str(json.loads(self.control.recv(_LARGEST)))
        return "it has ended or did not answer"


def begin(counts: Sequence[int], reserved: Sequence[int], say: Say) -> None:
    """Fork `counts[0]` processes, each of which forks `counts[1]`, and so on; `multiprocessing` here takes them.

    `reserved` are the descriptors that a waiting process closes once it is wanted. Returns in the first process alone:
    every other becomes what is wanted, and ends with that.
    """
    waiting: list[Ahead] = []
    for _ in range(counts[0] if counts else 0):
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if not pid:
            # While a copy of the parent's end is open here, this process would not see that its parent has ended.
            for each in (control, *(other.control for other in waiting)):
                each.close()
            begin(counts[1:], reserved, say)
            _become_what_is_wanted(theirs, reserved)
        theirs.close()
        waiting.append(Ahead(pid, control))
    if waiting:
        _hand_out(waiting, say)


def reserve() -> list[int]:
    """Take all free descriptors below RESERVED; return them."""
    taken = []
    null = os.open(os.devnull, os.O_RDONLY)
    while null < RESERVED:
        taken.append(null)
        null = os.open(os.devnull, os.O_RDONLY)
    os.close(null)
    return taken


def _hand_out(waiting: list[Ahead], say: Say) -> None:
    start = util.spawnv_passfds

    def start_or_take(path: Any, args: Sequence[Any], passfds: Sequence[int]) -> int:
        given = _given(path, args)
        if given is None or not waiting:
            return int(start(path, args, passfds))
        taken = waiting.pop(0)
        why = taken.become(given, sorted(map(int, passfds)))
        if not why:
            say(f"a process begun ahead is used: {taken.pid}")
            return taken.pid
        say(f"a process begun ahead is not used: {why}")
        return int(start(path, args, passfds))

    util.spawnv_passfds = start_or_take


def _given(path: Any, args: Sequence[Any]) -> dict[str, int] | None:
    """Return the arguments of `spawn_main` where the words start a process of the same interpreter by it."""
    words = [os.fsdecode(each) for each in args]
    if os.fsdecode(path) != sys.executable or words[-1:] != ["--multiprocessing-fork"]:
        return None
    for word in words:
        if found := _WORDS.fullmatch(word):
            pairs = (each.split("=") for each in found[1].replace(" ", "").split(","))
            return {name: int(value) for name, value in pairs}
    return None


def _become_what_is_wanted(control: socket.socket, reserved: Sequence[int]) -> NoReturn:
    given = _taken_over(control, reserved)
    if given is None:
        # Nothing has run here that would have to end in order.
        os._exit(0)
    sys.argv = ["-c", "--multiprocessing-fork"]
    run_and_end(partial(spawn.spawn_main, **given))


def _taken_over(control: socket.socket, reserved: Sequence[int]) -> Any:
    """Wait until this process is wanted, and take its descriptors over; return the arguments of its `spawn_main`.

    Return None where it is not needed, because the other end of `control` is closed, or cannot be what is wanted.
    """
    with socket.socket(fileno=_above(control.detach())) as parent:
        message, received, _, _ = socket.recv_fds(parent, _LARGEST, RESERVED)
        if not message:
            return None
        wanted = json.loads(message)
        for each in reserved:
            os.close(each)
        above = [_above(each) for each in received]
        why = _fault(wanted)
        parent.send(json.dumps(why).encode())
        if why:
            return None
        for number, each in zip(wanted["descriptors"], above, strict=True):
            os.dup2(each, number)
            os.close(each)
        return wanted["given"]


def _fault(wanted: Mapping[str, Any]) -> str:
    """Return why this process cannot be the one that is wanted; empty where it can."""
    there = wanted["environ"]
    names = sorted(
        each for each in there.keys() | os.environ.keys() if there.get(each) != os.environ.get(each)
    )
    if names:
        return f"these variables differ: {', '.join(names)}"
    taken = [each for each in wanted["descriptors"] if _is_open(each)]
    return f"these descriptors are taken: {', '.join(map(str, taken))}" if taken else ""


def _above(descriptor: int) -> int:
    """Return the descriptor under a number of at least RESERVED."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, RESERVED)
    os.close(descriptor)
    return moved


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
