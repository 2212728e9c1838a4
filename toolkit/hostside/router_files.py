"""The files of the router's directory: one change at a time, each file whole or not at all.

The directory is root's, and the router reads it as a member of its group. A host that an older toolkit provisioned has
a directory of the router's user, who can write there: see `directory`.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from collections.abc import Iterator, Mapping, Sequence

import routes_file
import seals
from directory import Directory, NotSafe, is_broken
from router_socket import RouterError

# In the order of writing. The backends come after the map that they read, and before those that name backends, so
# that no map names one that a start would not know. The ops machine reads routes.json back: it comes last, once the
# other files agree with it.
FILES = (
    "aliases.map",
    "kinds.map",
    "holds.map",
    "asleep.map",
    "shares.map",
    "backends.cfg",
    "models.map",
    "models-described.map",
    "slots.map",
    "relay.map",
    "models.json",
    "routes.json",
)
# For files that only root and the router read, and for those that the router does not need.
PRIVATE = 0o640
ROOT_ONLY = 0o600
# A user without rights, on a host that has no user for the router yet.
_NOBODY = 65534


@contextlib.contextmanager
def alone(directory: str) -> Iterator[None]:
    """Hold the router's lock, which the kernel releases when its holder dies. Raises RouterError after 30 s."""
    with Directory(directory) as opened:
        try:
            with opened.locked(".lock", 30):
                opened.sweep()
                yield
        except TimeoutError:
            raise RouterError("another change of the router has not ended within 30 s") from None
        except NotSafe as error:
            raise RouterError(str(error)) from None


def read(path: str) -> str | None:
    """Return the text of a file of the directory, None where there is none; it is empty where its disk is broken.

    Such a file counts as damaged, see `damage`, and the next change writes it anew.
    """
    try:
        with Directory(os.path.dirname(path)) as opened:
            return opened.read(os.path.basename(path))
    except (FileNotFoundError, NotSafe):
        return None
    except OSError as error:
        if is_broken(error):
            return ""
        raise


def differs(directory: str, name: str, text: str) -> bool:
    """Whether a file has another text, owner, group or permissions than it was written with, or no seal yet."""
    path = os.path.join(directory, name)
    known = seals.read(os.path.dirname(directory), "router").get(name)
    if text != read(path) or not known:
        return True
    return bool(seals.file_fault(path, known, group=os.lstat(directory).st_gid))


def routes(directory: str) -> routes_file.Routes:
    """Return the routes of the directory; an empty document where there are none."""
    return routes_file.parsed(read(os.path.join(directory, "routes.json")) or "")


def write(
    directory: str, files: Mapping[str, str], names: Sequence[str], mode: int = 0o644
) -> None:
    """Replace the named files one by one in that order, each whole or not at all, even if power fails."""
    root, texts = os.path.dirname(directory), {name: files[name] for name in names}
    seals.seal_texts(root, texts, mode, also_former=True)
    with Directory(directory) as opened:
        for name in names:
            opened.write(name, files[name], mode)
        opened.sync()
    seals.seal_texts(root, texts, mode, also_former=False)


def reader(root: str) -> tuple[int, int]:
    """Return user and group of the router on this host. Its directory has its group, with the name of its user."""
    try:
        with Directory(os.path.join(root, "router")) as opened:
            owner, group = opened.owner, opened.group
    except (FileNotFoundError, NotSafe):
        return _NOBODY, _NOBODY
    try:
        # An older toolkit gave the directory to the router's user.
        return owner or pwd.getpwnam(grp.getgrgid(group).gr_name).pw_uid, group
    except KeyError:
        return _NOBODY, group
