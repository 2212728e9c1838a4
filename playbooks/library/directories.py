#!/usr/bin/python
"""Ansible module: several directories at once, with the accounts that own them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: directories
short_description: Create several directories and the accounts that own them in one task
description:
  - Creates the system user and the system groups that are absent, takes the shell from a user that has one, and puts
    the user into its groups.
  - Creates each directory that is absent, and corrects owner and permissions of those that differ.
  - Does so in one task, because each task takes about half a second of a host's provisioning and of a replica's start.
options:
  user:
    description: A system user without a shell and without a home, with a group of the same name.
    type: dict
    suboptions:
      name:
        description: The user.
        required: true
        type: str
      comment:
        description: What the user is for.
        required: true
        type: str
      groups:
        description: System groups that the user shares with others.
        default: []
        type: list
        elements: str
  groups:
    description: System groups.
    default: []
    type: list
    elements: str
  directories:
    description: The directories, created in this order.
    required: true
    type: list
    elements: dict
    suboptions:
      paths:
        description: Directories with the same owner and permissions.
        required: true
        type: list
        elements: path
      owner:
        description: User that owns them. Only in check mode may it be absent.
        default: root
        type: str
      group:
        description: Their group, by default the one with the owner's name. Only in check mode may it be absent.
        type: str
      mode:
        description: Permissions, in octal.
        default: "0755"
        type: str
      take_over:
        description:
          - Whether a directory of another owner, which was in that owner's hands, is cleared.
          - What is no regular file with one name, such as a link, is removed from it.
          - Its files go to the new owner. Sockets stay, because a running process may use them.
        default: true
        type: bool
      own_entries:
        description:
          - Whether what lies in it and is another user's is removed, because its owner could not write to it.
          - A directory C(use) is given to the owner instead, with the files that nobody may have read yet.
          - Sockets stay.
        default: false
        type: bool
author: [the toolkit's authors]
"""

EXAMPLES = r"""
- name: Create the directories of a host
  directories:
    user: {name: toolkit, comment: Self-hosted models}
    groups: [toolkit-models]
    directories:
      - paths: [/var/lib/toolkit, /var/lib/toolkit/slots]
      - paths: [/var/lib/toolkit/logs]
        mode: "0750"
"""

RETURN = r"""
changed_paths:
  description: The accounts and directories that were, or in check mode would be, created or corrected.
  returned: always
  type: list
  elements: str
"""

import contextlib
import grp
import itertools
import os
import pwd
import stat
import subprocess

from ansible.module_utils.basic import AnsibleModule

NO_HOME, NO_SHELL = "/nonexistent", "/usr/sbin/nologin"
# Names of a directory that are looked at for those of other users.
MOST_NAMES = 4096


def main():
    """Run the module."""
    directory_spec = {
        "paths": {"type": "list", "elements": "path", "required": True},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str"},
        "mode": {"type": "str", "default": "0755"},
        "take_over": {"type": "bool", "default": True},
        "own_entries": {"type": "bool", "default": False},
    }
    user_spec = {
        "name": {"type": "str", "required": True},
        "comment": {"type": "str", "required": True},
        "groups": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "dict", "options": user_spec},
            "groups": {"type": "list", "elements": "str", "default": []},
            "directories": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": directory_spec,
            },
        },
        supports_check_mode=True,
    )
    changed = [*accounts(module, module.params["user"], module.params["groups"])]
    for each in module.params["directories"]:
        wanted = (ids(module, each["owner"], each["group"]), int(each["mode"], 8))
        for path in each["paths"]:
            own = each["own_entries"]
            if found(module, path) == wanted and not (own and of_others(path, wanted[0][0])):
                continue
            changed.append(path)
            if not module.check_mode:
                converge(path, *wanted, take_over=each["take_over"], own_entries=own)
    module.exit_json(changed=bool(changed), changed_paths=changed)


def accounts(module, user, groups):
    """Create the groups and the user that are absent, and correct the user; yield what that changes."""
    for group in [*groups, *(user["groups"] if user else [])]:
        if not known(grp.getgrnam, group):
            run(module, ["groupadd", "--system", group])
            yield "group %s" % group
    if user:
        yield from account(module, user["name"], user["comment"], user["groups"])


def account(module, name, comment, groups):
    """Create the user, or correct its shell and its groups; yield what that changes."""
    if not known(pwd.getpwnam, name):
        words = ["--system", "--no-create-home", "--home-dir", NO_HOME]
        words += ["--shell", NO_SHELL, "--comment", comment]
        words += ["--groups", ",".join(groups)] if groups else []
        # A group of this name may be there already.
        words += ["--gid", name] if known(grp.getgrnam, name) else ["--user-group"]
        run(module, ["useradd", *words, name])
        yield "user %s" % name
        return
    if pwd.getpwnam(name).pw_shell != NO_SHELL:
        run(module, ["usermod", "--shell", NO_SHELL, name])
        yield "shell of %s" % name
    for group in groups:
        # In check mode the group may still be absent.
        if not known(grp.getgrnam, group) or name not in grp.getgrnam(group).gr_mem:
            run(module, ["usermod", "--append", "--groups", group, name])
            yield "%s in %s" % (name, group)


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


def ids(module, owner, group):
    """Return the wanted user and group; None in check mode where they are absent."""
    try:
        return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group or owner).gr_gid
    except KeyError:
        if not module.check_mode:
            module.fail_json(msg="there is no user %s or no group %s" % (owner, group or owner))
        return None


def found(module, path):
    """Return owner and permissions of the directory; None where it is absent."""
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(seen.st_mode):
        module.fail_json(msg="%s is there and is no directory" % path)
    return (seen.st_uid, seen.st_gid), stat.S_IMODE(seen.st_mode)


def of_others(directory, user):
    """Return the names of those entries of a directory, a path or a descriptor, that are another user's."""
    found = []
    with os.scandir(directory) as entries:
        # The owner fills it, and may do so without end.
        for each in itertools.islice(entries, MOST_NAMES):
            # What he removes meanwhile is nobody's.
            with contextlib.suppress(FileNotFoundError):
                seen = each.stat(follow_symlinks=False)
                if seen.st_uid != user and not stat.S_ISSOCK(seen.st_mode):
                    found.append(each.name)
    return found


def converge(path, owner, mode, take_over=True, own_entries=False):
    """Make the directory, or correct it by descriptor, so that nobody can exchange it for a link meanwhile."""
    # The directories above it, too: a login may have any umask.
    former = os.umask(0o022)
    try:
        os.makedirs(path, exist_ok=True)
    finally:
        os.umask(former)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        former = os.fstat(directory).st_uid
        os.fchown(directory, *owner)
        os.fchmod(directory, mode)
        if take_over and former not in (0, owner[0]):
            for name in os.listdir(directory):
                hand_over(directory, name, owner)
        for name in of_others(directory, owner[0]) if own_entries else ():
            free(directory, name, owner)
    finally:
        os.close(directory)


def hand_over(directory, name, owner):
    """Give the entry of the directory to the owner, or remove it; the former owner can no longer exchange it."""
    seen = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISSOCK(seen.st_mode):
        return
    if stat.S_ISDIR(seen.st_mode):
        # Nothing of the toolkit's lies in such a directory.
        remove(directory, name)
        return
    if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1:
        os.unlink(name, dir_fd=directory)
        return
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    try:
        os.fchown(handle, *owner)
        os.fchmod(handle, stat.S_IMODE(seen.st_mode) & 0o755)
    finally:
        os.close(handle)


def free(directory, name, owner):
    """Remove an entry that the owner of the directory cannot write to; nothing that he puts there is followed."""
    if name != "use":
        remove(directory, name)
        return
    try:
        records = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    except OSError:
        remove(directory, name)
        return
    try:
        # Its files stay whose they are: root reads them, and the owner begins others.
        os.fchown(records, *owner)
        os.fchmod(records, 0o700)
    finally:
        os.close(records)


def remove(directory, name):
    """Remove what has this name in the directory, a tree or a file."""
    path = "/proc/%d/fd/%d/%s" % (os.getpid(), directory, name)
    # Not Python's own removal: it nests its calls and opens as many directories as the tree is deep.
    subprocess.run(["rm", "-rf", "--", path], check=True)


if __name__ == "__main__":
    main()
