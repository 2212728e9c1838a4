"""Put an engine that was installed beside the present one in its place.

    <root>/engines/NAME             the engine that replicas start with
    <root>/engines/.NAME.anew       the same packages, installed anew by the role `engine`
    <root>/engines/.NAME.removed    the former one, on its way out

The two directories change places in one step of the file system, so at each moment a complete engine has the name.
Replicas that run keep what they have loaded and opened; what they load later is of the same packages.
"""

from __future__ import annotations

import ctypes
import os
import shutil

import tree_check
from directory import make_own
from snapshots import tree_name
from wire import Document, Report

# Of <fcntl.h> and <linux/fs.h>.
_HERE = -100
_EXCHANGE = 2


def swap(request: Document, report: Report) -> Document:
    """Put the engine `name` that lies beside in place, and note its digests. Result: {"files": count}.

    Raises ValueError where none lies there whole.
    """
    root, name = request["root"], tree_name(request["name"])
    parent = make_own(root, "engines")
    place, anew, doomed = (
        os.path.join(parent, each) for each in (name, f".{name}.anew", f".{name}.removed")
    )
    if not os.path.isfile(os.path.join(anew, ".complete")):
        raise ValueError(f"no engine that could replace {name} was installed")
    seal = tree_check.engine_seal(root, name, anew, report)
    shutil.rmtree(doomed, ignore_errors=True)
    if _exchange(anew, place):
        os.rename(anew, doomed)
    else:
        # There is no present one, or the file system cannot exchange.
        if os.path.lexists(place):
            os.rename(place, doomed)
        os.rename(anew, place)
    tree_check.keep_engine_seal(root, name, seal)
    handle = os.open(parent, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    shutil.rmtree(doomed, ignore_errors=True)
    return {"files": len(seal)}


def _exchange(one: str, other: str) -> bool:
    """Let two directories change places; return false where that is not possible, and nothing has changed."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    names = [os.fsencode(one), os.fsencode(other)]
    return bool(rename(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)
