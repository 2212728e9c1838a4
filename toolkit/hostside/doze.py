"""Let a replica doze, and wake it: its process stays, its weights go to the host's memory, its device is free.

A former release that must make way for a new one dozes in place of being stopped, so that a rollback takes a second.
Its engine is asked at a socket in the replica's home, see `toolkit_recorder.doze`; it answers nobody until it wakes.

    <root>/watch/dozing/PROGRAM    the process that dozes, or is about to, as `processes.identity` has it
    <root>/watch/asleep/PROGRAM    the same: a later start of the slot finds it, and waits instead of taking the device

Both are there before the engine is asked, and go once it has answered awake, or with their slot. So whatever is killed
in between, nobody sends it requests, and a crash or a reboot never starts it beside its successor: it rests then, see
`warmth`, and the next rollback starts it anew.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import time

import completion
import hang
import memory
import processes
import signs
from directory import Directory, make_own, read_text
from documents import mapping
from wire import Document

PLACE, ASLEEP = ("watch", "dozing"), ("watch", "asleep")
# In the replica's home, see `vllm_doze.SOCKET` of the ops machine.
_SOCKET = "doze.sock"
# Seconds in which an engine has fallen asleep, or never does. Its first sleep takes longer than a wake may.
SETTLED = 90.0
# Bytes of an answer that are read.
_MOST = 4096


def dozes(root: str, program: str) -> bool:
    """Whether the process of a slot dozes, or is about to: no request may reach it."""
    named, pid = _named(root, PLACE, program)
    return pid.isdecimal() and processes.identity(int(pid)) == named


def made_way(root: str, program: str) -> bool:
    """Whether a replica takes no device any more: it dozes, or its engine has ended, and its start waits."""
    named, pid = _named(root, ASLEEP, program)
    if not pid.isdecimal():
        return False
    # `0` names none: nothing ran when the mark was written.
    return pid == "0" or processes.identity(int(pid)) != named or dozes(root, program)


def _named(root: str, place: tuple[str, str], program: str) -> tuple[str, str]:
    """Return the identity of the process in a mark, and its pid; both are empty without a mark."""
    named = read_text(os.path.join(root, *place, program)) or ""
    return named, named.partition(" ")[0]


def marked(root: str, place: tuple[str, str] = PLACE) -> list[str]:
    """Return the programs with a mark: that doze, or did until their process ended; or those in another `place`."""
    try:
        return sorted(os.listdir(os.path.join(root, *place)))
    except OSError:
        return []


def dozing(root: str) -> list[str]:
    """Return the programs whose processes doze."""
    return [each for each in marked(root) if dozes(root, each)]


def unmark(root: str, place: tuple[str, str], program: str) -> None:
    """Take a mark of a program away, if it is there."""
    with contextlib.suppress(FileNotFoundError), Directory(os.path.join(root, *place)) as opened:
        opened.remove(program)


def doze(root: str, program: str, needs: int, timeout: float) -> Document:
    """Let a replica without requests doze, within `timeout` seconds. Result: {"ok", "reason", "seconds"}.

    Its weights need `needs` bytes of the host's memory at most; with less it stays as it is. One that does not fall
    asleep is ended: then it rests, and its device is free all the same.
    """
    started = time.monotonic()
    identity = processes.identity(processes.state(root, program)["pid"])
    if identity == "0":
        return _result("its process has ended", started)
    if needs > memory.available():
        return _result("its weights may need more than the host's free memory", started)
    for place in (PLACE, ASLEEP):
        with Directory(make_own(root, *place)) as opened:
            opened.write(program, identity)
    why = _asked(root, program, "sleep", timeout)
    # A command that was interrupted may have stopped it meanwhile, and another replica have its slot.
    if why and dozes(root, program):
        hang.end(root, program)
    return _result(why, started)


def rouse(root: str, program: str, port: int, timeout: float) -> Document:
    """Wake a replica and have it answer a request of one token, within `timeout` seconds; see `doze` for the result.

    It keeps its marks where it fails. One that is awake already says so: a command was killed before it heard that.
    Where a command was interrupted amid its sleep, the seconds begin once it sleeps.
    """
    started = time.monotonic()
    if not dozes(root, program):
        return _result("its process has ended since it fell asleep", started)
    if (settles := SETTLED - _age(root, program)) > 0:
        # A replica of an older toolkit knows no such word, and says so at once.
        _asked(root, program, "settle", settles)
    began = time.monotonic()
    why = _asked(root, program, "wake", timeout)
    if not why:
        request = signs.of_slot(root, program)["probe"]
        left = max(0.1, timeout - (time.monotonic() - began))
        status = completion.status_of(port, request["path"], request["body"], left)
        if status != 200:
            said = "status %d" % status if status else "no answer"
            why = "it woke, and a request of one token had %s" % said
    if not why:
        forget(root, program)
    return _result(why, started)


def _age(root: str, program: str) -> float:
    """Return for how many seconds a program has been asked to sleep."""
    try:
        return max(0.0, time.time() - os.stat(os.path.join(root, *PLACE, program)).st_mtime)
    except OSError:
        return SETTLED


def forget(root: str, program: str) -> None:
    """Take both marks of a program away."""
    # A mark without the other is one that a former sleep has left, see `warmth`.
    for place in (ASLEEP, PLACE):
        unmark(root, place, program)


def _asked(root: str, program: str, word: str, timeout: float) -> str:
    """Ask the engine; return why it did not do so, empty where it did."""
    try:
        answer = mapping(_exchanged(os.path.join(root, "caches", program), word, timeout))
    except (OSError, ValueError) as error:
        return "its engine cannot be asked to %s: %s" % (word, error)
    if answer.get("ok") is True:
        return ""
    return "its engine does not %s: %.200s" % (word, answer.get("why") or "no answer")


def _exchanged(home: str, word: str, timeout: float) -> str:
    found = _opened(home)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect("/proc/self/fd/%d" % found)
            client.sendall(word.encode() + b"\n")
            return _line(client, time.monotonic() + timeout)
    finally:
        os.close(found)


def _opened(home: str) -> int:
    """Return a descriptor of the socket in a replica's home; raises OSError where it is none of the replica's own.

    The replica can put a link, or another name of any socket of root, in its place at each moment. So no name is
    followed, and what was looked at is what is connected to.
    """
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.open(_SOCKET, os.O_PATH | os.O_NOFOLLOW, dir_fd=handle)
        seen, owner = os.fstat(found), os.fstat(handle).st_uid
    finally:
        os.close(handle)
    if not stat.S_ISSOCK(seen.st_mode) or seen.st_uid != owner:
        os.close(found)
        raise OSError("what stands in the place of its socket is none of the replica's")
    return found


def _line(client: socket.socket, until: float) -> str:
    said = b""
    while b"\n" not in said and len(said) < _MOST:
        client.settimeout(max(0.01, until - time.monotonic()))
        piece = client.recv(_MOST)
        if not piece:
            break
        said += piece
    return said.decode("utf-8", "replace")


def _result(why: str, started: float) -> Document:
    return {"ok": not why, "reason": why, "seconds": time.monotonic() - started}
