"""An sshd that takes no further connection for now: how it is told from other failures, and when to try again.

sshd drops new connections while `MaxStartups` of them have not logged in yet (sshd_config(5)). That passes within
seconds, and nothing has been sent to the host before it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

# The pauses before all tries, in seconds.
PATIENCE_SECONDS = 20.0
_FIRST_SECONDS, _LONGEST_SECONDS = 0.4, 3.0
_NO_CONNECTION = 255
REFUSED = "(kex|ssh)_exchange_identification"


def refuses_for_now(words: str, code: int) -> bool:
    """Whether `words` on ssh's standard error say that the host drops connections before the login."""
    return code == _NO_CONNECTION and re.search(REFUSED, words) is not None


def pauses(draw: Callable[[float, float], float] = random.uniform) -> Iterator[float]:
    """Yield the seconds to wait before each further try: longer each time, and drawn, so that clients spread out."""
    left, widest = PATIENCE_SECONDS, _FIRST_SECONDS
    while left > 0:
        pause = min(draw(widest / 2, widest), left)
        yield pause
        left -= pause
        widest = min(2 * widest, _LONGEST_SECONDS)
