"""The host's side of the toolkit: observe, switch and wait, where milliseconds count.

    python3 -I toolkit/hostside/__main__.py COMMAND      (of the ops machine's own copy, or over SSH)

It reads one JSON document, the request, as the first line of standard input and writes JSON documents, one a
line: any number of `{"event": ...}`, empty ones as signs of life (see `life.py`), and at the end one `{"result": ...}`
or `{"error": "..."}`. `commands.py` lists the commands. `converse` is the exception: it reads one request after the
other, each with its `command`, and answers each in the same way. `serve` has any number of such dialogs at once, see
`channel.py`. `watch-host ROOT HANG STALL` runs for ever, see `watch.py`. `check-start ROOT PROGRAM` is for process
supervisors, see `start_check.py`; `carry-use ROOT PROGRAM` for the end of a replica, see `use_carry.py`; `read-energy`
asks the devices in a process of its own, see `energy.py`.

It needs nothing but Python >= 3.9 and leaves a host's configuration to Ansible. It ends with its standard input, so
that nothing outlives a killed ops machine.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import sys
import threading

from commands import COMMANDS
from wire import Document

_writing = threading.Lock()
# Errors that nobody raises for a person.
_UNFORESEEN = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError),
    *(RuntimeError, SyntaxError, TypeError, UnicodeError),
)


def main() -> int:
    """Run one command; exit code 0 with a result, 1 with an error."""
    # Permissions are set, not inherited: other users read the snapshots, and a login may have any umask.
    os.umask(0o022)
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name == "serve":
        import channel
        import keep_compiled

        keep_compiled.keep()
        channel.serve(run)
    if name == "watch-host":
        import watch

        return watch.main(sys.argv[2:])
    if name == "check-start":
        import start_check

        return start_check.main(sys.argv[2:])
    if name == "read-energy":
        import energy

        return energy.main()
    if name == "carry-use":
        import use_carry

        return use_carry.main(sys.argv[2:])
    return run(name)


def run(name: str) -> int:
    """Run a command whose request is on standard input, or all those of a conversation; return its exit code."""
    if name == "converse":
        import conversation

        return conversation.converse(carry_out)
    command = COMMANDS.get(name)
    if command and not command.quiet:
        import life

        threading.Thread(target=life.send, args=(show_life,), daemon=True).start()
    if command:
        # Before the request: a process that is started ahead of it has loaded its code by then.
        with contextlib.suppress(Exception):
            importlib.import_module(command.module)
    # As bytes: what follows the first line may be a file, and text mode would read ahead into it.
    request = json.loads(sys.stdin.buffer.readline() or b"{}")
    if command and not (command.carried_through or command.streams):
        threading.Thread(target=end_with_parent, daemon=True).start()
    return carry_out(name, request)


def carry_out(name: str, request: Document) -> int:
    """Answer a request; return 0 with a result, 1 with an error."""
    command = COMMANDS.get(name)
    if command is None:
        emit({"error": "unknown command; known: " + " ".join(sorted(COMMANDS))})
        return 2
    given = {
        **request,
        "request": request,
        "report": lambda event: emit({"event": event}),
        "stream": sys.stdin.buffer,
    }
    try:
        function = getattr(importlib.import_module(command.module), command.function)
    except Exception as error:
        # Its own files are not as they were placed.
        emit(
            {"error": f"the toolkit's program there is damaged: {error}", "hint": "toolkit repair"}
        )
        return 1
    try:
        emit({"result": function(*[given[name] for name in command.takes])})
    except Exception as error:
        emit({"error": _words(error), "hint": _hint(error)})
        return 1
    return 0


def _words(error: Exception) -> str:
    """Return an error in words for a person; the name of its class helps only where nobody foresaw it."""
    if isinstance(error, OSError) and error.strerror:
        # Without the number, which stands in `str(error)` and says no more.
        return ": ".join(str(each) for each in (error.strerror, error.filename) if each)
    words = str(error)
    foreseen = words and not isinstance(error, _UNFORESEEN)
    return words if foreseen else f"{type(error).__name__}: {words}"


def _hint(error: Exception) -> str:
    """Return the remedy of an error for a person, empty where none is known."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room on the host's disk: toolkit prune, or look there with df -h and df -i"
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return "the host's disk takes no changes any more; look there with dmesg"
    return getattr(error, "hint", "")


def emit(document: Document) -> None:
    """Write one JSON line."""
    with _writing:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


def show_life() -> None:
    """Write an empty event; raises OSError where nobody reads."""
    with _writing:
        # Not by `sys.stdout`, whose lock Python needs at its end while this thread may hold it.
        os.write(1, b'{"event": {}}\n')


def end_with_parent() -> None:
    """End this process once the ops machine's end of the pipe is closed."""
    while os.read(0, 4096):
        pass
    os._exit(3)
