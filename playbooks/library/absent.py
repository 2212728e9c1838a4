#!/usr/bin/python
"""Ansible module: a unit of systemd and files that are to be gone, in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: absent
short_description: Stop and remove a unit of systemd, and remove files and directories
description:
  - Stops and disables the unit, removes its file, and has systemd forget it. Without the file nothing of it happens.
  - Then removes the paths in their order, directories with all that they hold. Links are removed and not followed.
  - Does so in one task, because each task takes about half a second of a host's provisioning.
options:
  unit:
    description: The unit, such as C(toolkit-router.service), whose file lies in C(/etc/systemd/system).
    type: str
  paths:
    description: Files and directories, removed in this order after the unit.
    default: []
    type: list
    elements: path
author: [the toolkit's authors]
"""

EXAMPLES = r"""
- name: Remove a replica with its slot
  absent:
    unit: toolkit-tiny-blue.service
    paths: [/var/lib/toolkit/slots/tiny-blue]
"""

RETURN = r"""
removed:
  description: The unit and the paths that were, or in check mode would be, removed.
  returned: always
  type: list
  elements: str
"""

import os
import shutil
import stat
import subprocess

from ansible.module_utils.basic import AnsibleModule

UNITS = "/etc/systemd/system"


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str"},
            "paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    unit = module.params["unit"]
    removed = [unit] if unit and forget(module, unit) else []
    removed += [path for path in module.params["paths"] if remove(path, module.check_mode)]
    module.exit_json(changed=bool(removed), removed=removed)


def forget(module, unit):
    """Stop, disable and remove the unit; return whether it was there."""
    file = os.path.join(UNITS, unit)
    if not os.path.lexists(file):
        return False
    if not module.check_mode:
        # systemd runs all its generators to read its files: once is enough.
        for words in (["stop"], ["disable", "--quiet", "--no-reload"]):
            module.run_command(["systemctl", *words, unit], check_rc=True)
        os.unlink(file)
        module.run_command(["systemctl", "daemon-reload"], check_rc=True)
    return True


def remove(path, check_mode):
    """Remove what has this name; return whether anything had."""
    try:
        seen = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not check_mode:
        if stat.S_ISDIR(seen.st_mode):
            remove_tree(path)
        else:
            os.unlink(path)
    return True


def remove_tree(path):
    """Remove a directory with all that its user may have put into it."""
    try:
        shutil.rmtree(path)
    except (RecursionError, OSError):
        # Python's own removal nests its calls and opens as many directories as the tree is deep.
        subprocess.run(["rm", "-rf", "--", path], check=True)


if __name__ == "__main__":
    main()
