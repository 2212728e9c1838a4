#!/usr/bin/python
"""Ansible module: several small text files at once, each whole or not at all."""

from __future__ import annotations

DOCUMENTATION = r"""
module: text_files
short_description: Write several small text files in one task, and run the unit that they configure
description:
  - Writes each file that is absent or differs, by rename, and creates the directories it needs.
  - Does so in one task, because each task takes about half a second.
options:
  files:
    description: The files, written in this order.
    required: true
    type: list
    elements: dict
    suboptions:
      path:
        description: Path of the file. A link is replaced and not followed.
        required: true
        type: path
      content:
        description: The whole text.
        required: true
        type: str
      mode:
        description: Permissions, in octal.
        default: "0644"
        type: str
      group:
        description: Group of this file, by default that of all.
        type: str
      unless:
        description: A path whose existence leaves this file as it is, with its owner and permissions.
        type: path
      keep:
        description: Whether an existing file keeps its text. Owner and permissions are corrected in any case.
        default: false
        type: bool
      validate:
        description: A command that must accept the text before it is put in place; C(%s) stands for the path to read.
        type: str
  owner:
    description: User that owns the files, by default that of the process. Only in check mode may it be absent.
    type: str
  group:
    description:
      - Their group, by default the one with the owner's name, without an owner that of the process.
      - Only in check mode may it be absent.
    type: str
  seal:
    description:
      - A file for digests and permissions of the texts, path -> [sha256, permissions], with which a later observation
        detects changes.
      - It is written last, for root alone.
    type: path
  seal_first:
    description:
      - Whether the seal is written before the files. A run that is killed then leaves files that look changed until the
        next one, and not the last of them alone.
    default: false
    type: bool
  sealed:
    description: Digests for the seal of further files, path -> sha256, which another task has written.
    default: {}
    type: dict
  sealed_as_they_are:
    description: Further files for the seal, with the digests and permissions that they have. Absent ones are left out.
    default: []
    type: list
    elements: path
  unit:
    description:
      - A unit of systemd that is enabled and started once the files are written.
      - systemd reads its own files anew where one of them changed.
      - In check mode a unit whose own file would change is not looked at.
    type: dict
    suboptions:
      name:
        description: The unit, such as C(toolkit-router.service).
        required: true
        type: str
      restart:
        description: Whether it starts again in any case.
        default: false
        type: bool
      restart_for:
        description: Files whose change makes it start again.
        default: []
        type: list
        elements: path
author: [the toolkit's authors]
"""

EXAMPLES = r"""
- name: Write the slot
  text_files:
    files:
      - path: /var/lib/toolkit/slots/tiny-blue/manifest.json
        content: "{}"
"""

RETURN = r"""
changed_files:
  description: Paths of the files that were, or in check mode would be, written or corrected.
  returned: always
  type: list
  elements: str
unit_changes:
  description: What was, or in check mode would be, done to the unit.
  returned: always
  type: list
  elements: str
"""

import grp
import hashlib
import json
import os
import pwd
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule

UNITS = "/etc/systemd/system/"


def ids(module, group=None):
    """Return the wanted user and group; None in check mode where they are absent."""
    owner = module.params["owner"]
    group = group or module.params.get("group") or owner
    try:
        user = pwd.getpwnam(owner).pw_uid if owner else os.geteuid()
        return user, grp.getgrnam(group).gr_gid if group else os.getegid()
    except KeyError:
        if not module.check_mode:
            module.fail_json(msg="there is no user %s or no group %s" % (owner, group))
        return None


def found(path):
    """Return text, owner and permissions of the file; None where there is none, or a link, a pipe or a shared file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    seen = os.fstat(handle)
    if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1:
        os.close(handle)
        return None
    with open(handle, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read(), (seen.st_uid, seen.st_gid), seen.st_mode & 0o7777


def mend(path, owner, mode):
    """Set owner and permissions of an existing file, without following a link."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        os.fchown(handle, *owner)
        os.fchmod(handle, mode)
    finally:
        os.close(handle)


def write(module, each, owner, mode):
    """Replace the file by rename, once its validation accepts it."""
    path = each["path"]
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=".")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(each["content"])
            file.flush()
            os.fchown(handle, *owner)
            os.fchmod(handle, mode)
            os.fsync(handle)
        if each["validate"]:
            accept(module, path, each["validate"].replace("%s", temporary))
        try:
            os.replace(temporary, path)
        except IsADirectoryError:
            module.fail_json(msg="%s is a directory, where a file belongs; move it away" % path)
    except BaseException:
        os.unlink(temporary)
        raise


def accept(module, path, command):
    """Fail with the command's words where the command refuses the text."""
    code, said, complained = module.run_command(command)
    if code:
        words = (complained or said).strip()
        module.fail_json(msg="%s is not accepted: %s" % (path, words), stderr=words)


def converge(module, each, owner):
    """Bring one file to the wanted state; return whether that changed anything."""
    if each.get("unless") and os.path.exists(each["unless"]):
        return False
    mode, now = int(each["mode"], 8), found(each["path"])
    same_text = now is not None and (each.get("keep") or now[0] == each["content"])
    if same_text and now[1:] == (owner, mode):
        return False
    if not module.check_mode:
        if same_text:
            mend(each["path"], owner, mode)
        else:
            write(module, each, owner, mode)
    return True


def sealing(path, files, sealed, present=()):
    """Return the file with digests and permissions of the others and of `present`, and the digests in `sealed`."""
    digests = {
        each["path"]: [
            hashlib.sha256(each["content"].encode()).hexdigest(),
            "%04o" % int(each["mode"], 8),
        ]
        for each in files
    }
    digests.update({further: [digest] for further, digest in sealed.items()})
    for each in present:
        now = found(each)
        if now:
            text = now[0].encode("utf-8", "surrogateescape")
            digests[each] = [hashlib.sha256(text).hexdigest(), "%04o" % now[2]]
    text = json.dumps(digests, indent=2, sort_keys=True) + "\n"
    return {"path": path, "content": text, "mode": "0600", "validate": ""}


def run_unit(module, unit, changed):
    """Enable and start the unit, or start it again; return what that took. `changed` are the paths of changed files."""
    own = any(path.startswith(UNITS) for path in changed)
    if own and module.check_mode:
        return []
    shown = systemctl(module, "show", "--property=ActiveState,UnitFileState", unit["name"])
    state = dict(line.partition("=")[::2] for line in shown.splitlines())
    done = [] if state.get("UnitFileState") in ("enabled", "static") else ["enable"]
    if unit["restart"] or set(unit["restart_for"]) & set(changed):
        done.append("restart")
    elif state.get("ActiveState") not in ("active", "activating", "reloading"):
        done.append("start")
    if module.check_mode:
        return done
    # Reading its files costs systemd a run of all its generators, so reload once, after the unit is enabled.
    if own and "enable" in done:
        systemctl(module, "enable", "--no-reload", unit["name"])
    if own:
        systemctl(module, "daemon-reload")
    for word in done:
        if not (own and word == "enable"):
            systemctl(module, word, unit["name"])
    return done


def systemctl(module, *words):
    """Return the output of systemctl; fail with it where systemctl fails."""
    code, said, complained = module.run_command(["systemctl", *words])
    if code:
        words = "systemctl %s: %s" % (" ".join(words), (complained or said).strip())
        module.fail_json(msg=words, stderr=complained)
    return said


def main():
    """Run the module."""
    file_spec = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "mode": {"type": "str", "default": "0644"},
        "group": {"type": "str"},
        "unless": {"type": "path"},
        "keep": {"type": "bool", "default": False},
        "validate": {"type": "str"},
    }
    unit_spec = {
        "name": {"type": "str", "required": True},
        "restart": {"type": "bool", "default": False},
        "restart_for": {"type": "list", "elements": "path", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": file_spec,
            },
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "seal": {"type": "path"},
            "seal_first": {"type": "bool", "default": False},
            "sealed": {"type": "dict", "default": {}},
            "sealed_as_they_are": {"type": "list", "elements": "path", "default": []},
            "unit": {"type": "dict", "options": unit_spec},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    files, seal = module.params["files"], module.params["seal"]
    steps = [(each, ids(module, each["group"])) for each in files]
    if seal:
        further = module.params["sealed"], module.params["sealed_as_they_are"]
        digests = sealing(seal, files, *further)
        first = 0 if module.params["seal_first"] else len(steps)
        steps.insert(first, (digests, (os.geteuid(), os.getegid())))
    changed = [each["path"] for each, owner in steps if converge(module, each, owner)]
    unit = module.params["unit"]
    done = run_unit(module, unit, changed) if unit else []
    module.exit_json(changed=bool(changed or done), changed_files=changed, unit_changes=done)


if __name__ == "__main__":
    main()
