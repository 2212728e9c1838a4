#!/usr/bin/python
"""Ansible module: all that provisioning has to see of a host beforehand, in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_look
short_description: Look at a host before it is provisioned
description:
  - Finds what lies there from a former provisioning, whether the host is a container, and its NVIDIA devices.
  - Does so in one task, because each task takes about half a second of a host's provisioning. Changes nothing.
options:
  root:
    description: Directory that holds everything the toolkit keeps on the host.
    required: true
    type: path
  user:
    description: The router's user.
    required: true
    type: str
  init:
    description: What starts processes on this host.
    required: true
    choices: [systemd, supervisord]
    type: str
author: [the toolkit's authors]
"""

EXAMPLES = r"""
- name: Look at the host
  host_look:
    root: /var/lib/toolkit
    user: toolkit
    init: systemd
  register: host_look
"""

RETURN = r"""
paths:
  description: Units, rules, seals, the router's files and the cache that replicas shared, as far as they are there.
  returned: always
  type: list
  elements: str
former_replicas:
  description: Whether a replica that an older toolkit set up runs as the router's user.
  returned: always
  type: bool
container:
  description: Whether the host shares the kernel and the clock of its machine. Nobody looks where there is no systemd.
  returned: always
  type: bool
devices:
  description: NVIDIA's display devices, by their place on the PCI bus.
  returned: always
  type: list
  elements: str
"""

import glob
import os
import re

from ansible.module_utils.basic import AnsibleModule

UNITS, RULES, PCI = "/etc/systemd/system", "/etc/nftables.d", "/sys/bus/pci/devices"
NVIDIA, DISPLAY = "0x10de", "0x03"


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "init": {"type": "str", "required": True, "choices": ["systemd", "supervisord"]},
        },
        supports_check_mode=True,
    )
    root, user, init = (module.params[each] for each in ("root", "user", "init"))
    module.exit_json(
        changed=False,
        paths=found(root),
        former_replicas=has_former_replicas(root, user, init),
        container=init == "systemd" and is_container(module),
        devices=devices(),
    )


def found(root):
    """Return the paths of what provisioning may have to remove, sorted."""
    name = glob.escape(os.path.basename(root))
    patterns = (
        os.path.join(UNITS, name + "-*.service"),
        os.path.join(RULES, name + ".nft"),
        os.path.join(glob.escape(root), "seals", "*"),
        os.path.join(glob.escape(root), "router", "*"),
        os.path.join(glob.escape(root), "cache"),
    )
    return sorted(path for pattern in patterns for path in glob.glob(pattern))


def has_former_replicas(root, user, init):
    """Return whether a file that starts a process, but not the router, names the router's user."""
    if init == "systemd":
        pattern = os.path.join(UNITS, glob.escape(os.path.basename(root)) + "-*.service")
    else:
        pattern = os.path.join(glob.escape(root), "supervisor", "conf.d", "*.conf")
    line = re.compile(r"^[Uu]ser ?= ?%s$" % re.escape(user), re.MULTILINE)
    starters = (path for path in glob.glob(pattern) if "router." not in os.path.basename(path))
    return any(line.search(text(path)) for path in starters)


def is_container(module):
    """Return whether systemd calls the host a container; fail with systemd's words where it cannot tell."""
    code, said, complained = module.run_command(["systemd-detect-virt", "--quiet", "--container"])
    if code not in (0, 1):
        words = (complained or said).strip()
        module.fail_json(msg="systemd-detect-virt ended with %d: %s" % (code, words))
    return code == 0


def devices():
    """Return NVIDIA's display devices; a network card of theirs is none."""
    places = sorted(glob.glob(os.path.join(PCI, "*")))
    return [
        os.path.basename(place)
        for place in places
        if NVIDIA in text(os.path.join(place, "vendor"))
        and text(os.path.join(place, "class")).startswith(DISPLAY)
    ]


def text(path):
    """Return the file's text, empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
