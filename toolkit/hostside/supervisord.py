"""The state of processes on a host without systemd, from supervisord."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
import xml.parsers.expat
import xmlrpc.client
from typing import Any

from wire import Document

SECONDS = 5.0
# Seconds for which one that did not answer in time is not asked again: each look of the watch would wait for it.
SILENT_SECONDS = 30.0
# The path of its socket -> until when.
_silent: dict[str, float] = {}


class Silent(Exception):
    """No supervisord answers, or none that can be understood: it was killed, does not run, or is stopped."""


# An answer that is cut short, or is none of a supervisord.
_NONSENSE = (
    xmlrpc.client.Error,
    xml.parsers.expat.ExpatError,
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
    AttributeError,
    RecursionError,
    MemoryError,
)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._socket_path = path

    def make_connection(self, host: Any) -> _UnixConnection:
        # The library closes the connection that it finds in this field.
        made = _UnixConnection(self._socket_path)
        self._connection = host, made
        return made


def start_again(root: str) -> str:
    """Start the supervisord of the toolkit in `root` after it was killed; return why it does not run, else nothing."""
    conf = os.path.join(root, "supervisor", "supervisord.conf")
    done = subprocess.run(
        ["/usr/bin/supervisord", "-c", conf],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # It opens its log before it sets its own.
        umask=0o022,
        universal_newlines=True,
        check=False,
    )
    # Somebody else may have been faster.
    return "" if done.returncode == 0 or "already" in done.stdout else done.stdout.strip()


def state(path: str, program: str) -> Document:
    """Return the result of `processes.state` from the supervisord that listens at `path`; raises Silent."""
    if time.monotonic() < _silent.get(path, 0.0):
        raise Silent("it did not answer a moment ago")
    try:
        proxy: Any = xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(path))
        with proxy:
            info = proxy.supervisor.getProcessInfo(program)
    except xmlrpc.client.Fault:
        return {"state": "absent", "pid": 0, "started_at": None}
    except (OSError, http.client.HTTPException, *_NONSENSE) as error:
        if isinstance(error, socket.timeout):
            _silent[path] = time.monotonic() + SILENT_SECONDS
        raise Silent(str(error)) from None
    try:
        name, pid, start = info["statename"], int(info["pid"]), float(info["start"])
    except _NONSENSE as error:
        raise Silent("it describes no program: %s" % error) from None
    if name in ("RUNNING", "STARTING"):
        word = "running"
    elif name in ("BACKOFF", "FATAL", "EXITED", "UNKNOWN"):
        word = "failed"
    else:
        word = "stopped"
    pid = pid if word == "running" else 0
    return {"state": word, "pid": pid, "started_at": start if pid else None}
