#!/usr/bin/python
"""Ansible module: a program of the toolkit's own supervisord, over its UNIX socket."""

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisor_program
short_description: Manage a program of a supervisord that listens on a UNIX socket
description:
  - Makes supervisord read the program's configuration again where it changed,
    and starts, restarts, stops or removes it.
  - A former task writes or removes the program's file; C(absent) stops a program whose file was removed.
options:
  name:
    description: Name of the program (and of its group).
    required: true
    type: str
  state:
    description: Wanted state.
    choices: [present, started, restarted, stopped, absent]
    default: started
    type: str
  socket:
    description: Path of supervisord's socket.
    required: true
    type: path
author: [the toolkit's authors]
"""

EXAMPLES = r"""
- name: Start the router
  supervisor_program:
    name: router
    state: started
    socket: /var/lib/toolkit/supervisor/supervisor.sock
"""

RETURN = r"""
process_state:
  description: The program's state in supervisord in the end.
  returned: always
  type: str
"""

import http.client
import socket
import time
import xmlrpc.client

from ansible.module_utils.basic import AnsibleModule

RUNNING = ("RUNNING", "STARTING")
ALREADY_ADDED, NOT_RUNNING, ALREADY_STARTED, BAD_NAME = 90, 70, 60, 10


class Connection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=1200)
        self.path = path

    def connect(self):
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Transport(xmlrpc.client.Transport):
    """XML-RPC over a UNIX socket."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def make_connection(self, host):
        """Return a fresh connection; `host` is meaningless here."""
        return Connection(self.path)


def state_of(supervisor, name):
    """Return the program's state name, or ABSENT."""
    try:
        return supervisor.getProcessInfo(name)["statename"]
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == BAD_NAME:
            return "ABSENT"
        raise


def pending(supervisor, name):
    """Return whether reading the configuration again adds the program, and whether it changes or removes it."""
    added, changed, removed = supervisor.reloadConfig()[0]
    return name in added, name in changed or name in removed


def stop(supervisor, name):
    """Stop the program and wait until it has ended; after its stopwaitsecs supervisord kills it.

    Wait here: supervisord's own wait occupies a whole processor.
    """
    try:
        supervisor.stopProcess(name, False)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode not in (NOT_RUNNING, BAD_NAME):
            raise
    while state_of(supervisor, name) in (*RUNNING, "STOPPING", "BACKOFF"):
        time.sleep(0.2)


def remove(supervisor, name):
    """Stop the program and take it out of supervisord."""
    stop(supervisor, name)
    supervisor.removeProcessGroup(name)


def add(supervisor, name):
    """Make supervisord run the program by its configuration."""
    try:
        supervisor.addProcessGroup(name)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != ALREADY_ADDED:
            raise


def renew(supervisor, name):
    """Make supervisord run the program by its changed configuration."""
    remove(supervisor, name)
    add(supervisor, name)


def start(supervisor, name):
    """Start the program unless it runs; return whether it was started."""
    if state_of(supervisor, name) in RUNNING:
        return False
    try:
        supervisor.startProcess(name, False)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != ALREADY_STARTED:
            raise
        # supervisord itself starts each program that is added.
        return False
    return True


def action(state, before, added, renewed):
    """Return the function that brings a program which is `before` closer to `state`, None where none is needed."""
    if state == "absent":
        return None if before == "ABSENT" else remove
    if state == "stopped":
        return stop if before in RUNNING else None
    if renewed:
        return renew
    if added:
        return add
    return stop if state == "restarted" and before in RUNNING else None


def converge(module, supervisor):
    """Bring the program to the wanted state; return whether that changed anything."""
    name, state, dry = module.params["name"], module.params["state"], module.check_mode
    before = state_of(supervisor, name)
    added, renewed = pending(supervisor, name)
    if before == "ABSENT" and not (added or dry or state == "absent"):
        module.fail_json(msg=f"supervisord knows no program {name!r}; is its file in conf.d?")
    act = action(state, before, added, renewed)
    if act and not dry:
        act(supervisor, name)
    started = False
    if state in ("started", "restarted"):
        started = before not in RUNNING if dry else start(supervisor, name)
    return bool(act) or started


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "default": "started",
                "choices": ["present", "started", "restarted", "stopped", "absent"],
            },
            "socket": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    supervisor = xmlrpc.client.ServerProxy(
        "http://localhost", transport=Transport(module.params["socket"])
    ).supervisor
    deadline = time.monotonic() + 10
    while True:
        try:
            changed = converge(module, supervisor)
            break
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if module.check_mode:
                module.exit_json(changed=module.params["state"] not in ("absent", "stopped"))
            # supervisord opens its socket a moment after its start.
            if time.monotonic() > deadline:
                module.fail_json(msg=f"supervisord does not answer: {error}")
            time.sleep(0.1)
        except xmlrpc.client.Fault as fault:
            module.fail_json(msg=f"supervisord: {fault.faultString}")
    module.exit_json(
        changed=changed,
        process_state="unknown"
        if module.check_mode
        else state_of(supervisor, module.params["name"]),
    )


if __name__ == "__main__":
    main()
