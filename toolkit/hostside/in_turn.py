"""Several requests to a replica, one right after the other, of which either all are sent or none.

Between the first and the last the replica is in a state that no client may meet for long: an engine that has forgotten
an adapter and not yet loaded the next one. So neither a lost ops machine nor an interruption comes in between.
"""

from __future__ import annotations

import time

import asking
import bounds
from wire import Document


def call(port: int, calls: list[Document], pause: float, timeout: float) -> Document:
    """Send each of `calls` ({"path", "payload", "may_fail"}), `pause` seconds after the request; one takes `timeout`.

    Return {"status", "error"} of the first that fails and may not, else 200 and no error. The others are sent all the
    same: what a failed one leaves behind is least where the rest is done.
    """
    time.sleep(max(0.0, min(pause, bounds.PAUSE)))
    found: Document = {"status": 200, "error": ""}
    for each in calls[: bounds.CALLS]:
        answer = asking.ask(port, each["path"], each["payload"], timeout)
        failed = answer["status"] != 200 and not each["may_fail"]
        if failed and found["status"] == 200:
            found = {"status": answer["status"], "error": answer["error"]}
    return found
