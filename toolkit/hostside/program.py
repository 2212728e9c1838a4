"""The output of a program that may hang in the kernel, as those that ask a driver do."""

from __future__ import annotations

import contextlib
import os
import select
import time

# A process that was killed ends within this time, or not before its driver answers.
_ENDS_SECONDS = 1.0
# Python ignores these signals, and programs expect the system's way with them (SIGPIPE, SIGXFSZ).
_IGNORED = (13, 25)
_KILL = 9
_PIECE = 2**16


def is_there(name: str) -> bool:
    """Whether a program of this name can be started."""
    return any(os.access(os.path.join(each, name), os.X_OK) for each in os.get_exec_path())


def run(argv: list[str], seconds: float) -> tuple[int, str, str]:
    """Return the exit code of `argv`, negative for a signal, its output and its errors.

    Raises OSError, and TimeoutError after `seconds`, when it is killed.
    """
    ends = time.monotonic() + seconds
    with open(os.devnull, "rb") as nothing:
        pipes = [os.pipe() for _ in range(2)]
        try:
            given = [nothing.fileno(), *(write for _, write in pipes)]
            pid = os.posix_spawnp(
                argv[0],
                argv,
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, each, own) for own, each in enumerate(given)],
                setsigdef=_IGNORED,
            )
        except OSError:
            for read, _ in pipes:
                os.close(read)
            raise
        finally:
            for _, write in pipes:
                os.close(write)
    said = {read: b"" for read, _ in pipes}
    try:
        _read(said, ends)
        status = _status(pid, ends)
    except TimeoutError:
        os.kill(pid, _KILL)
        os.waitpid(pid, 0)
        raise
    finally:
        for read in said:
            os.close(read)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    output, errors = (each.decode("utf-8", "replace") for each in said.values())
    return code, output, errors


def _status(pid: int, ends: float) -> int:
    """Wait for the end of a process that has closed its output; raises TimeoutError."""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > ends:
            raise TimeoutError("it did not end in time")
        time.sleep(0.001)


def _read(said: dict[int, bytes], ends: float) -> None:
    """Read what comes from pipes to their ends; raises TimeoutError."""
    poll = select.poll()
    for each in said:
        poll.register(each, select.POLLIN)
    left = len(said)
    while left:
        ready = poll.poll(max(0.0, ends - time.monotonic()) * 1000)
        if not ready:
            raise TimeoutError("it did not end in time")
        for handle, _ in ready:
            piece = os.read(handle, _PIECE)
            said[handle] += piece
            if not piece:
                poll.unregister(handle)
                left -= 1


def output(argv: list[str], seconds: float, errors: int) -> tuple[int, str]:
    """Return the exit code and the output of `argv`; `errors` is where its errors go, as `subprocess` has it.

    Raises OSError, and TimeoutExpired after `seconds`. A program in an uninterruptible wait, as a driver that hangs has
    it, does not even end when it is killed, and `subprocess.run` would wait for that.
    """
    import subprocess

    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
    )
    assert process.stdout is not None
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_SECONDS)
        raise
    return process.returncode, said.decode("utf-8", "replace")
