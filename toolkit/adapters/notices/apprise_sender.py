"""Deliver a notice by Apprise, in a process of its own: its services read whole answers into memory, of any length.

    python3 -P apprise_sender.py SECONDS BYTES     (standard input has {"url", "title", "body"})

Ends with 0 where it was delivered, with 3 where Apprise does not understand the URL, else with another number. It has
at most SECONDS of time and BYTES of memory.
"""

from __future__ import annotations

import json
import resource
import signal
import sys


def main(seconds: int, memory: int) -> int:
    """Deliver what standard input has; return the exit status."""
    # By the kernel: whoever started this may be gone, and a library may catch what Python raises.
    signal.alarm(seconds)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    import apprise

    told, service = json.load(sys.stdin), apprise.Apprise()
    if not service.add(told["url"]):
        return 3
    return 0 if service.notify(title=told["title"], body=told["body"]) else 4


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
