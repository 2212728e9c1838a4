"""Engines on this host, and the system libraries that they need beside their own packages."""

from __future__ import annotations

import ctypes
import os
import shutil
import sysconfig

import accelerators


def engines(root: str) -> list[str]:
    """Return the ids of the engines that were installed completely, sorted."""
    top = os.path.join(root, "engines")
    try:
        names = os.listdir(top)
    except OSError:
        return []
    # A leading dot is that of an engine on its way in or out.
    names = [name for name in names if not name.startswith(".")]
    return sorted(name for name in names if os.path.exists(os.path.join(top, name, ".complete")))


def missing_libraries(accelerator: str) -> list[str]:
    """Return the libraries that an engine for `accelerator` lacks here, as `libnuma.so.1 (libnuma1)`.

    This takes milliseconds. An engine notices half a minute into its start, often without clear words.
    """
    missing = []
    for name, package in accelerators.NEEDED[accelerator].items():
        if not _is_there(name):
            missing.append("%s (%s)" % (name, package or accelerators.DRIVER))
    return missing


def _is_there(name: str) -> bool:
    if ".so" in name:
        try:
            ctypes.CDLL(name)
        except OSError:
            return False
        return True
    if name.endswith(".h"):
        # An engine has this interpreter, and its compilers ask it for its headers in the same way.
        includes = ("/usr/include", sysconfig.get_path("include", "posix_prefix"))
        return any(os.path.exists(os.path.join(directory, name)) for directory in includes)
    return shutil.which(name) is not None
