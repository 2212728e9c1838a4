#!/usr/bin/python
"""Ansible module: make the router read its files again without losing a request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: router_reload
short_description: Reload HAProxy through its master socket
description:
  - Asks HAProxy's master process for a reload and waits until the new worker runs. The former worker's streams go on.
  - Does nothing where no router runs, because a router reads the files at its start.
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

import re
import socket
import time

from ansible.module_utils.basic import AnsibleModule

MASTER = re.compile(r"^\d+\s+master\s+(\d+) \[failed: (\d+)\]", re.MULTILINE)
WORKER = re.compile(r"^\d+\s+worker\s+0\s", re.MULTILINE)


def ask(path, command):
    """Return the master's answer, or None where there is none."""
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
        except OSError:
            return None


def counts(path):
    """Return the numbers of reloads and of failed reloads, and whether a current worker runs."""
    text = ask(path, b"show proc") or ""
    found = MASTER.search(text)
    if found is None:
        return None
    return int(found.group(1)), int(found.group(2)), WORKER.search(text) is not None


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
    before = counts(path)
    if before is None:
        module.exit_json(changed=False, running=False)
    if module.check_mode:
        module.exit_json(changed=True, running=True)
    ask(path, b"reload")
    deadline = time.monotonic() + module.params["timeout"]
    while time.monotonic() < deadline:
        now = counts(path)
        if now and now[1] > before[1]:
            module.fail_json(msg="the router refused its new files; the former ones serve")
        if now and now[0] > before[0] and now[2]:
            module.exit_json(changed=True, running=True)
        time.sleep(0.02)
    module.fail_json(msg="the router did not reload in time")


if __name__ == "__main__":
    main()
