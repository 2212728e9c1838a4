#!/usr/bin/python
"""Ansible module: make the router read its files again without losing a request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: router_reload
short_description: Reload HAProxy through its master socket
description:
  - Asks HAProxy's master process for a reload and waits until the new worker runs. The former worker's streams go on.
  - Does nothing where no router runs, because a router reads the files at its start.
  - Ends a router whose directory was removed while it ran, because no reload finds a new one. Its supervisor starts it.
options:
  socket:
    description: Path of the master socket.
    required: true
    type: path
  timeout:
    description: Seconds to wait for the new worker.
    default: 20
    type: int
author: [the toolkit's authors]
"""

EXAMPLES = r"""
- name: Reload the router
  router_reload:
    socket: /var/lib/toolkit/control/master.sock
"""

RETURN = r"""
running:
  description: Whether a router runs.
  returned: always
  type: bool
"""

import os
import re
import signal
import socket
import time

from ansible.module_utils.basic import AnsibleModule

MASTER = re.compile(r"^(\d+)\s+master\s+(\d+) \[failed: (\d+)\]", re.MULTILINE)
WORKER = re.compile(r"^\d+\s+worker\s+0\s", re.MULTILINE)
# A reload that has not begun by then was lost.
LOST = 1


def ask(path, command):
    """Return the master's answer, nothing where it drops the connection, or None where nobody listens.

    A master that replaces itself at a reload drops the connections that it has taken, without a word.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
            connection.sendall(command + b"\n")
            connection.shutdown(socket.SHUT_WR)
            chunks = []
            while True:
                chunk = connection.recv(65536)
                if not chunk:
                    return b"".join(chunks).decode()
                chunks.append(chunk)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError:
            return ""


def counts(path, until):
    """Return the master's pid, its reloads, its failed reloads, and whether a current worker runs; None without one."""
    while True:
        text = ask(path, b"show proc")
        if text is None:
            return None
        found = MASTER.search(text)
        if found is not None:
            return (*map(int, found.groups()), WORKER.search(text) is not None)
        if time.monotonic() > until:
            return None
        time.sleep(0.02)


def is_blind(pid, directory):
    """Whether the router has another directory in its own view than the one where its files are.

    systemd mounts that directory there when the router starts, and one that takes its place later never shows.
    """
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            words = file.read().split(b"\0")
        base = os.path.join(directory, "haproxy.cfg").encode()
        return base in words and not os.path.samefile(
            "/proc/%d/root%s" % (pid, directory), directory
        )
    except OSError:
        return False


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    path = module.params["socket"]
    until = time.monotonic() + module.params["timeout"]
    before = counts(path, until)
    if before is None:
        if ask(path, b"show proc") is not None:
            module.fail_json(msg="the router does not answer on its control socket")
        module.exit_json(changed=False, running=False)
    if module.check_mode:
        module.exit_json(changed=True, running=True)
    asked = -LOST
    if is_blind(before[0], os.path.join(os.path.dirname(os.path.dirname(path)), "router")):
        os.kill(before[0], signal.SIGTERM)
        asked = until
    while time.monotonic() < until:
        # Another reload, which the master has just begun, drops this one without a word.
        if asked + LOST < time.monotonic():
            ask(path, b"reload")
            asked = time.monotonic()
        now = counts(path, until)
        if now and now[0] == before[0] and now[2] > before[2]:
            module.fail_json(msg="the router refused its new files; the former ones serve")
        # A master that started since has read the files, too, and counts from 0.
        if now and (now[0] != before[0] or now[1] > before[1]):
            if now[3]:
                module.exit_json(changed=True, running=True)
            asked = until
        time.sleep(0.02)
    module.fail_json(msg="the router did not reload in time")


if __name__ == "__main__":
    main()
