"""Differences between a replica on this host and its deployment."""

from __future__ import annotations

import itertools
import os

import processes
import seals
import signs
from directory import read_text
from documents import parsed
from wire import Document

# Names of a replica's home that are looked at.
_MOST_NAMES = 4096


def drift(
    root: str,
    manifest: Document,
    pid: int,
    family: processes.Family | None = None,
) -> list[str]:
    """Return each difference in words; none for a replica that is as it was deployed.

    Compares its run script and its unit with the digests beside them, and the arguments of the process `pid` (0: none
    runs) with the release. `family` is as for `processes.tree`.
    """
    directory = os.path.join(root, "slots", f"{manifest['model']}-{manifest['slot']}")
    release = manifest["release"]
    group, found = _home(root, os.path.basename(directory))
    found += _changed_files(os.path.join(directory, "files.json"), group)
    found += _changed_directories(directory, group)
    snapshot = os.path.join(root, "snapshots", release["snapshot"])
    if pid and not _runs_with(processes.tree(pid, family), snapshot, signs.signs(manifest)):
        found.append("its process has other arguments than the release")
    return found


def _home(root: str, program: str) -> tuple[int | None, list[str]]:
    """Return the group of a slot's replica, by its home, and in words what of that one the replica cannot write to."""
    home = os.path.join(root, "caches", program)
    words = "was changed: its replica cannot write to it"
    try:
        seen = os.lstat(home)
    except OSError:
        return None, []
    if seen.st_uid == 0:
        return None, [f"{home} {words}"]
    return seen.st_gid, [f"{each} {words}" for each in _of_others(home, seen.st_uid)]


def _of_others(home: str, user: int) -> list[str]:
    """Return the directories in a replica's home that are not its user's; one of them takes its records of use."""
    try:
        with os.scandir(home) as entries:
            # The replica fills it, and may do so without end.
            looked_at = itertools.islice(entries, _MOST_NAMES)
            found = [each for each in looked_at if each.is_dir(follow_symlinks=False)]
            return sorted(
                each.path for each in found if each.stat(follow_symlinks=False).st_uid != user
            )
    except OSError:
        return []


def _changed_directories(directory: str, group: int | None) -> list[str]:
    """Return which directories of a slot are not root's alone, or closed to its replica."""
    closed, found = "its replica cannot read it", []
    for folder, _, _ in os.walk(directory):
        if words := seals.directory_fault(folder, closed, group=group):
            found.append(f"{folder} was changed: {words}")
    return found


def _changed_files(listing: str, group: int | None) -> list[str]:
    """Return which files are not as the digests and permissions of `listing` say; `group` is the replica's."""
    text = read_text(listing)
    if text is None:
        return [f"{listing} is gone"]
    try:
        digests = dict(parsed(text))
    except (ValueError, TypeError):
        return [f"{listing} cannot be read"]
    found = []
    for path, known in sorted(digests.items()):
        # Units are for every user to read, the files of the slot for its replica alone.
        private = path.startswith(f"{os.path.dirname(listing)}/")
        # A former toolkit wrote digests alone.
        known = known if isinstance(known, list) else [known]
        group_of = group if private else None
        if words := seals.file_fault(path, known, private=private, group=group_of):
            found.append(f"{path} {words}")
    return found


def _runs_with(tree: list[int], snapshot: str, shown: Document) -> bool:
    """Whether one of the processes serves `snapshot` with a command line that ends as `shown` says.

    A process that hides its command line behind a title passes.
    """
    wanted = shown["ending"]
    lines = ((each, processes.command_line(each)) for each in tree)
    serving = {each: line for each, line in lines if shown["server"] in line}
    return not serving or any(
        _serves(each, line, snapshot) and line[-len(wanted) :] == wanted
        for each, line in serving.items()
    )


def _serves(pid: int, line: list[str], snapshot: str) -> bool:
    """Whether a process has the snapshot as its directory, or in its command line, as a former toolkit wrote it."""
    if snapshot in line:
        return True
    try:
        return "." in line and os.path.samefile(f"/proc/{pid}/cwd", snapshot)
    except OSError:
        return False
