#!/usr/bin/python
"""Ansible module: several small text files at once, each whole or not at all."""

from __future__ import annotations

DOCUMENTATION = r"""
module: text_files
short_description: Write several small text files in one task
description:
  - Writes each file that is absent or differs, by rename, and makes the directories it needs.
  - One task for all the files of a replica, because each task costs a good part of a second of its start.
options:
  files:
    description: The files, written in this order.
    required: true
    type: list
    elements: dict
    suboptions:
      path:
        description: Where it goes.
        required: true
        type: path
      content:
        description: All of its text.
        required: true
        type: str
      mode:
        description: Permissions, in octal.
        default: "0644"
        type: str
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
  description: Paths of the files that were, or in check mode would be, written.
  returned: always
  type: list
  elements: str
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule


def differs(path, content, mode):
    """Return whether the file is not there with this content and mode, owned by who runs this."""
    try:
        with open(path, encoding="utf-8") as file:
            found = os.fstat(file.fileno())
            same_owner = (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())
            return file.read() != content or found.st_mode & 0o7777 != mode or not same_owner
    except (OSError, UnicodeDecodeError):
        return True


def write(module, path, content, mode):
    """Replace the file by rename."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=".")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(temporary, mode)
    module.atomic_move(temporary, path)
    os.chmod(path, mode)


def main():
    """Run the module."""
    file_spec = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "mode": {"type": "str", "default": "0644"},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": file_spec,
            }
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    changed = []
    for each in module.params["files"]:
        mode = int(each["mode"], 8)
        if differs(each["path"], each["content"], mode):
            changed.append(each["path"])
            if not module.check_mode:
                write(module, each["path"], each["content"], mode)
    module.exit_json(changed=bool(changed), changed_files=changed)


if __name__ == "__main__":
    main()
