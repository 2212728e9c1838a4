"""Run all clients against a router and fill their table, a few clients at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from tests.clients.running import SECONDS, Door, Libraries, Loop, cells, litellm_proxy, loop
from tests.clients.table import CLIENTS, Client, Outcome, cell, fault
from tests.system.waiting import until

AT_ONCE = 3
PROXY = "LiteLLM, proxy"


@contextmanager
def doors(libraries: Libraries, router: Door) -> Iterator[Callable[[Client], Door]]:
    """Yield the function that tells where each client asks: the router, or LiteLLM's proxy before it."""
    with litellm_proxy(libraries, router) as proxy:
        yield lambda client: proxy if client.title == PROXY else router


def fill(
    libraries: Libraries, door_of: Callable[[Client], Door], answers: Mapping[str, str]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Run each client's cells; return client -> column -> text of the cell, and what failed."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda each: cells(libraries, each, door_of(each)), CLIENTS))
    rows: dict[str, dict[str, str]] = {}
    faults = []
    for client, found in zip(CLIENTS, outcomes, strict=True):
        applying = {column: each for column, each in found.items() if column not in client.lacks}
        rows[client.title] = {column: cell(column, each) for column, each in applying.items()}
        faults += [
            f"{client.title}, {column}: {words}"
            for column, each in applying.items()
            if (words := fault(column, each, answers))
        ]
    return rows, faults


def change_under_load(
    libraries: Libraries, door_of: Callable[[Client], Door], change: Callable[[], object]
) -> dict[str, list[Outcome]]:
    """Let all clients ask while `change` runs, and some requests longer; return what each was answered."""
    with ExitStack() as stack:
        running: dict[str, Loop] = {
            client.title: stack.enter_context(loop(libraries, client, door_of(client)))
            for client in CLIENTS
        }

        def everyone_goes_on(by: int) -> None:
            marks = {title: each.so_far() + by for title, each in running.items()}
            until(
                lambda: {title: each.so_far() for title, each in running.items()},
                SECONDS,
                lambda counts: all(counts[title] >= mark for title, mark in marks.items()),
            )

        everyone_goes_on(2)
        change()
        # The first answer after the change may belong to a request from before.
        everyone_goes_on(2)
    return {title: each.outcomes for title, each in running.items()}
