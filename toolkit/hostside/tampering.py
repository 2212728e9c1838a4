"""What of root's files and directories on this host is not as it was written: what lies there against its seals."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat

import seals

# Of files that are small enough to be compared at each observation.
SMALL = (
    *("base", "start", "supervisor", "watch", "firewall", "exporters", "logs", "kernel", "time"),
    "provision",
    "router",
)
# Directories below the root that are not root's: of the router's sockets; an older toolkit's replicas shared a cache.
_OF_SERVICES = {"sockets", "cache"}
# The files that every provisioning makes.
_MADE: tuple[str, ...] = (
    *("bin", "caches", "compiled", "compiling", "engines", "guard", "logs", "router", "slots"),
    *("snapshots", "sockets", "use", "watch"),
)
_SOCKETS = "sockets"
# Where the router takes requests with large bodies back.
_LARGE = f"{_SOCKETS}/named.sock"
# Directories that a group may enter: that of the replicas, or of the router.
_OF_GROUPS = {"snapshots": "replicas cannot read it", "router": "the router cannot read it"}
# Directories below the root that every user may enter, among them the replicas.
_ENTERED = ("bin", "caches", "compiled", "compiling", "engines", "slots")
# A name that is a sha256 in hex, as that of every snapshot but those of tests.
_NAME_OF_DIGEST = 64


def changed(root: str) -> list[str]:
    """Return in words each file of the router, program of this host's side and shared directory that is not as it was
    written.
    """
    found = [*_lost(root), *_changed_files(root), *_open_seals(root), *_directories(root)]
    return list(dict.fromkeys([*found, *_changed_copies(os.path.join(root, "bin"))]))


def _changed_files(root: str) -> list[str]:
    """Return in words which small files are not as their seals say, and which seals cannot be read."""
    sealed = {seal: seals.found(root, seal) for seal in SMALL}
    broken = {seals.path(root, seal): seal for seal, each in sealed.items() if each is None}
    found = [f"{seals.DIRECTORY}/{seal}.json cannot be read" for seal in broken.values()]
    router, group = os.path.join(root, "router"), _router_group(root)
    later = {os.path.join(router, name) for name in sealed["router"] or {}}
    for seal, each in sealed.items():
        for name, known in sorted((each or {}).items()):
            path = os.path.join(router, name)
            if path in broken or (seal == "base" and path in later):
                continue
            shown = os.path.relpath(path, root)
            inside = (group or None) if os.path.dirname(path) == router else None
            if words := seals.file_fault(path, known, group=inside):
                found.append(f"{path if shown.startswith('../') else shown} {words}")
    return found


def _open_seals(root: str) -> list[str]:
    """Return in words which seals another user owns or can write to."""
    found = []
    for name in sorted(_listing(os.path.join(root, seals.DIRECTORY))):
        with contextlib.suppress(FileNotFoundError):
            seen = os.lstat(os.path.join(root, seals.DIRECTORY, name))
            if stat.S_ISREG(seen.st_mode) and (words := seals.fault(seen, readable=False)):
                found.append(f"{seals.DIRECTORY}/{name} was changed: {words}")
    return found


def _directories(root: str) -> list[str]:
    """Return in words which directories of root's are another user's, or closed to those who must enter them.

    A user who can write to one of them can put own files into the places of root's. Those of slots are for `drift`.
    """
    top = sorted(set(_listing(root)) - _OF_SERVICES)
    copies = [f"bin/{each}" for each in sorted(_listing(os.path.join(root, "bin")))]
    # Whether a copy of the host's side is whole is said in one word.
    names = ["", *top, *(each for each in copies if not each.startswith("bin/hostside-"))]
    found = []
    for name in names:
        closed, path = _OF_GROUPS.get(name, ""), os.path.join(root, name)
        group = (_router_group(root) or None) if name == "router" else None
        words = seals.directory_fault(path, closed, readable=name in _ENTERED, group=group)
        found += [f"{name or root} was changed: {words}"] if words else []
    if _router_group(root) == 0:
        found.append(f"{_SOCKETS} was changed: the router cannot write to it")
    return found


def _router_group(root: str) -> int | None:
    """Return the group of the router by the directory of its sockets, 0 where that one is not the router's any more."""
    with contextlib.suppress(OSError):
        seen = os.lstat(os.path.join(root, _SOCKETS))
        return seen.st_gid if seen.st_uid else 0
    return None


def changed_snapshots(root: str) -> list[str]:
    """Return in words each snapshot with a file that is not as it was hashed last, or was not the pinned one then.

    Nothing is read. The time of the last change of a file is left out: it changes with each further name of the file,
    as files of a store on this machine get them.
    """
    found = []
    for name in sorted(_listing(os.path.join(root, "snapshots"))):
        others, wrong = _against_seal(root, name)
        short = f"snapshots/{name[:12]}"
        found += [f"{short}/{file} is not as it was when it was hashed last" for file in others]
        if wrong:
            found.append(f"{short} was changed: its files are not those that were pinned")
    return found


def is_refused(root: str, snapshot: str) -> bool:
    """Whether a snapshot was not the pinned one when it was hashed last, and is as it was then: no start takes it."""
    return _against_seal(root, snapshot)[1]


def _against_seal(root: str, name: str) -> tuple[list[str], bool]:
    """Return the files of a snapshot that are not as its seal has them; without any, whether that one is wrong."""
    known, top = seals.read(root, f"snapshots-{name}"), os.path.join(root, "snapshots", name)
    others = [file for file, each in sorted(known.items()) if _state(top, file)[:3] != each[:3]]
    named = bool(known) and not others and len(name) == _NAME_OF_DIGEST
    return others, named and seals.summary_of(known) != name


def _state(top: str, file: str) -> list[int]:
    """Return the properties of a file that change with its content, none where there is no such file."""
    try:
        return seals.state(os.lstat(os.path.join(top, file)))
    except (OSError, ValueError):
        return []


def _lost(root: str) -> list[str]:
    """Return in words which seals and directories a provisioned host has lost: without them little would look changed.

    The seal of the provisioning has the digests of the other seals.
    """
    if not os.path.exists(os.path.join(root, "converged")):
        return []
    files = [f"{seals.DIRECTORY}/{seal}.json" for seal in ("base", "provision")]
    found = [f"{name} is gone" for name in files if not os.path.isfile(os.path.join(root, name))]
    found += [f"{name} is gone" for name in _MADE if not os.path.isdir(os.path.join(root, name))]
    # A router that was started makes it, and neither a reload nor a new directory brings it back.
    started = os.path.exists(os.path.join(root, "control", "master.sock"))
    if started and not os.path.exists(os.path.join(root, _LARGE)):
        found.append(f"{_LARGE} is gone: the router fails requests with large bodies")
    return found


def _changed_copies(directory: str) -> list[str]:
    """Return those copies of the host's side whose names, which contain their digest, do not fit their files."""
    found = []
    for name in _listing(directory):
        head, _, named = name.partition("-")
        if head != "hostside" or "." in named:
            continue
        top, summary = os.path.join(directory, name), hashlib.sha256()
        words = ""
        with contextlib.suppress(FileNotFoundError):
            words = seals.fault(os.lstat(top), readable=False)
        files, sealed = _listing(top), seals.read(os.path.dirname(directory), name)
        for each in (file for file in files if file.startswith("compiled-")):
            known = sealed.get(each, ())
            words = words or seals.file_fault(os.path.join(top, each), known, private=True)
        for each in sorted(file for file in files if file.endswith(".py")):
            text, seen = seals.read_small(os.path.join(top, each))
            summary.update(f"{each}\0{len(text)}\0".encode() + text)
            words = words or (seals.fault(seen, readable=False) if seen else "")
        if words or summary.hexdigest()[:16] != named:
            found.append(f"bin/{name} was changed")
    return found


def _listing(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
