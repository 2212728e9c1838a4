"""Several requests to one process: starting Python costs more than carrying one of them out."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable

from wire import Document


def converse(answer: Callable[[str, Document], int]) -> int:
    """Have `answer` carry out the requests of standard input, one a line with its `command`, until that ends.

    A request with `until_eof` ends with standard input; any other, once begun, is carried through.
    """
    requests: queue.Queue[str] = queue.Queue()
    # Held while something is carried through.
    through = threading.Lock()

    def listen() -> None:
        for line in sys.stdin:
            requests.put(line)
        with through:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        request = json.loads(requests.get())
        command = request.pop("command")
        if request.pop("until_eof", False):
            answer(command, request)
        else:
            with through:
                answer(command, request)
