"""The commands of the host's side: the ops machine's client and the host's dispatcher both read this table.

It imports no sibling, so that the ops machine can import it as a part of the package.
"""

from typing import NamedTuple


class Command(NamedTuple):
    """A command, by the function that carries it out. `takes` names the function's arguments, in their order.

    An argument is a field of the request, the whole `request`, `report` (a function that sends an event), or `stream`
    (the rest of standard input).
    """

    module: str
    function: str
    takes: tuple[str, ...] = ("request", "report")
    # The command takes milliseconds and may be repeated: one process answers all of them, see `converse`.
    brief: bool = False
    # An interruption or a lost ops machine does not end it. Any other command ends with its standard input.
    carried_through: bool = False
    # Its standard input carries more than the request.
    streams: bool = False
    # It sends no signs of life, see `life`: it must begin without a thread, or answers those of the ops machine.
    quiet: bool = False
    # It has a way of its own to the host, beside the channel of all others: it moves much, or needs more than the
    # standard library.
    apart: bool = False


COMMANDS = {
    "observe": Command("observe", "observe", ("root", "label"), brief=True),
    "complete": Command("completion", "complete", ("port", "payload", "timeout"), brief=True),
    "ask": Command("asking", "ask", ("port", "path", "payload", "timeout"), brief=True),
    "call-in-turn": Command(
        "in_turn", "call", ("port", "calls", "pause", "timeout"), carried_through=True
    ),
    "pairs": Command("pairs", "pairs"),
    "vitals": Command("vitals", "vitals", ("root", "program", "port", "log"), brief=True),
    "energy": Command("energy", "energy", ("root",)),
    "sample": Command("sample", "sample", ("root",), brief=True),
    "apply-routes": Command(
        "router", "apply", ("root", "request"), brief=True, carried_through=True
    ),
    "keys": Command("router_keys", "read", ("root",)),
    "apply-keys": Command("router_keys", "apply", ("root", "ring"), carried_through=True),
    "repair-keys": Command("router_keys", "repair", ("root", "ring"), carried_through=True),
    "lock": Command(
        "deployment_lock",
        "keep",
        ("request", "report", "stream"),
        carried_through=True,
        streams=True,
        quiet=True,
    ),
    "keep-deployment": Command(
        "open_deployment",
        "keep",
        ("root", "deployment", "head"),
        brief=True,
        carried_through=True,
    ),
    "drop-deployment": Command(
        "open_deployment", "drop", ("root", "rollout"), brief=True, carried_through=True
    ),
    "guard-begin": Command(
        "guard_order", "begin", ("root", "order", "holder"), brief=True, carried_through=True
    ),
    "guard-phase": Command(
        "guard_order",
        "enter",
        ("root", "model", "phase", "holder"),
        brief=True,
        carried_through=True,
    ),
    "guard-wish": Command(
        "guard_order", "wish", ("root", "model", "wish", "actor"), brief=True, carried_through=True
    ),
    "guard-end": Command(
        "guard_order", "end", ("root", "model", "rollout"), brief=True, carried_through=True
    ),
    "repair-guards": Command("guard_order", "repair", ("root",), brief=True, carried_through=True),
    "guard-follow": Command("guard_follow", "follow"),
    "hold-wakes": Command(
        "wake_hold", "hold", ("root", "holder", "on"), brief=True, carried_through=True
    ),
    "keep-head": Command("audit_heads", "keep", ("root", "head"), brief=True, carried_through=True),
    "audit-heads": Command("audit_heads", "read", ("root",), brief=True),
    "hand-out-use": Command("use_hand_out", "hand_out", ("root", "place"), brief=True),
    "find-request": Command("access_log", "find", ("root", "id")),
    "read-requests": Command(
        "request_log", "read", ("root", "model", "lines", "place"), brief=True
    ),
    "find-use": Command("use_find", "find", ("root", "ids", "since"), brief=True),
    # Its processes must begin without a thread, such as the one that waits for the end of standard input. It has a
    # bound of its own.
    "perimeter": Command("perimeter", "check", ("root",), carried_through=True, quiet=True),
    "sums-of-use": Command("use_sums", "read", ("root",), brief=True),
    "tell-use": Command("use_sums", "take", ("root", "told"), brief=True, carried_through=True),
    "wait-ready": Command("replica", "wait_ready"),
    "watch": Command("replica", "watch"),
    "probe": Command("replica", "probe", ("request",), brief=True),
    "drain": Command("replica", "drain"),
    # Carried through: half asleep it would serve nobody, and keep its device.
    "doze": Command("doze", "doze", ("root", "program", "needs", "timeout"), carried_through=True),
    "rouse": Command("doze", "rouse", ("root", "program", "port", "timeout"), carried_through=True),
    "logs": Command("logs", "follow", apart=True),
    "place": Command("snapshots", "place"),
    "hash": Command("tree_check", "hash_files"),
    "check-snapshot": Command("tree_check", "check"),
    "keep-compiled": Command(
        "compiled", "keep", ("root", "program"), brief=True, carried_through=True
    ),
    "find-compiled": Command("compiled", "find", ("root", "compiles", "snapshot"), brief=True),
    "hand-out-compiled": Command("compiled", "hand_out", ("root", "name", "offset"), brief=True),
    "seal-engine": Command("tree_check", "seal_engine"),
    "check-engine": Command("tree_check", "check_engine"),
    "swap-engine": Command("engine_swap", "swap"),
    "remove": Command("snapshots", "remove", ("request",)),
    "leftovers": Command("leftovers", "find", ("root",)),
    "remove-leftovers": Command("leftovers", "remove", ("root", "paths", "holder")),
    "tree-survey": Command("trees", "survey", apart=True),
    "tree-receive": Command(
        "trees_receive", "receive", ("request", "stream", "report"), streams=True, apart=True
    ),
    "tree-drop-swarm": Command("trees", "drop_swarm"),
    "tree-finish": Command("trees", "finish"),
    "tree-swarm": Command(
        "swarm", "join", ("request", "stream", "report"), streams=True, apart=True
    ),
    "swarm-library": Command(
        "swarm_library", "unpack", ("request", "stream"), streams=True, apart=True
    ),
}
