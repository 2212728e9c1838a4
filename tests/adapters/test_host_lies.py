"""A host that lies, or whose login prints something: each answer ends in an error of the tree, and nothing waits."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.fuzz.of_hosts import FACTS, complete
from toolkit.adapters.hosts import dialog as dialogs
from toolkit.adapters.hosts.client import HostClient
from toolkit.adapters.hosts.dialog import Dialog, DialogEnded
from toolkit.adapters.hosts.facts import facts_from_json, owner_from_json
from toolkit.adapters.hosts.host import RealHost
from toolkit.adapters.hosts.ways import Here
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.clients.use import LedgerPlace
from toolkit.domain.deployment.release import OpenDeployment
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.replicas.answers import PairsWanted
from toolkit.domain.replicas.probe import LockOwner
from toolkit.domain.trail.audit import Head
from toolkit.errors import HostError


def talk(script: str, title: str = "gpu1") -> list[dict[str, Any]]:
    dialog = Dialog([sys.executable, "-c", script], title=title)
    try:
        return list(dialog.answers())
    finally:
        dialog.kill()
        dialog.end()


LINES = [
    ("print('Welcome to gpu1!')", "no JSON"),
    ("print('[1]')", "neither an event nor a result"),
    ("print('{}')", "neither an event nor a result"),
    ("print('[' * 100000)", "deeper than 64 levels"),
    ("print('{\"result\": ' + '[' * 100 + ']' * 100 + '}')", "deeper than 64 levels"),
    ("print('{\"result\": NaN}')", "no finite number"),
    ('print(\'{"result": 1, "result": 2}\')', "stands twice"),
    *((f"print('{{\"{name}\": {odd}}}')", f"its {name} is ")
      for name, odds in (("event", '5 null [1] "x"'), ("result", "5 null [1]"), ("error", "5 null [1] {}"))
      for odd in odds.split()),
    *((f"print('{{\"error\": \"x\", \"hint\": {odd}}}')", "its hint is ") for odd in ("5", "null", "[]")),
    ("import os; os.write(1, bytes([255, 10]))", "UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "why"), LINES, ids=range(len(LINES)))
def test_a_line_that_is_no_answer_is_an_error_of_that_host(script: str, why: str) -> None:
    with pytest.raises(HostError, match=r"^gpu1 gives an answer that is none") as caught:
        talk(script)
    assert why in caught.value.message
    assert caught.value.hint


def test_a_line_without_an_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogs, "LINE", 100_000)
    with pytest.raises(HostError, match="larger than 100000 bytes"):
        talk("import sys\nwhile True: sys.stdout.write('x' * 65536)")


def test_a_process_that_says_much_on_its_standard_error_does_not_wait_for_ever() -> None:
    """A pipe holds 64 KiB; the words at the end are those that count."""
    with pytest.raises(DialogEnded) as caught:
        talk("import sys; sys.stderr.write('x' * 2**20 + 'the reason'); sys.exit(7)")
    assert caught.value.code == 7
    assert caught.value.words.endswith("the reason")
    assert len(caught.value.words) <= 2**16


def test_an_odd_name_of_a_file_is_shown_with_a_question_mark() -> None:
    assert talk('print(\'{"result": {"a": "a\\\\udcff"}}\')') == [{"result": {"a": "a?"}}]


def test_the_words_of_a_fault_are_shown_in_part() -> None:
    (answer,) = talk(
        "print('{\"error\": \"' + 'x ' * 10**6 + '\", \"hint\": \"' + 'y ' * 10**6 + '\"}')"
    )
    assert len(answer["error"]) + len(answer["hint"]) < 10_000


ODD = [
    {"memory": "much"},
    {"memory": 2**70},
    {"memory": True},
    {"observed_at": None},
    {"os": ["Debian"]},
    {"engines": [1]},
    {"devices": [{"index": 0}]},
    {"devices": [{"index": "0", "name": "x", "memory": 1, "memory_free": 1}]},
    {"slots": [{"model": "tiny"}]},
    {"slots": 5},
    {"router": None},
    {"lock": {}},
    {"used_ports": [None]},
]
TARGET = {"slot": "blue", "port": 8100, "weight": 100, "host": "gpu1", "relay": "10.0.0.1:8081"}
ROUTE = {"model": "tiny", "created": 1, "targets": [TARGET]}
# What a host that was taken over could have its fleet write into the files of all routers.
ODD_ROUTES = [
    [],
    {"routes": "x"},
    {"routes": [{**ROUTE, "targets": "x"}]},
    {"routes": [{**ROUTE, "targets": [None]}]},
    {"routes": [{**ROUTE, "model": "tiny\nserver x 1.2.3.4:80"}]},
    {"routes": [{**ROUTE, "routing": ["x"]}]},
    {"routes": [{**ROUTE, "created": "1"}]},
    {"routes": [{**ROUTE, "hold": 10**9}]},
    {"routes": [{**ROUTE, "waiting": {"a": "x"}}]},
    *({"routes": [{**ROUTE, "targets": [{**TARGET, name: odd}]}]} for name, odd in (
        ("slot", "blue x"), ("port", 0), ("weight", 1000), ("host", "gpu1\n"), ("relay", "10.0.0.1:80 weight 256"),
        ("waiting", [[]]), ("context", "9"), ("kind", "chat\nx"), ("aliases", ["a b"]),
    )),
]  # fmt: skip


@pytest.mark.parametrize("routes", ODD_ROUTES, ids=range(len(ODD_ROUTES)))
def test_odd_routes_of_a_host_count_as_damaged_there(routes: Any) -> None:
    good = {"serial": 1, "routes": [ROUTE]}
    assert facts_from_json("gpu1", {**complete(FACTS), "routes": good}).routes == good
    found = facts_from_json("gpu1", {**complete(FACTS), "routes": routes})
    assert found.routes == {}
    assert "router/routes.json" in found.damaged


@pytest.mark.parametrize("changed", ODD, ids=range(len(ODD)))
def test_odd_facts_are_an_error_of_that_host(changed: dict[str, Any]) -> None:
    facts = complete(FACTS)
    assert asdict(facts_from_json("gpu1", facts))["memory"] == 2**34
    with pytest.raises(HostError, match=r"^gpu1: its answer is not understood"):
        facts_from_json("gpu1", {**facts, **changed})


def test_an_odd_answer_is_quoted_in_part() -> None:
    with pytest.raises(HostError) as caught:
        facts_from_json("gpu1", {**complete(FACTS), "observed_at": "x" * 100_000})
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "odd", [{"pid": "x"}, {"pid": -1}, {"since": "x"}, {"since": [1]}, {"pid": 10**400}]
)
def test_an_odd_owner_of_a_lock_is_an_unknown_one(odd: dict[str, Any]) -> None:
    owner = {"actor": "a@b", "command": "deploy", "pid": 5, "since": 1000.5}
    assert owner_from_json(owner) == LockOwner("a@b", "deploy", 5, 1000.5)
    assert owner_from_json({**owner, **odd}) == LockOwner("a@b", "deploy", 0)
    assert owner_from_json({"since": 1e300}).since < 1e12


class Liar(HostClient):
    """A client whose host gives each command the same answer."""

    def __init__(self, answer: Any) -> None:
        super().__init__(Here(Host("gpu1"), "/nowhere"))
        self._answer = answer

    @contextmanager
    def _answers(self, name: str, request: dict[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        yield iter([{"result": self._answer}])


@pytest.mark.parametrize("event", [{}, {"seconds": []}, {"line": 5}, {"path": None, "left": "x"}])
def test_an_odd_event_breaks_no_command(monkeypatch: pytest.MonkeyPatch, event: Any) -> None:
    """What is done with an event is the caller's, and it asks for names and numbers that a host may leave out."""
    client = Liar({})
    monkeypatch.setattr(client, "_answers", lambda *_: nullcontext(iter([{"event": event}])))
    with pytest.raises(HostError, match=r"^gpu1: its answer is not understood"):
        client.ask("drain", lambda told: print(told["seconds"] + 1))


@pytest.mark.parametrize("line", [None, 5, ["x"], {}])
def test_a_line_of_a_log_that_is_no_text_is_an_error_of_that_host(
    monkeypatch: pytest.MonkeyPatch, line: Any
) -> None:
    host = RealHost(Liar({}))
    said = SimpleNamespace(events=lambda: iter([{"line": "a"}, {"line": line}]))
    monkeypatch.setattr(host._client, "open", lambda *_, **__: nullcontext(said))
    lines = host.logs("p", 1, follow=False)
    assert next(lines) == "a"
    with pytest.raises(HostError, match=r"^gpu1: its answer is not understood"):
        next(lines)


KIND = f"{'0' * 16}.{'1' * 16}"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((odd, "") for odd in ("", "*", "/etc/*", "../../*", "**/x", f"{KIND}*", f"{KIND}\n", f"/{KIND}")),
        *((KIND, odd) for odd in ("x", f"../{KIND}.{'2' * 64}", f"{KIND}.", f"{KIND}.{'2' * 64}/x")),
        (KIND, f"{'3' * 16}.{'1' * 16}.{'2' * 64}"),
    ],
)  # fmt: skip
def test_an_odd_name_of_a_compiled_tree_is_an_error_of_that_host(kind: str, name: str) -> None:
    """This machine looks for the kind among its own files: a pattern would find others, or none for ever."""
    good = {"kind": KIND, "name": f"{KIND}.{'2' * 64}"}
    assert RealHost(Liar(good)).find_compiled({}, "d").name == good["name"]
    assert RealHost(Liar({**good, "name": ""})).find_compiled({}, "d").kind == KIND
    with pytest.raises(HostError, match=r"^gpu1: its answer is not understood"):
        RealHost(Liar({"kind": kind, "name": name})).find_compiled({}, "d")


@pytest.mark.parametrize("answer", [{}, {"data": "YQ=="}, {"data": 5, "more": True}, {"data": "?"}])
def test_an_odd_part_of_a_compiled_tree_is_an_error_of_that_host(answer: dict[str, Any]) -> None:
    _, parts = RealHost(Liar({"files": [], **answer})).hand_out_compiled("n")
    with pytest.raises(HostError, match=r"^gpu1: its answer is not understood"):
        list(parts)


OPENED = OpenDeployment("r", "deploy", "tiny", "blue", "ann", None, None, False, 1.0)
# The requests of a host whose answers say something, each by its method.
ASKING: dict[str, Callable[[RealHost], Any]] = {
    "observe": lambda host: host.observe(),
    "perimeter": lambda host: host.perimeter(),
    "keys": lambda host: host.keys(),
    "apply_keys": lambda host: host.apply_keys(KeyRing()),
    "repair_keys": lambda host: host.repair_keys(KeyRing()),
    "wait_ready": lambda host: host.wait_ready("p", 1, 1, print),
    "complete": lambda host: host.complete(1, {}, 1),
    "ask": lambda host: host.ask(1, "/", {}, 1),
    "call_in_turn": lambda host: host.call_in_turn(1, (), 1, 1),
    "pairs": lambda host: host.pairs(PairsWanted(1, 0, "/", {}), print),
    "vitals": lambda host: host.vitals("p", 1),
    "sample": lambda host: host.sample(),
    "energy": lambda host: host.energy(),
    "watch": lambda host: host.watch("p", 1, 1, print),
    "probe": lambda host: host.probe("p", 1),
    "doze": lambda host: host.doze("p", 1, 1),
    "rouse": lambda host: host.rouse("p", 1, 1),
    "guard_follow": lambda host: host.guard_follow("m", print),
    "guard_wish": lambda host: host.guard_wish("m", "return", "ann"),
    "repair_guards": lambda host: host.repair_guards(),
    "drain": lambda host: host.drain("m", "blue", 1, 1, print),
    "hash_files": lambda host: host.hash_files("d", print),
    "check_snapshot": lambda host: host.check_snapshot("d", print),
    "keep_compiled": lambda host: host.keep_compiled("p"),
    "find_compiled": lambda host: host.find_compiled({}, "d"),
    "hand_out_compiled": lambda host: host.hand_out_compiled("n"),
    "check_engine": lambda host: host.check_engine("e", print),
    "remove": lambda host: host.remove("snapshots", "d"),
    "leftovers": lambda host: host.leftovers(),
    "remove_leftovers": lambda host: host.remove_leftovers(()),
    "keep_deployment": lambda host: host.keep_deployment(OPENED),
    "keep_head": lambda host: host.keep_head(Head("l", "m", 1, "d")),
    "audit_heads": lambda host: host.audit_heads(),
    "answered": lambda host: host.answered("r"),
    "read_requests": lambda host: host.read_requests("m", 1),
    "find_use": lambda host: host.find_use((), 0),
    "use": lambda host: host.use(LedgerPlace("")),
    "sums_of_use": lambda host: host.sums_of_use(),
}
# Those whose answers say nothing, or come line by line.
TOLD = {
    *("hold_wakes", "apply_routes", "guard_begin", "guard_phase", "guard_end", "logs", "place"),
    *("place_compiled", "seal_engine", "swap_engine", "renew_program", "drop_deployment"),
    *("tell_use", "lock", "require_lock"),
}


# Those that a command makes of a host whose lock it must have.
CHANGING: dict[str, Callable[[RealHost], Any]] = {
    **{name: ASKING[name] for name in ("repair_keys", "call_in_turn", "doze", "rouse", "drain")},
    **{name: ASKING[name] for name in ("repair_guards", "keep_compiled", "remove")},
    **{name: ASKING[name] for name in ("remove_leftovers", "keep_deployment")},
    "hold_wakes": lambda host: host.hold_wakes(on=True),
    "apply_routes": lambda host: host.apply_routes({}),
    "guard_end": lambda host: host.guard_end("m", "r"),
    "place": lambda host: host.place("s", "d", (), print),
    "place_compiled": lambda host: host.place_compiled("s", "n", ()),
    "seal_engine": lambda host: host.seal_engine("e", print),
    "swap_engine": lambda host: host.swap_engine("e", print),
    "renew_program": lambda host: host.renew_program(()),
    "drop_deployment": lambda host: host.drop_deployment("r"),
}


@pytest.mark.parametrize("name", CHANGING)
def test_a_command_that_lost_its_lock_asks_for_no_change(name: str) -> None:
    """It may have been stopped amid a step, between two requests."""
    asked = list[str]()

    class Counting(Liar):
        def ask(self, name: str, /, *more: Any, **request: Any) -> dict[str, Any]:
            asked.append(name)
            return {}

        def renew(self, damaged: Any) -> None:
            asked.append("renew")

    host = RealHost(Counting({}))
    with suppress(HostError, KeyError):
        CHANGING[name](host)
    assert len(asked) == 1
    host._held = ("token", cast(Any, SimpleNamespace(lost=True)))
    with pytest.raises(HostError, match=r"^the deployment lock was lost"):
        CHANGING[name](host)
    assert len(asked) == 1


def test_the_table_has_each_request_of_a_host() -> None:
    found = {
        name
        for name, each in inspect.getmembers(RealHost, inspect.isfunction)
        if not name.startswith("_")
    }
    assert found == ASKING.keys() | TOLD


class Odd(dict[str, Any]):
    """A mapping that has each name, with one odd value."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self._value = value

    def __missing__(self, name: str) -> Any:
        return self._value


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_an_answer_that_lacks_what_was_asked_is_an_error_of_that_host(
    ask: Callable[[RealHost], Any],
) -> None:
    empty = () if ask in (ASKING["apply_keys"], ASKING["repair_keys"]) else ({},)
    for answer in (*empty, [], None, "x", 5):
        with pytest.raises(HostError, match=r"^gpu1: its answer is not understood"):
            ask(RealHost(Liar(answer)))


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_an_odd_answer_breaks_no_command(
    ask: Callable[[RealHost], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (None, [None], {"a": None}, {"a": {"size": "x"}}, "x", -1, 1e300, [[1]]):
        host = RealHost(Liar({}))
        monkeypatch.setattr(host, "_ask", lambda *_, value=value, **__: Odd(value))
        try:
            ask(host)
        except HostError as error:
            assert error.message.startswith("gpu1: its answer is not understood")


@pytest.mark.parametrize("answer", [{}, 5, {"held": False, "owner": 5}])
def test_an_odd_answer_about_the_lock_is_an_error_of_that_host(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Said:
        def events(self) -> Iterator[Any]:
            yield answer

    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[Said]:
        yield Said()

    host = RealHost(Liar({}))
    monkeypatch.setattr(host._client, "open", opened)
    with (
        pytest.raises(HostError, match=r"^gpu1: its answer is not understood"),
        host.lock(LockOwner("a", "b", 1)),
    ):
        pass
