"""The graphs that engines have compiled on this host: kept by root, and given to each new replica of the same kind.

    <root>/compiling/PROGRAM        what the replica in a slot loads and writes; it belongs to the slot's user
    <root>/compiling/.PROGRAM.json  root's note: for which start of the slot that was made, and from which kept tree
    <root>/compiled/NAME            a kept tree, root's: WHAT.WHERE.DIGEST

WHAT is the digest of the engine lock, the words that shape graphs, and the model's shape; WHERE that of the machine:
processor, system, devices, driver. DIGEST is that of the tree's files. A tree is used where all three are right:
another WHAT or WHERE may be stale, and another digest was changed by somebody.

What a replica has compiled is code that the next one runs, under another user and on other hosts. So root begins each
slot with what is kept or with nothing, never with what a former replica left there, and keeps what a replica compiled
only before it takes the first request of a client.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import stat
import sys
from typing import Optional

import accelerators
import seals
import slot_manifest
import tree_check
import trees
from directory import Directory, make_own, open_plain, read_text, remove_tree
from documents import parsed
from snapshots import tree_name
from wire import Document

KEPT, WORKING = "compiled", "compiling"
# Bounds on what root copies from a directory that a replica fills.
MOST_BYTES, MOST_FILES, MOST_DEPTH = 4 * 2**30, 20_000, 24
# Names in all: files, directories, and other things that are passed over. A directory takes an inode, a name time.
MOST_NAMES = 3 * MOST_FILES
# Kept trees of one host; a few hundred MB at most each.
MOST_TREES = 16
_PLAIN = re.compile(r"[A-Za-z0-9_.+=,@-]{1,255}\Z")
# Files that live as long as a process.
_PASSING = re.compile(r".*\.(lock|tmp)\Z|tmp\..*|\.\.?\Z")
# Files of a model that say its shape, and code that it brings.
_SHAPING = re.compile(r"(config|params|[a-z_]*quant[a-z_]*)\.json\Z|.*\.py\Z")
_CHUNK = 2**20
# Bytes of a tree in one answer.
_PART = 2**22


class NotKept(Exception):
    """The graphs of a replica are not kept, for the reason in the message."""


def furnish(root: str, program: str) -> str:
    """Make the directory that the slot's replica compiles into; return the name of the kept tree that fills it, or "".

    A slot whose present start has it already keeps it: the replica crashed, and goes on with what is its own.
    """
    manifest, mark = _manifest(root, program)
    if "compiles" not in manifest:
        return ""
    noted = _note(root, program)
    working = os.path.join(root, WORKING, program)
    what, where = key(root, manifest)
    if noted.get("mark") == mark and noted.get("key") == [what, where] and os.path.isdir(working):
        return str(noted.get("from", ""))
    home = os.lstat(os.path.join(root, "caches", program))
    owner = (home.st_uid, home.st_gid)
    parent = make_own(root, WORKING)
    fresh = os.path.join(parent, f".{program}.new")
    name = ""
    for name in [*kept(root, what, where), ""]:
        shutil.rmtree(fresh, ignore_errors=True)
        os.mkdir(fresh, 0o700)
        if not name:
            break
        try:
            if faults := tree_check.wrong_tree(root, KEPT, name):
                raise NotKept(faults[0])
            _Copy(fresh, owner).all_of(os.path.join(root, KEPT, name))
            break
        except (OSError, NotKept) as error:
            sys.stderr.write(f"what was compiled before is not used: {error}\n")
            _remove(root, name)
    os.chown(fresh, *owner)
    # The directory above is root's, so these names are safe. The removed tree may hold links, which are not followed.
    former = os.path.join(parent, f".{program}.former")
    remove_tree(former)
    with contextlib.suppress(FileNotFoundError):
        os.rename(working, former)
    os.rename(fresh, working)
    remove_tree(former)
    with Directory(parent) as directory:
        note = {"mark": mark, "key": [what, where], "from": name}
        directory.write(f".{program}.json", json.dumps(note), 0o600, durable=False)
    return name


def keep(root: str, program: str) -> Document:
    """Keep what the replica in a slot has compiled. Result: {"name", "files", "bytes", "why"}; no name, and why not.

    Nothing is kept where a tree of the same kind is there, or where the replica has taken requests of clients.
    """
    manifest, mark = _manifest(root, program)
    if "compiles" not in manifest:
        return _result(why="its engine keeps nothing")
    what, where = key(root, manifest)
    noted = _note(root, program)
    if noted.get("mark") != mark or noted.get("key") != [what, where]:
        return _result(why="it was not started with a fresh directory")
    if there := kept(root, what, where):
        return _result(there[0])
    if _has_served(root, manifest):
        return _result(why="it has taken requests of clients")
    parent = make_own(root, KEPT)
    staging = os.path.join(parent, f".{program}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    os.mkdir(staging, 0o700)
    try:
        copied = _Copy(staging, None).all_of(os.path.join(root, WORKING, program))
        if not copied:
            return _result(why="it has compiled nothing")
        name = f"{what}.{where}.{tree_check.digest_of(copied)}"
        files = [[path, each["size"], each["sha256"]] for path, each in sorted(copied.items())]
        tree = trees.Arrival({"root": root, "kind": KEPT, "name": name, "files": files})
        with tree.locked():
            shutil.rmtree(tree.checked, ignore_errors=True)
            os.rename(staging, tree.checked)
            trees.publish(tree)
    except (OSError, NotKept) as error:
        return _result(why=str(error))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    _bound(root)
    return _result(name, len(files), sum(each["size"] for each in copied.values()))


def find(root: str, compiles: Document, snapshot: str) -> Document:
    """Return {"kind", "name"}: WHAT.WHERE of such a replica here, and the tree that is kept for it, or ""."""
    release = {"snapshot": tree_name(snapshot)}
    what, where = key(root, {"compiles": compiles, "release": release})
    return {"kind": f"{what}.{where}", "name": next(iter(kept(root, what, where)), "")}


def hand_out(root: str, name: str, offset: int) -> Document:
    """Return a kept tree for another host: {"files": [[path, size, sha256]...], "data", "more"}.

    `data` is, in base64, the next part of all files' bytes, one file after the other, from `offset` on. Raises
    ValueError where there is no such tree.
    """
    top = os.path.join(root, KEPT, tree_name(name))
    if not os.path.isdir(top) or tree_check.wrong_tree(root, KEPT, name):
        raise ValueError(f"nothing is kept as {name!r}")
    known = seals.read(root, f"{KEPT}-{name}")
    files = [[path, known[path][0], known[path][-1]] for path in sorted(known)]
    parts, start, left = [], 0, _PART
    for path, size, _ in files:
        if start + size > offset and left:
            with open(open_plain(os.path.join(top, path)), "rb") as file:
                file.seek(max(0, offset - start))
                parts.append(file.read(left))
            left -= len(parts[-1])
        start += size
    data = b"".join(parts)
    return {
        "files": files if offset == 0 else [],
        "data": base64.b64encode(data).decode(),
        "more": offset + len(data) < start and bool(data),
    }


def key(root: str, manifest: Document) -> tuple[str, str]:
    """Return WHAT and WHERE of the replica in a slot."""
    said = {**manifest["compiles"], "shape": _shape(root, str(manifest["release"]["snapshot"]))}
    return _short(said), _short(machine())


def kept(root: str, what: str, where: str) -> list[str]:
    """Return the names of the kept trees of this kind."""
    with contextlib.suppress(OSError):
        names = sorted(os.listdir(os.path.join(root, KEPT)))
        return [each for each in names if each.startswith(f"{what}.{where}.")]
    return []


def machine(proc: str = "/proc", release: str = "/etc/os-release") -> Document:
    """Return the properties of this machine on which compiled code depends."""
    block = (_read(f"{proc}/cpuinfo")).split("\n\n")[0]
    pairs = (line.partition(":") for line in block.splitlines())
    cpu = {name.strip(): value.strip() for name, _, value in pairs}
    wanted = ("model name", "flags", "Features", "CPU implementer", "CPU part", "CPU variant")
    lines = [
        each for each in _read(release).splitlines() if each.startswith(("ID=", "VERSION_ID="))
    ]
    driver, devices = accelerators.driver_and_models(proc)
    return {
        "architecture": os.uname().machine,
        "cpu": {name: cpu[name] for name in wanted if name in cpu},
        "system": sorted(lines),
        "driver": driver,
        "devices": devices,
    }


class _Copy:
    """Copies regular files from a directory that another user may write to, while he does.

    No name is followed: each is opened relative to the descriptor of its directory, without links. `owner` gets the
    copies, and may change them; None: root keeps them, for everybody to read.
    """

    def __init__(self, target: str, owner: Optional[tuple[int, int]]) -> None:
        self._target, self._owner = target, owner
        self._files: dict[str, Document] = {}
        self._left, self._names = MOST_BYTES, MOST_NAMES

    def all_of(self, top: str) -> dict[str, Document]:
        """Return path -> {"size", "sha256"} of what was copied; raises OSError or NotKept."""
        handle = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            self._directory(handle, "", 0)
        finally:
            os.close(handle)
        return self._files

    def _directory(self, handle: int, path: str, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise NotKept("it is nested too deep")
        with os.scandir(handle) as entries:
            names = sorted(each.name for each in itertools.islice(entries, self._names + 1))
        self._names -= len(names)
        if self._names < 0:
            raise NotKept("it is larger than what is kept")
        for name in names:
            if not _PLAIN.match(name) or _PASSING.match(name):
                continue
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            try:
                opened = os.open(name, flags, dir_fd=handle)
            except OSError:
                # A link, a socket, or gone.
                continue
            try:
                seen = os.fstat(opened)
                if stat.S_ISDIR(seen.st_mode):
                    made = os.path.join(self._target, path, name)
                    os.mkdir(made, 0o700)
                    self._directory(opened, os.path.join(path, name), depth + 1)
                    self._give(made, 0o700 if self._owner else 0o755)
                elif stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1:
                    self._file(opened, os.path.join(path, name), seen)
            finally:
                os.close(opened)

    def _file(self, opened: int, path: str, seen: os.stat_result) -> None:
        self._left -= seen.st_size
        if self._left < 0 or len(self._files) >= MOST_FILES:
            raise NotKept("it is larger than what is kept")
        made, summary = os.path.join(self._target, path), hashlib.sha256()
        size = 0
        with open(made, "xb") as file:
            while data := os.read(opened, _CHUNK):
                size += len(data)
                if size > seen.st_size:
                    break
                summary.update(data)
                file.write(data)
        if size != seen.st_size or seals.state(os.fstat(opened)) != seals.state(seen):
            raise NotKept(f"{path} is being written")
        self._give(made, 0o600 if self._owner else 0o444)
        self._files[path] = {"size": size, "sha256": summary.hexdigest()}

    def _give(self, path: str, mode: int) -> None:
        os.chmod(path, mode)
        if self._owner:
            os.chown(path, *self._owner)


def _manifest(root: str, program: str) -> tuple[Document, list[int]]:
    """Return a slot's manifest, and what shows that it was written anew: for another start."""
    found = slot_manifest.read(root, program)
    seen = os.lstat(slot_manifest.path(root, program))
    return found, [seen.st_ino, seen.st_ctime_ns]


def _note(root: str, program: str) -> Document:
    return slot_manifest.parsed(read_text(os.path.join(root, WORKING, f".{program}.json")))


def _shape(root: str, snapshot: str) -> dict[str, str]:
    top = os.path.join(root, "snapshots", snapshot)
    found = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if _SHAPING.match(name):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, top)] = seals.summary(file)
    return found


def _has_served(root: str, manifest: Document) -> bool:
    """Whether the routes give the slot traffic, or a right to it."""
    try:
        routes = parsed(read_text(os.path.join(root, "router", "routes.json")) or "{}")
        mine = [
            target
            for route in routes.get("routes", [])
            if route["model"] == manifest["model"]
            for target in route["targets"]
            if target["slot"] == manifest["slot"]
            and target.get("host", "") in ("", routes.get("at", ""))
        ]
        return any(each.get(name) for each in mine for name in ("weight", "share", "standby"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return True


def _remove(root: str, name: str) -> None:
    with contextlib.suppress(OSError):
        doomed = os.path.join(root, KEPT, f".{name}.removed")
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(os.path.join(root, KEPT, name), doomed)
        shutil.rmtree(doomed)
    seals.remove(root, f"{KEPT}-{name}")


def _bound(root: str) -> None:
    """Remove the oldest trees beyond the number that a host keeps."""
    top = os.path.join(root, KEPT)
    names = [each for each in os.listdir(top) if not each.startswith(".")]
    names.sort(key=lambda each: os.lstat(os.path.join(top, each)).st_mtime)
    for name in names[:-MOST_TREES]:
        _remove(root, name)


def _short(said: Document) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _result(name: str = "", files: int = 0, size: int = 0, why: str = "") -> Document:
    return {"name": name, "files": files, "bytes": size, "why": why}


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read(2**20)
    except OSError:
        return ""
