#!/usr/bin/python
"""Ansible module: several directories at once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: directories
short_description: Create several directories in one task
description:
  - Creates each directory that is absent, and corrects owner and permissions of those that differ.
  - Does so in one task, because each task takes about half a second of a host's provisioning.
options:
  paths:
    description: The directories, created in this order.
    required: true
    type: list
    elements: path
  owner:
    description: User, and group of the same name, that own them. Only in check mode may they be absent.
    default: root
    type: str
  mode:
    description: Permissions, in octal.
    default: "0755"
    type: str
author: [the toolkit's authors]
"""

EXAMPLES = r"""
- name: Create the directories of a host
  directories:
    paths: [/var/lib/toolkit, /var/lib/toolkit/slots]
"""

RETURN = r"""
changed_paths:
  description: The directories that were, or in check mode would be, created or corrected.
  returned: always
  type: list
  elements: str
"""

import grp
import os
import pwd
import stat

from ansible.module_utils.basic import AnsibleModule


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "required": True},
            "owner": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0755"},
        },
        supports_check_mode=True,
    )
    wanted = (ids(module), int(module.params["mode"], 8))
    changed = [path for path in module.params["paths"] if found(module, path) != wanted]
    if not module.check_mode:
        (user, group), mode = wanted
        for path in changed:
            os.makedirs(path, exist_ok=True)
            os.chown(path, user, group)
            os.chmod(path, mode)
    module.exit_json(changed=bool(changed), changed_paths=changed)


def ids(module):
    """Return the owner's user and group; None in check mode where they are absent."""
    owner = module.params["owner"]
    try:
        return pwd.getpwnam(owner).pw_uid, grp.getgrnam(owner).gr_gid
    except KeyError:
        if not module.check_mode:
            module.fail_json(msg="there is no user and group %s" % owner)
        return None


def found(module, path):
    """Return owner and permissions of the directory; None where it is absent."""
    try:
        seen = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(seen.st_mode):
        module.fail_json(msg="%s is there and is no directory" % path)
    return (seen.st_uid, seen.st_gid), stat.S_IMODE(seen.st_mode)


if __name__ == "__main__":
    main()
