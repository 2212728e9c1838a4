"""Files that this process may have open at once: each host of a command needs several."""

from __future__ import annotations

import resource

from toolkit.errors import ToolkitError

# Three pipes of the process for brief requests, three of the one that keeps its lock, a playbook's socket and log.
_OF_A_HOST = 8
# The command's own: history, log, registry, sockets, and what is read in passing.
_OWN = 64
# Some programs close all descriptors that they may have, one by one.
_MOST = 2**16


def need_descriptors(hosts: int) -> None:
    """Let this process open what that many hosts need.

    Raises ToolkitError where the system's limit is lower.
    """
    needed = _OWN + _OF_A_HOST * hosts
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now != resource.RLIM_INFINITY and now < needed:
        allowed = _MOST if most == resource.RLIM_INFINITY else min(most, max(_MOST, needed))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, allowed), most))
        if allowed < needed:
            raise ToolkitError(
                f"{hosts} hosts need {needed} open files, and this user may open {allowed}",
                hint=f"raise the limit of this session, as root: prlimit --pid $$ --nofile={needed}",
            )
