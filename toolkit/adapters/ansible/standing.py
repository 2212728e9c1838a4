"""One process that has Ansible loaded, for all playbooks that a command runs.

Loading Python, ansible-runner and Ansible takes a processor 1.7 s, half of what a short playbook costs. The process
loads them once, and forks for each run; see `standing_process` for its side.

ansible-runner writes the whole environment of its process into its artifacts, and the toolkit's environment may hold
tokens, so the process gets an allow-listed environment.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

# The variables of the caller's environment that Ansible and OpenSSH need. A test keeps tokens off this list.
PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "SSH_AUTH_SOCK", "TERM",
)  # fmt: skip
# The process has nothing to do at its end, unless it still loads Ansible.
END_SECONDS = 0.5
# A run takes a quarter of it to end its playbook.
PATIENCE_SECONDS = 20.0


class Standing:
    """Starts the process at the first need; it ends with this object, at the latest with the command.

    `scratch` is a directory of this user's alone. All methods may be called by several threads.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._guard = threading.Lock()
        self._process: _Process | None = None

    def start(self) -> None:
        """Begin to load Ansible, and return at once."""
        self._running()

    @contextmanager
    def run(self, log: int) -> Iterator[Run]:
        """Yield a run that writes its errors to the descriptor `log`; it ends at the latest with the context."""
        with ExitStack() as theirs:
            request, ours = os.pipe()
            theirs.callback(os.close, request)
            answers, answer = os.pipe()
            theirs.callback(os.close, answer)
            self._running().fork(request, answer, log)
        run = Run(os.fdopen(ours, "w"), os.fdopen(answers))
        try:
            yield run
        finally:
            run.close()

    def last_words(self) -> str:
        """Return the last line of the process's own errors, empty where there is none."""
        return self._process.last_words() if self._process else ""

    def _running(self) -> _Process:
        with self._guard:
            if self._process is None or not self._process.is_there():
                self._process = _Process(self._scratch)
                weakref.finalize(self, self._process.end)
            return self._process


class Run:
    """A run of a playbook; `requests` and `answers` are its standard input and output."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests, self._answers = requests, answers
        self._pid = 0

    def ask(self, request: Mapping[str, Any]) -> None:
        """Send the one request. Where the process has died, the run has no events."""
        with suppress(BrokenPipeError):
            self._requests.write(json.dumps(dict(request)) + "\n")
            self._requests.flush()

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events of the run until its end."""
        for line in self._answers:
            if not line.endswith("\n"):
                # The run was killed while it wrote.
                return
            event = _event(line)
            if event.get("event") == "begun":
                self._pid = event["pid"]
            else:
                yield event

    def sign(self) -> None:
        """Tell the run that its command is at work."""
        # ValueError: it was hung up meanwhile.
        with suppress(BrokenPipeError, ValueError):
            self._requests.write("\n")
            self._requests.flush()

    def hang_up(self) -> None:
        """Tell the run to end its playbook."""
        with suppress(BrokenPipeError):
            self._requests.close()

    def close(self) -> None:
        """End the run and wait until it has ended: only it has the other end of its output."""
        self.hang_up()
        until = time.monotonic() + PATIENCE_SECONDS
        with self._answers as answers, selectors.DefaultSelector() as ready:
            ready.register(answers, selectors.EVENT_READ)
            while ready.select(max(0.0, until - time.monotonic())):
                if not os.read(answers.fileno(), 2**16):
                    return
            if self._pid:
                with suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)


def _event(line: str) -> dict[str, Any]:
    """Return the event in a line; a question mark replaces what UTF-8 cannot encode, such as an odd byte of a host."""
    event: dict[str, Any] = json.loads(line)
    if "\\ud" in line:
        event = json.loads(json.dumps(event, ensure_ascii=False).encode(errors="replace"))
    return event


class _Process:
    """The process itself, from its start to its end."""

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._log = tempfile.TemporaryFile("w+", dir=scratch)  # noqa: SIM115  (`end` closes it)
        # Ansible makes a directory when it is loaded; the process removes it then.
        self._place = Path(tempfile.mkdtemp(prefix="ansible-", dir=scratch.absolute()))
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.standing_process", str(self._place)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                # This very toolkit, and no module of the working directory: that one may be anybody's.
                env={**_environment(), "PYTHONPATH": str(Path(__file__).parents[3])},
                start_new_session=True,
            )

    def is_there(self) -> bool:
        return self._child.poll() is None

    def fork(self, *descriptors: int) -> None:
        # Where the process has died, the run's output ends at once.
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._link, [b"run"], descriptors)

    def last_words(self) -> str:
        self._log.seek(0)
        return (self._log.read().strip().splitlines() or [""])[-1]

    def end(self) -> None:
        self._link.close()
        try:
            self._child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log.close()
        shutil.rmtree(self._place, ignore_errors=True)


def _environment() -> dict[str, str]:
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # Ansible runs in a UTF-8 locale alone, whatever the caller's is.
    environment["LC_ALL"] = "C.UTF-8"
    environment["PATH"] = (
        f"{Path(sys.executable).parent}:{environment.get('PATH', '/usr/bin:/bin')}"
    )
    return environment
