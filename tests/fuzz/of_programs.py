"""What other programs say: Ansible, lm-eval, the master of HAProxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.fuzz.parser import hostside, packed, words, written
from toolkit.adapters.ansible.converge import RealConverge, nothing
from toolkit.adapters.ansible.inventory import _answers
from toolkit.adapters.ansible.program import ProgramEnd
from toolkit.adapters.ansible.standing import _event
from toolkit.adapters.benchmarks.lm_eval import read_scores
from toolkit.adapters.matching.matcher import _fault
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import InputError

with hostside():
    router_socket = import_module("router_socket")

DOMAIN = {"play": "x", "task": "Write the unit", "name": "Write the unit"}
EVENTS = b"\n".join(
    packed(each)
    for each in (
        {"event": "playbook_on_task_start", "event_data": DOMAIN},
        {"event": "runner_on_ok", "event_data": {**DOMAIN, "host": "gpu1", "res": {"changed": True, "msg": "ok"}}},
        {"event": "runner_on_failed", "event_data": {**DOMAIN, "res": {"msg": "no", "stderr": "a\nb", "rc": 1}}},
        {"event": "runner_on_unreachable", "event_data": {**DOMAIN, "ignore_errors": None, "res": {"msg": "lost"}}},
        {"event": "playbook_on_stats", "event_data": {"processed": {"gpu1": 1}, "failures": {}, "dark": {}}},
        {"event": "ended", "event_data": {"failure": ""}},
    )
)  # fmt: skip


class _Told(RealConverge):
    """Ansible that says given lines in place of a run."""

    def __init__(self, lines: list[bytes]) -> None:
        super().__init__(Path("playbooks"), Path("scratch"))
        self._lines = lines

    def _events(self, *_: Any) -> Iterator[dict[str, Any]]:
        for line in self._lines:
            # The line itself is the toolkit's own; what a host said stands below `event_data`.
            with suppress(ValueError, RecursionError):
                event = _event(line.decode())
                kinds = (
                    (event.get("event"), event.get("event_data")) if isinstance(event, dict) else ()
                )
                if list(map(type, kinds)) == [str, dict]:
                    yield event


def played(data: bytes) -> Any:
    """Read the events of a playbook, whose results come from the host."""
    told: list[str] = []
    changed = _Told(data.split(b"\n"))._converge(
        "replica", Host("gpu1"), {}, told.append, Path("x"), nothing
    )
    return [told, changed]


ANSWERED = b'localhost | SUCCESS => {\n    "msg": {"gpu1": {"ansible_host": "10.0.0.1", "toolkit_root": null}}\n}\n'


def evaluated_by_ansible(data: bytes) -> Any:
    found = []
    for code in (0, 2):
        # Ansible's own words, where it ends with another code than 0.
        with suppress(InputError):
            found.append(_answers(Path("hosts.yaml"), ProgramEnd(code, data, words(data))))
    return found


SCORES = {
    "results": {"facts": {"alias": "facts", "acc,none": 0.5, "acc_stderr,none": 0.1, "acc,strict": 1}},
    "higher_is_better": {"facts": {"acc": True}},
}  # fmt: skip
SAMPLES = {"doc_id": 0, "filter": "none", "acc": 1.0}


def scored(data: bytes) -> Any:
    """Read results and samples: the first line is the results, the others are samples."""
    results, _, samples = data.partition(b"\n")
    output = written("here", b"").parent
    (output / "m").mkdir(exist_ok=True)
    (output / "m" / "results_1.json").write_bytes(results)
    (output / "m" / "samples_facts_1.jsonl").write_bytes(samples)
    return [asdict(each) for each in read_scores(output)]


SCHEMA = {
    "type": "object", "required": ["name"], "additionalProperties": False,
    "properties": {"name": {"type": "string", "maxLength": 9}, "n": {"type": "array", "uniqueItems": True}},
}  # fmt: skip
SAID = {"name": "Ada", "n": [1, 2.5, {"a": None}]}


def matched(data: bytes) -> Any:
    """Match what a model answered with a schema and a pattern, as the process of the matcher does."""
    asked = ({"json_schema": SCHEMA}, {"regex": r"^\{\s*\"name\": \"[A-Z][a-z]+\""})
    return [_fault({"text": words(data), **each}) for each in asked]


PROC = b"""\
#<PID>          <type>          <reloads>       <uptime>        <version>
21              master          1 [failed: 0]   0d00h00m01s     2.6.12-1
# workers
22              worker          0               0d00h00m01s     2.6.12-1
# old workers
20              worker          1               0d00h00m09s     2.6.12-1
"""
STAT = b"""\
# pxname,svname,scur,bout,hrsp_2xx,status,weight,uweight,check_status,check_code,addr,algo,
model.tiny,blue,0,12,7,UP,256,256,* L7OK,200,127.0.0.1:8100,,
model.tiny,BACKEND,0,12,7,UP,256,256,,,,roundrobin,
up.tiny:blue,up,0,,,UP,1,1,,,127.0.0.1:8100,,
"""
FRONTENDS = b"# pxname,svname,scur,bout,hrsp_2xx,status,\napi,FRONTEND,1,5,9,OPEN,\n"
STREAMS = b"""\
0x559037319e60: [30/Nov/2026:18:22:35.430842] id=13 proto=tcpv4 source=127.0.0.1:36372
  flags=0x800, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=(nil), pend_pos=(nil) waiting=0 epoch=0
  txn=0x5590374288f0 flags=0x0 meth=3 status=-1 req.st=MSG_DATA rsp.st=MSG_RPBEFORE req.f=0x0d rsp.f=0x00
"""
MAP = b"0x55d0c8 tiny blue\n0x55d0c9 other 60:1700000000000:\n"


def routed(data: bytes) -> Any:
    """Read each answer of a router's master and of its workers."""
    with patch.object(router_socket, "_ask", lambda *_: words(data)):
        found = []
        for read in (
            lambda: router_socket.processes("x"),
            lambda: router_socket.servers("x", 22),
            lambda: router_socket.counters("x", 22),
            lambda: router_socket.read_map("x", 22, "slots.map"),
            lambda: router_socket.answered("x"),
            lambda: router_socket.frontend("x", 22, "api"),
            lambda: router_socket.table("x", 22, "addresses", "conn_cur", 1),
            lambda: router_socket.uploading("x", 22),
        ):
            with suppress(router_socket.RouterError):
                found.append(read())
        return found
