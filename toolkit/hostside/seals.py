"""The seals of what root wrote on this host: digests, kept where no other user can change them, and compared now.

    <root>/seals/base.json             path -> [sha256, permissions] of the router's files that its role writes; of
                                       those of `router.json`, as they are before the first change
    <root>/seals/start.json            the same, of what starts the router
    <root>/seals/watch.json            the same, of the watch of the host
    <root>/seals/supervisor.json       the same, of what starts replicas and router where there is no systemd
    <root>/seals/firewall.json         the same, of the rules of the firewall
    <root>/seals/exporters.json        the same, of the units of exporters
    <root>/seals/logs.json             the same, of the rotation of logs; of kernel settings in kernel.json, of time
                                       servers in time.json
    <root>/seals/provision.json        the same, of what the last provisioning noted of itself, and of the seals above
    <root>/seals/router.json           name -> [sha256..., permissions] of the files that changes of the router write
    <root>/seals/snapshots-NAME.json   path -> [size, inode, times, sha256] of files as they were when last hashed
    <root>/seals/engines-NAME.json     the same, as they were after the installation
    <root>/seals/libtorrent-NAME.json  file -> [sha256] of the swarm's library, as its wheel had it
    <root>/seals/hostside-NAME.json    file -> [sha256] of what a copy of the host's side has compiled

Permissions are octal digits (`0644`). Seals of an older toolkit lack them: of its files only owner and writers are
compared.

A file of a snapshot with the same size, inode and times has the same content, so it needs no hashing again: only root
can write there, and root's ways of changing bytes change a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Collection, Mapping
from typing import Any, BinaryIO

from directory import Directory, NotSafe, is_broken, make_own, open_plain, read_text
from documents import parsed
from wire import Document

DIRECTORY = "seals"
_CHUNK = 2**20
# No small file is larger.
_MOST_BYTES = 64 * 2**20


def seal_texts(root: str, texts: Mapping[str, str], mode: int, *, also_former: bool) -> None:
    """Note the digests of files that a change of the router writes with the permissions `mode`.

    Before the first file is written, with `also_former`, the former digests stay valid beside the new ones, so that a
    kill between two files leaves no file that looks changed.
    """
    known: dict[str, list[str]] = read(root, "router")
    first = read(root, "base") if also_former else {}
    for name, text in texts.items():
        begun: list[str] = first.get(os.path.join(root, "router", name)) or []
        former = (known.get(name) or begun) if also_former else []
        kept = {each for each in former if isinstance(each, str)}
        known[name] = sorted({*kept, digest(text.encode()), permissions(mode)})
    write(root, "router", known)


def directory_fault(
    path: str, closed: str = "", *, readable: bool = False, group: int | None = None
) -> str:
    """Return in words what is wrong with owner and permissions of a directory, empty if nothing is or there is none.

    With `closed` its group must be able to enter, `group` if that is given, and these are the words where it cannot;
    with `readable` every user.
    """
    try:
        seen = os.lstat(path)
    except OSError:
        return ""
    if not stat.S_ISDIR(seen.st_mode):
        return ""
    words = fault(seen, readable=readable)
    # Nobody is in root's group.
    shut = _is_of_another(seen, group or -1) if group or not seen.st_gid else False
    return words or (closed if shut or seen.st_mode & 0o050 != 0o050 else "")


def summary_of(files: Mapping[str, Any]) -> str:
    """Return the digest over the files of a snapshot, path -> what ends with a file's sha256; the ops machine's too."""
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(
            f"{path}\0{files[path][-1] if files[path] else ''}\n".encode("utf-8", "replace")
        )
    return found.hexdigest()


def read(root: str, name: str) -> Document:
    """Return a seal; an empty document where there is none, or none that can be read, which `tampering` names."""
    return found(root, name) or {}


def found(root: str, name: str) -> Document | None:
    """Return a seal, empty where there is none; None where it cannot be read."""
    text = read_text(path(root, name))
    try:
        found = {} if text is None else parsed(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    # A value that is no list of digests counts as none: the file is then hashed, or named as changed.
    return {path: known if isinstance(known, list) else [] for path, known in found.items()}


def path(root: str, name: str) -> str:
    """Return the path of a seal."""
    return os.path.join(root, DIRECTORY, f"{name}.json")


def write(root: str, name: str, seal: Document) -> None:
    """Replace a seal. One that a power cut takes is made again."""
    with Directory(make_own(root, DIRECTORY)) as opened:
        opened.write(f"{name}.json", json.dumps(seal), 0o600, durable=False)


def remove(root: str, name: str) -> None:
    """Remove a seal, if there is one."""
    try:
        with Directory(os.path.join(root, DIRECTORY)) as opened:
            opened.remove(f"{name}.json")
    except (FileNotFoundError, NotSafe):
        return


def state(seen: os.stat_result) -> list[int]:
    """Return the properties of a file that change with its content."""
    return [seen.st_size, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns]


def file_fault(
    path: str, known: Collection[Any], *, private: bool = False, group: int | None = None
) -> str:
    """Return in words what is wrong with a small file whose digests and permissions are `known`, empty if nothing is.

    A `private` one is not for every user to read. What its group may read belongs to `group`.
    """
    text, seen = read_small(path)
    if seen is None:
        return "is gone"
    if not text and seen.st_size:
        return "cannot be read: its disk does not give it back"
    if digest(text) not in known:
        return "was changed"
    modes = [each for each in known if isinstance(each, str) and len(each) == len("0644")]
    mode = permissions(seen.st_mode)
    if modes and mode not in modes:
        return f"was changed: it has permissions {mode}, not {modes[0]}"
    words = fault(seen, readable=False)
    if private and not words and seen.st_mode & 0o007:
        words = "every user can read it"
    if not words and _is_of_another(seen, group):
        words = f"it belongs to group {seen.st_gid} and not to {group}"
    return words and f"was changed: {words}"


def permissions(mode: int) -> str:
    """Return permissions as octal digits."""
    return f"{mode & 0o7777:04o}"


def fault(seen: os.stat_result, *, readable: bool) -> str:
    """Return in words what is wrong with owner and permissions of a file or directory, empty if nothing is.

    `readable` asks for what every user may read. Files may belong to root, and to whoever became root here: on the ops
    machine itself they are links to those of the operator's store.
    """
    if seen.st_uid not in (0, os.geteuid(), int(os.environ.get("SUDO_UID") or 0)):
        return f"it belongs to user {seen.st_uid} and not to root"
    if seen.st_mode & 0o022:
        return "other users can write to it"
    if stat.S_ISREG(seen.st_mode) and seen.st_mode & 0o6000:
        return "who runs it gets the rights of its owner"
    needed = 0o055 if stat.S_ISDIR(seen.st_mode) else 0o044
    if readable and seen.st_mode & needed != needed:
        return "replicas cannot read it"
    return ""


def _is_of_another(seen: os.stat_result, group: int | None) -> bool:
    """Whether what a group alone may read belongs to another one than `group`."""
    for_groups = seen.st_mode & 0o050 and not seen.st_mode & 0o005
    return bool(for_groups) and group is not None and seen.st_gid != group


def digest(data: bytes) -> str:
    """Return the sha256 of a file's content, in hex."""
    return hashlib.sha256(data).hexdigest()


def summary(file: BinaryIO) -> str:
    """Return the sha256 of what is left to read of a file, in hex."""
    found, buffer = hashlib.sha256(), bytearray(_CHUNK)
    view = memoryview(buffer)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        found.update(view[:count])
    return found.hexdigest()


def read_small(path: str) -> tuple[bytes, os.stat_result | None]:
    """Return a small file and its state; the state is None where no regular file is there.

    It is empty where the disk does not give it back, like every file of the toolkit, see `read_text`.
    """
    try:
        handle = open_plain(path)
        # Not as an object of Python's: a look reads hundreds of files, and that takes most of the time.
        try:
            seen = os.fstat(handle)
            text = os.read(handle, min(seen.st_size + 1, _MOST_BYTES))
            while len(text) != seen.st_size and len(text) < _MOST_BYTES:
                piece = os.read(handle, _CHUNK)
                if not piece:
                    break
                text += piece
            return text, seen
        finally:
            os.close(handle)
    except OSError as error:
        if is_broken(error):
            with contextlib.suppress(OSError):
                return b"", os.lstat(path)
        return b"", None
