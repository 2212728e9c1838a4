"""Files that this process may have open at once: each host of a command needs several, each transfer more."""

from __future__ import annotations

import resource
import threading
from weakref import WeakKeyDictionary

from toolkit.domain.hosts.in_flight import ASKING, OWN_FILES
from toolkit.errors import ToolkitError

# Some programs close all descriptors that they may have, one by one.
MOST = 2**16

_guard = threading.Lock()
# The needs of each part of the command that is still at work: a deployment and its transfer have clients of their own.
_needs: WeakKeyDictionary[object, int] = WeakKeyDictionary()


def need_descriptors(part: object, hosts: int, count: int | None = None) -> None:
    """Let this process open enough files for a part of the command on that many hosts, or `count` files if known.

    The part needs it until `free_descriptors`, or until it is gone. Raises ToolkitError where the system's limit is
    lower than all parts need; then the part is what it was.
    """
    with _guard:
        former = _needs.get(part, 0)
        _needs[part] = ASKING.files * hosts if count is None else count
        needed = OWN_FILES + sum(_needs.values())
        now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if now == resource.RLIM_INFINITY or now >= needed:
            return
        allowed = MOST if most == resource.RLIM_INFINITY else min(most, max(MOST, needed))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, allowed), most))
        if allowed < needed:
            _needs[part] = former
            raise ToolkitError(
                f"{hosts} hosts need {needed} open files, and this user may open {allowed}",
                hint=f"raise the limit of this session, as root: prlimit --pid $$ --nofile={needed}",
            )


def free_descriptors(part: object) -> None:
    """Take note that a part of the command has closed what it had opened."""
    with _guard:
        _needs.pop(part, None)
