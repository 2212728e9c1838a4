"""Several requests to one process: to start Python takes longer than to carry out one of them."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable

from commands import COMMANDS
from wire import Document


def converse(answer: Callable[[str, Document], int]) -> int:
    """Have `answer` carry out the requests of standard input, one a line with its `command`, until that ends.

    A command that is carried through delays that end; any other ends at once.
    """
    requests: queue.Queue[str] = queue.Queue()
    # Held while a command is carried through.
    through = threading.Lock()

    def listen() -> None:
        for line in sys.stdin:
            requests.put(line)
        with through:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        request = json.loads(requests.get())
        name = request.pop("command")
        if name in COMMANDS and COMMANDS[name].carried_through:
            with through:
                answer(name, request)
        else:
            answer(name, request)
