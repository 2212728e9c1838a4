"""Put a snapshot in place on this host, or remove it."""

from __future__ import annotations

import errno
import os
import re
import shutil

import seals
from directory import make_own, permit
from wire import Document, Report


def place(request: Document, report: Report) -> Document:
    """Put the files of `source` (a directory on this machine) at `<root>/<kind>/<digest>`.

    `kind` is `snapshots` by default. A tree that was `compiled` must be root's, so it is copied. Other files are hard-
    linked where the file system allows it, which takes no time and no space, else copied. The directory appears by
    one rename. Result: {"linked": int, "copied": int, "bytes": int}.
    """
    done = {"linked": 0, "copied": 0, "bytes": 0}
    kind = tree_name(request.get("kind", "snapshots"))
    parent = make_own(request["root"], kind)
    final = os.path.join(parent, tree_name(request["digest"]))
    if os.path.isdir(final):
        permit(final)
        return done
    temporary = os.path.join(parent, f".{request['digest']}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    for name in request["files"]:
        source, target = os.path.join(request["source"], name), os.path.join(temporary, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _link_or_copy(os.path.realpath(source), target, done, link=kind != "compiled")
        report(dict(done, file=name))
    permit(temporary)
    os.rename(temporary, final)
    return done


def remove(request: Document) -> Document:
    """Remove a snapshot or an engine; `kind` is `snapshots` or `engines`. Result: {"freed": bytes}.

    Raises ValueError for any other kind and for what is no name.
    """
    if request["kind"] not in ("snapshots", "engines"):
        raise ValueError(f"nothing called {request['kind']!r} can be removed")
    path = os.path.join(make_own(request["root"], request["kind"]), tree_name(request["name"]))
    freed = sum(
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(path)
        for name in names
    )
    # Rename first: an interrupted removal must not leave a directory that looks complete.
    doomed = os.path.join(request["root"], request["kind"], f".{request['name']}.removed")
    shutil.rmtree(doomed, ignore_errors=True)
    if os.path.isdir(path):
        os.rename(path, doomed)
        shutil.rmtree(doomed)
        seals.remove(request["root"], f"{request['kind']}-{request['name']}")
    return {"freed": freed}


def tree_name(name: str) -> str:
    """Return the name of a snapshot or an engine; raises ValueError where it is none."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise ValueError(f"{name!r} is not the name of a snapshot or an engine")
    return name


def _link_or_copy(source: str, target: str, done: dict[str, int], *, link: bool) -> None:
    try:
        if not link:
            raise OSError(errno.EXDEV, "")
        os.link(source, target)
        done["linked"] += 1
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        shutil.copyfile(source, target)
        os.chmod(target, 0o444)
        done["copied"] += 1
    done["bytes"] += os.stat(target).st_size
