"""The process of one run: one JSON request on standard input, ansible-runner's events as JSON lines.

It ends its playbook once standard input closes, as it does when the toolkit's command is killed, or has had no sign of
life (an empty line) for too long: the command was stopped then, and its lock of the host goes to others. All processes
of the playbook on this machine end with it. Ansible gives each task a session of its own, so a module would otherwise
outlive its playbook and go on changing the host.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toolkit.adapters.ansible import ansible_playbook
from toolkit.adapters.ansible.kept_modules import kept_modules
from toolkit.adapters.ansible.secret_pipe import secret_pipe

# Many times the time in which ansible-runner notices that its playbook is gone.
GRACE_SECONDS = 5.0
# Ansible begins no task in less after a machine has woken.
_TICK_SECONDS = 0.05


def main() -> None:
    """Run the playbook of the request and report how it ended."""
    _emit({"event": "begun", "pid": os.getpid()})
    request = json.loads(sys.stdin.readline())
    private = Path(request["private_data_dir"])
    hung_up, killed, ended = threading.Event(), threading.Event(), threading.Event()
    listen = (hung_up, killed, ended, private, request["silence"])
    threading.Thread(target=_listen, args=listen, daemon=True).start()

    import ansible_runner

    with _become_settings(private, request["become_password"]) as settings:
        result = ansible_runner.run(
            private_data_dir=str(private),
            inventory=request["inventory"],
            extravars=request["extravars"],
            # The program that it finds there is not started: see `ansible_playbook`.
            binary=sys.executable,
            cmdline=shlex.join([*request["options"], request["playbook"]]),
            envvars={**ansible_settings(private), **_modules(request), **settings},
            settings={"pexpect_timeout": 0.05, "suppress_ansible_output": True},
            quiet=True,
            event_handler=_emit,
            # This ends only the playbook. Its tasks would lose their parent and could not be found any more.
            cancel_callback=killed.is_set,
        )
    ended.set()
    ok = result.status == "successful"
    # The event of a failed task has reported the failure; any other failure shows in the status alone.
    failure = "" if ok or (result.status == "failed" and result.stats) else _last_words(result)
    if hung_up.is_set():
        # The parent may be gone, so remove the private files here.
        shutil.rmtree(private, ignore_errors=True)
        sys.exit(1)
    _emit({"event": "ended", "event_data": {"failure": failure}})
    sys.exit(0 if ok else 1)


@contextmanager
def _become_settings(private: Path, password: str) -> Iterator[dict[str, str]]:
    """Yield the settings with which Ansible reads the password for sudo, where there is one."""
    if not password:
        yield {}
        return
    with secret_pipe(private / "become", password) as pipe:
        yield {"ANSIBLE_BECOME_PASSWORD_FILE": str(pipe)}


def ansible_settings(private: Path) -> dict[str, str]:
    """Return Ansible's settings, with `private` as the place of its files.

    An empty configuration stands before those of the operator and of the machine: a question for a password, which they
    may ask for, would wait at a terminal that nobody sees.
    """
    configuration, temporary = private / "ansible.cfg", private / "tmp"
    configuration.touch()
    temporary.mkdir(exist_ok=True)
    return {
        "ANSIBLE_CONFIG": str(configuration),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_HOST_KEY_CHECKING": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_LOCAL_TEMP": str(temporary),
        # Modules unpack themselves there on a host that is this machine. One that is killed leaves it behind.
        "TMPDIR": str(temporary),
        "ANSIBLE_HOME": str(private / "home"),
        "ANSIBLE_NOCOLOR": "1",
    }


def _modules(request: dict[str, Any]) -> dict[str, str]:
    """Return the setting with which built modules are kept, where they are to be and can be."""
    # Elsewhere the playbook builds its own.
    with suppress(OSError):
        if request["modules"]:
            kept = kept_modules(Path(request["modules"]), Path(request["playbook"]).parent)
            return {ansible_playbook.KEPT: str(kept)}
    return {}


def _emit(event: dict[str, Any]) -> bool:
    sys.stdout.write(json.dumps(event, default=str) + "\n")
    sys.stdout.flush()
    # False keeps ansible-runner from writing the event to disk.
    return False


def _listen(
    hung_up: threading.Event,
    killed: threading.Event,
    ended: threading.Event,
    private: Path,
    silence: float,
) -> None:
    await_silence(0, silence)
    # Daemons that a finished playbook has started stay.
    if ended.is_set():
        return
    hung_up.set()
    until = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < until:
        _kill_descendants()
        killed.set()
        if ended.wait(0.2):
            return
    shutil.rmtree(private, ignore_errors=True)
    os._exit(1)


def await_silence(source: int, silence: float) -> None:
    """Return once `source` has ended, or has had no sign of life for so many seconds."""
    last = _now()
    while True:
        ready = select.select([source], [], [], _TICK_SECONDS)[0]
        # Before a sign is read: one may have waited while this process was stopped with its command.
        if (silent := _now() - last) > silence:
            sys.stderr.write(f"its command was stopped for {silent:.0f} s\n")
            sys.stderr.flush()
            return
        if ready:
            if not os.read(source, 4096):
                return
            last = _now()


def _now() -> float:
    # It counts on while this machine sleeps.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _kill_descendants() -> None:
    """Freeze all descendants before killing them, so that none starts another meanwhile."""
    frozen: set[int] = set()
    while new := _descendants(os.getpid()) - frozen:
        for pid in new:
            _send(pid, signal.SIGSTOP)
        frozen |= new
    for pid in frozen:
        _send(pid, signal.SIGKILL)


def _descendants(top: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The command's name stands in brackets and may hold any character; state and parent follow it.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    left = [top]
    while left:
        new = children.get(left.pop(), [])
        found.update(new)
        left.extend(new)
    return found


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _last_words(result: Any) -> str:
    try:
        lines = [line for line in result.stdout.read().splitlines() if line.strip()]
    except (OSError, ValueError, AttributeError):
        lines = []
    errors = [line for line in lines if "ERROR" in line or "error" in line]
    return f"Ansible {result.status}: {(errors or lines or [''])[-1]}"
