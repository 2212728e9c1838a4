"""Before a replica starts, whoever starts it: whether its snapshots are what was put there, and whether it is its turn.

    python3 -I <root>/bin/watch/__main__.py check-start ROOT PROGRAM

The process supervisor runs this as root: after a crash or a reboot no command of the ops machine looks first. Only
files that may have changed since they were hashed are hashed again. Then the replica gets the directory that its engine
compiles into, see `compiled.py`. Exit code 1, with the reason, keeps the replica from its start. Owners and permissions
of snapshots are for `verify` to judge: they change no answer.
"""

from __future__ import annotations

import sys

import compiled
import slot_manifest
import start_turn
import tree_check


def main(arguments: list[str]) -> int:
    """Check the snapshots of the slot `arguments[1]` (MODEL-SLOT) below the root `arguments[0]`."""
    root, program = arguments
    try:
        names = slot_manifest.snapshots(root, program)
    except (ValueError, KeyError, TypeError, AttributeError):
        # `toolkit repair` is for a damaged manifest. The replica needs none.
        return 0
    for snapshot in names:
        wrong = tree_check.wrong_files(root, snapshot)
        if wrong:
            sys.stderr.write(f"the snapshot {snapshot[:12]} is not what was put here: {wrong[0]}\n")
            sys.stderr.write("toolkit verify --repair takes it out of use\n")
            return 1
    try:
        compiled.furnish(root, program)
    except (OSError, ValueError, KeyError, TypeError) as error:
        # The engine would load the files of a former replica, or fail without its directory.
        sys.stderr.write(f"no fresh directory for what the engine compiles: {error}\n")
        return 1
    # Last, because its turn passes where the replica does not begin at once.
    start_turn.take(root, program)
    return 0
