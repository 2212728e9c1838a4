"""The host's side of the toolkit: observe, switch and wait, where milliseconds count.

    python3 -I toolkit/hostside COMMAND      (a directory, run from the ops machine's own copy or over SSH)

It reads one JSON document, the request, as the first line of standard input and writes JSON documents, one a
line: any number of `{"event": ...}` and at the end one `{"result": ...}` or `{"error": "..."}`.
`converse` is the exception: it reads one request after the other, each with its `command`, and answers each like that.
It needs nothing but Python >= 3.9, changes nothing about what a host looks like (that is Ansible's), and
ends by itself when its standard input closes, so that nothing outlives a killed ops machine.
"""

from __future__ import annotations

import json
import os
import sys
import threading

from wire import Document, Report


def main() -> int:
    """Run one command; exit code 0 with a result, 1 with an error."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name == "converse":
        import conversation

        return conversation.converse(carry_out)
    # As bytes: what follows the first line may be a file, which text would read ahead of.
    request = json.loads(sys.stdin.buffer.readline() or b"{}")
    if request.pop("until_eof", False):
        threading.Thread(target=end_with_parent, daemon=True).start()
    return carry_out(name, request)


def carry_out(name: str, request: Document) -> int:
    """Answer a request; return 0 with a result, 1 with an error."""
    command = COMMANDS.get(name)
    if command is None:
        emit({"error": "unknown command; known: " + " ".join(sorted(COMMANDS))})
        return 2
    try:
        emit({"result": command(request, lambda event: emit({"event": event}))})
    except (
        Exception
    ) as error:  # the boundary: whatever happens becomes one line for the ops machine
        emit({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def emit(document: Document) -> None:
    """Write one JSON line."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def end_with_parent() -> None:
    """End this process as soon as the ops machine's end of the pipe is gone."""
    while os.read(0, 4096):
        pass
    os._exit(3)


def _observe(request: Document, report: Report) -> Document:
    import observe

    return observe.observe(request["root"], request.get("label", ""))


def _hold_lock(request: Document, report: Report) -> Document:
    import fleet_lock

    return fleet_lock.hold(request["root"], request["owner"], report)


def _apply_routes(request: Document, report: Report) -> Document:
    import router

    return router.apply(request["root"], request)


def _keys(request: Document, report: Report) -> Document:
    import router_keys

    return router_keys.read(request["root"])


def _apply_keys(request: Document, report: Report) -> Document:
    import router_keys

    return router_keys.apply(request["root"], request["ring"])


def _wait_ready(request: Document, report: Report) -> Document:
    import replica

    return replica.wait_ready(request, report)


def _complete(request: Document, report: Report) -> Document:
    import completion

    return completion.complete(request["port"], request["payload"], request["timeout"])


def _watch(request: Document, report: Report) -> Document:
    import replica

    return replica.watch(request, report)


def _drain(request: Document, report: Report) -> Document:
    import replica

    return replica.drain(request, report)


def _logs(request: Document, report: Report) -> Document:
    import logs

    return logs.follow(request, report)


def _place(request: Document, report: Report) -> Document:
    import snapshots

    return snapshots.place(request, report)


def _hash(request: Document, report: Report) -> Document:
    import snapshots

    return snapshots.hash_files(request, report)


def _remove(request: Document, report: Report) -> Document:
    import snapshots

    return snapshots.remove(request)


def _tree_survey(request: Document, report: Report) -> Document:
    import trees

    return trees.survey(request, report)


def _tree_receive(request: Document, report: Report) -> Document:
    import trees_receive

    return trees_receive.receive(request, sys.stdin.buffer, report)


def _tree_finish(request: Document, report: Report) -> Document:
    import trees

    return trees.finish(request, report)


def _tree_swarm(request: Document, report: Report) -> Document:
    import swarm

    return swarm.join(request, sys.stdin.buffer, report)


def _swarm_library(request: Document, report: Report) -> Document:
    import swarm_library

    return swarm_library.unpack(request, sys.stdin.buffer)


COMMANDS = {
    "observe": _observe,
    "hold-lock": _hold_lock,
    "apply-routes": _apply_routes,
    "keys": _keys,
    "apply-keys": _apply_keys,
    "wait-ready": _wait_ready,
    "complete": _complete,
    "watch": _watch,
    "drain": _drain,
    "logs": _logs,
    "place": _place,
    "hash": _hash,
    "remove": _remove,
    "tree-survey": _tree_survey,
    "tree-receive": _tree_receive,
    "tree-finish": _tree_finish,
    "tree-swarm": _tree_swarm,
    "swarm-library": _swarm_library,
}

if __name__ == "__main__":
    sys.exit(main())
