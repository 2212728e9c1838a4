"""Facts -> findings, and what to type about each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import BASE, GB, gpu, host, release, slot
from toolkit.domain.hosts.facts import FENCES, HostFacts, ProcessState, RouterFacts
from toolkit.planning.upkeep.diagnosis import (
    Finding,
    Level,
    diagnose_host,
    diagnose_ops,
    diagnose_registry,
)

R1 = release(1)
NOW = 0.0


def bad(findings: tuple[Finding, ...]) -> list[tuple[str, str, str]]:
    """Return (level, subject, words) of what is not well; each of these has a hint unless excused."""
    return [(str(f.level), f.subject, f.words) for f in findings if f.level != "ok"]


def test_what_a_host_or_a_running_replica_leaves_open_is_told() -> None:
    bare = replace(slot("blue", R1, weight=100), fences=FENCES[1:])
    found = [each for each in diagnose_host(host(bare), BASE, NOW) if each.level is Level.WARN]
    assert [(each.subject, each.words) for each in found] == [
        ("fence", "tiny blue is not fenced: it can act as the router's user")
    ]
    assert found[0].hint.startswith("the next upgrade replaces it")
    narrow = diagnose_host(replace(host(bare), fences=FENCES[:-1]), BASE, NOW)
    assert ("fence", "it cannot fence replicas entirely: they can make any system call") in [
        (each.subject, each.words) for each in narrow if each.level is Level.WARN
    ]


def test_a_well_host_has_nothing_to_tell() -> None:
    facts = host(slot("blue", R1, weight=100), slot("green", release(2)))
    found = diagnose_host(facts, BASE, NOW)
    assert [(str(f.level), f.subject, f.words) for f in found] == [
        ("ok", "host", "Debian, Python 3.11, systemd"),
        ("ok", "devices", "no NVIDIA device, 2 CPU cores with 24 GB of memory"),
        ("ok", "disk of the host", "1 TB free"),
        ("ok", "provisioning", "as this toolkit wants it"),
        ("ok", "system libraries", "all that engines need"),
        ("ok", "router", "HAProxy 2.6 on 127.0.0.1:8080"),
        ("ok", "watch", "restarts replicas that hang"),
        ("ok", "keys", "2 valid"),
        ("ok", "fence", "replicas are fenced entirely"),
        ("ok", "tiny blue", "serves"),
        ("ok", "tiny green", "stands by"),
    ]
    assert [f.hint for f in found if f.hint] == []


def test_a_device_that_no_replica_can_have_is_named_with_what_to_do() -> None:
    whole = replace(gpu(0, 80, 80), driver="580.1")
    reset = replace(whole, index=1, memory=0, memory_free=0, fault="[GPU requires reset]")
    facts = replace(host(), accelerators=("nvidia",), devices=(whole, reset))
    found = [each for each in diagnose_host(facts, BASE, NOW) if each.subject == "devices"]
    words = "device 1 (NVIDIA Test) does not say its memory: [GPU requires reset]"
    assert bad(tuple(found)) == [("fail", "devices", words)]
    assert found[0].hint.startswith("reset it there: sudo nvidia-smi --gpu-reset -i 1")
    # Without its driver a host looks like one that computes on its processors.
    dead = replace(facts, devices=(), driver_fault="no communication")
    words = "its NVIDIA driver does not work: no communication"
    assert bad(diagnose_host(dead, BASE, NOW)) == [("fail", "devices", words)]


@pytest.mark.parametrize(
    ("asleep", "rests", "words"),
    [("asleep", False, "falls asleep"), ("asleep", True, "sleeps"), ("waking", True, "wakes")],
)
def test_what_sleeps_stands_by_for_nobody(asleep: str, rests: bool, words: str) -> None:
    """Until its requests have ended, its engine answers."""
    there = replace(slot("blue", R1), healthy=not rests, asleep=asleep, rests=rests)
    *_, found = diagnose_host(host(there), BASE, NOW)
    assert (str(found.level), found.words) == ("ok", words)


@pytest.mark.parametrize(
    ("facts", "findings"),
    [
        (host(disk_free=19 * GB), [("warn", "disk of the host", "19 GB free")]),
        (
            host(files_free=20_000),
            [
                (
                    "warn",
                    "disk of the host",
                    "takes 20,000 more files; an engine has tens of thousands",
                )
            ],
        ),
        (
            host(noexec=True),
            [("fail", "disk of the host", "is mounted noexec: no engine runs there")],
        ),
        (
            host(read_only=True),
            [
                (
                    "fail",
                    "disk of the host",
                    "takes no changes: it serves on, and neither changes nor takes over",
                )
            ],
        ),
        (
            host(tmp_free=10**8),
            [("warn", "temporary files", "100 MB free; installations need more")],
        ),
        (
            host(converged="", router=RouterFacts()),
            [
                ("warn", "provisioning", "not provisioned yet"),
                ("warn", "router", "not there yet"),
            ],
        ),
        (
            host(converged="base-0"),
            [("warn", "provisioning", "by another toolkit version or settings")],
        ),
        (
            host(changed_files=("router/haproxy.cfg was changed", "bin/watch/hang.py is gone")),
            [
                (
                    "warn",
                    "provisioning",
                    "differs from what was written: router/haproxy.cfg was changed; bin/watch/hang.py is gone",
                )
            ],
        ),
        (
            host(observed_at=NOW + 3600),
            [("warn", "clock", "its clock is 1 h 00 min ahead of this machine's")],
        ),
        (
            host(unlogged="journalctl ended with 1"),
            [
                (
                    "warn",
                    "router's log",
                    "lacks requests, and so do toolkit requests and slo: journalctl ended with 1",
                )
            ],
        ),
        (
            host(router=RouterFacts(locked=True, keys=1)),
            [("fail", "router", "does not run")],
        ),
        (
            host(router=RouterFacts(locked=True, keys=1, silent=True)),
            [
                (
                    "fail",
                    "router",
                    "runs and does not answer: nothing is known of its requests, and no change reaches it",
                )
            ],
        ),
        (
            host(
                router=RouterFacts(
                    True, locked=True, keys=1, tls=True, crowd="6000 of 6400 connections are taken"
                )
            ),
            [("warn", "router", "is crowded: 6000 of 6400 connections are taken")],
        ),
        (
            host(router=RouterFacts(True, "*:8080", "2.6", 1)),
            [
                (
                    "warn",
                    "keys",
                    "OPEN: it asks for no key, whoever reaches *:8080 can use every model",
                )
            ],
        ),
        (
            host(router=RouterFacts(True, "*:8080", "2.6", 1, locked=True)),
            [("warn", "keys", "locked, and there are no keys: nobody gets in")],
        ),
        (
            host(missing_libraries=("libnuma.so.1", "libgomp.so.1")),
            [("warn", "system libraries", "missing: libnuma.so.1, libgomp.so.1")],
        ),
        (
            host(damaged=("guard/tiny.json", "router/keys.json")),
            [
                ("fail", "guard/tiny.json", "cannot be read"),
                ("fail", "router/keys.json", "cannot be read"),
            ],
        ),
        (
            host(slot("blue", R1, weight=100, well=False)),
            [("fail", "tiny blue", "its process is failed")],
        ),
        (
            host(slot("blue", R1, well=False, process=ProcessState.STOPPED)),
            [("warn", "tiny blue", "its process is stopped")],
        ),
        (
            host(slot("blue", R1, weight=100, healthy=False)),
            [("warn", "tiny blue", "runs but does not answer: it starts, or hangs")],
        ),
        (host(slot("blue", R1, healthy=False, dozes=True)), []),
        (host(slot("blue", R1, healthy=False, rests=True)), []),
    ],
)
def test_what_is_wrong_with_a_host(facts: HostFacts, findings: list[tuple[str, str, str]]) -> None:
    found = diagnose_host(facts, BASE, NOW)
    assert bad(found) == findings
    assert all(f.hint for f in found if f.level != "ok" and f.words != "not there yet")


WELL: dict[str, Any] = {
    "ansible": "2.19.14",
    "privileged": True,
    "store_free": 10**12,
    "store_files": None,
    "tmp_free": 10**10,
    "registry": diagnose_registry("", ()),
    "history": "/home/ops/.toolkit/history.db",
    "unfinished": (),
}


def test_a_well_ops_machine_has_nothing_to_tell() -> None:
    found = diagnose_ops(**WELL)
    assert bad(found) == []
    said = [each.words for each in found if each.subject == "history"]
    assert said == ["answers: /home/ops/.toolkit/history.db"]


def test_nobody_needs_to_be_root_where_all_hosts_are_elsewhere() -> None:
    found = diagnose_ops(**{**WELL, "privileged": None})
    assert bad(found) == []
    said = [each.words for each in found if each.subject == "privileges"]
    assert said == ["none needed: all hosts are reached over SSH"]


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        ({"ansible": ""}, [("fail", "ansible", "ansible-core cannot be imported")]),
        (
            {"privileged": False},
            [("fail", "privileges", "neither root nor sudo without a password")],
        ),
        (
            {"store_files": 900},
            [
                (
                    "warn",
                    "disk of the store",
                    "takes 900 more files; an engine has tens of thousands",
                )
            ],
        ),
        (
            {"tmp_free": 3 * 10**7},
            [("warn", "temporary files", "30 MB free; installations need more")],
        ),
        ({"store_free": 0}, [("warn", "disk of the store", "0 B free")]),
        (
            {"registry": diagnose_registry("x.yaml:3:1: no", ())},
            [("warn", "registry", "x.yaml:3:1: no")],
        ),
        (
            {"unfinished": ("deployment 4, deploy tiny", "deployment 5, stop tiny")},
            [
                ("warn", "history", "unfinished: deployment 4, deploy tiny"),
                ("warn", "history", "unfinished: deployment 5, stop tiny"),
            ],
        ),
    ],
)
def test_what_is_wrong_with_the_ops_machine(
    change: dict[str, Any], findings: list[tuple[str, str, str]]
) -> None:
    found = diagnose_ops(**{**WELL, **change})
    assert bad(found) == findings
    assert all(f.hint for f in found if f.level != "ok")
