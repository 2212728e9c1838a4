#!/usr/bin/python
"""Ansible module: the user of one slot, with the directories that are its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slot_user
short_description: Create the user of a slot, its home and the slot's directory
description:
  - Creates a system user without a shell, its group, and the group that it shares with other slots.
  - Creates the home, which the user alone may enter, and the slot's directory, which root owns and the user may read.
  - Does so in one task, because each task takes about half a second of a replica's start.
options:
  name:
    description: The user, and its group of the same name.
    required: true
    type: str
  group:
    description: The group that the users of all slots share.
    required: true
    type: str
  home:
    description: The directory that the user may write to.
    required: true
    type: path
  compiling:
    description: The directory that the engine compiles into, which the user may write to.
    required: true
    type: path
  slot:
    description: The directory of the slot's files.
    required: true
    type: path
author: [the toolkit's authors]
"""

EXAMPLES = r"""
- name: Create the slot's user
  slot_user:
    name: toolkit-tiny-blue
    group: toolkit-models
    home: /var/lib/toolkit/caches/tiny-blue
    compiling: /var/lib/toolkit/compiling/tiny-blue
    slot: /var/lib/toolkit/slots/tiny-blue
"""

RETURN = r"""
created:
  description: The user, groups and directories that were, or in check mode would be, created or corrected.
  returned: always
  type: list
  elements: str
"""

import grp
import os
import pwd
import stat

from ansible.module_utils.basic import AnsibleModule

NOBODY = (-1, -1)


def main():
    """Run the module."""
    text, path = {"type": "str", "required": True}, {"type": "path", "required": True}
    module = AnsibleModule(
        argument_spec={
            "name": text,
            "group": text,
            "home": path,
            "compiling": path,
            "slot": path,
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    wanted = module.params
    created = [*accounts(module, wanted["name"], wanted["group"])]
    try:
        user, own = pwd.getpwnam(wanted["name"])[2:4]
    except KeyError:
        user, own = NOBODY
    directories = (
        (wanted["home"], user, own, 0o700),
        (wanted["compiling"], user, own, 0o700),
        (wanted["slot"], 0, own, 0o750),
    )
    created += [each[0] for each in directories if converge(module, *each)]
    module.exit_json(changed=bool(created), created=created)


def accounts(module, name, group):
    """Create user and groups that are absent; yield their names."""
    for each in (group, name):
        if not known(grp.getgrnam, each):
            run(module, ["groupadd", "--system", each])
            yield f"group {each}"
    if not known(pwd.getpwnam, name):
        words = ["--system", "--no-create-home", "--home-dir", "/nonexistent"]
        words += ["--gid", name, "--groups", group, "--shell", "/usr/sbin/nologin"]
        run(module, ["useradd", *words, "--comment", "One replica of a model", name])
        yield f"user {name}"
    elif name not in grp.getgrnam(group).gr_mem:
        run(module, ["usermod", "--append", "--groups", group, name])
        yield f"{name} in {group}"


def known(find, name):
    """Return whether the account exists."""
    try:
        find(name)
    except KeyError:
        return False
    return True


def run(module, argv):
    """Run a program of the system's accounts, unless this is check mode."""
    if not module.check_mode:
        # They lie outside of an ordinary user's PATH.
        os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
        module.run_command(argv, check_rc=True)


def converge(module, path, user, group, mode):
    """Create the directory, or correct its owner and permissions; return whether that changed anything.

    Root owns the directory above it, so no other user can put a link in its place.
    """
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        seen = None
    if seen is not None and not stat.S_ISDIR(seen.st_mode):
        module.fail_json(msg=f"{path} is there and is no directory")
    if seen and (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (user, group, mode):
        return False
    if not module.check_mode:
        if seen is None:
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            os.mkdir(path, 0o700)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchown(handle, user, group)
            os.fchmod(handle, mode)
        finally:
            os.close(handle)
    return True


if __name__ == "__main__":
    main()
