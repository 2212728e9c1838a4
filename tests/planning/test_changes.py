"""What a plan says of the difference between what runs and what is wanted, line by line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.planning.facts import host, release
from toolkit.adapters.ansible.certificate import settings_of
from toolkit.domain.deployment.change import Change, folded
from toolkit.domain.deployment.release import Release, ReleaseAdapter, Span
from toolkit.domain.excerpt import LONGEST
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.hosts.facts import FENCES, RouterFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.quantity import parse_size, written_size
from toolkit.domain.registry.release_parts import Check
from toolkit.planning.change.difference import release_changes, shown_pair
from toolkit.planning.change.settings import settings_changes

R1 = replace(release(1), args=("--dtype", "auto", "--a", "1"), env={"X": "1"}, does=Capabilities())
CHECKS = (Check("Hello?", contains="hi"),)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"number": 9}, []),
        ({"version": "v2", "revision": "2" * 40, "snapshot": "2" * 64},
         [("version", "v1", "v2"), ("revision", f"{1:040x}"[:12], "2" * 12)]),
        ({"snapshot": "2" * 64}, [("files", "0" * 12, "2" * 12)]),
        ({"source": "acme/tiny"}, [("repository", "demo/tiny", "acme/tiny")]),
        ({"engine": "vllm-0.33.0-cpu-py311-bb"},
         [("engine", "vllm-0.32.0-cpu-py311-aaaaaaaa", "vllm-0.33.0-cpu-py311-bb")]),
        ({"memory": 4 * 2**30}, [("memory", "3GB", "4GiB")]),
        ({"args": ("--dtype", "auto", "--a=2", "--eager")},
         [("--a", "1", "2"), ("--eager", "", "set")]),
        ({"env": {"X": "1", "HF_TOKEN": "geheim"}}, [("HF_TOKEN", "", "sha256 addb0f5e7826")]),
        ({"env": {}}, [("X", "1", "")]),
        ({"env": {"X": "\x1b[2J" + "y" * 99}}, [("X", "1", "?[2J" + "y" * 53 + "...")]),
        ({"routing": "prefix"}, [("routing", "least-connections", "prefix")]),
        ({"does": Capabilities(tool_parser="hermes")}, [("what it can do", "chat", "chat, tools")]),
        ({"aliases": ("small", "mini")}, [("other names", "", "small, mini")]),
        ({"span": Span(2)}, [("hosts of a replica", "1", "2")]),
        ({"checks": CHECKS}, [("checks", "", "1 check, 72c91c2f")]),
        ({"adapters": (ReleaseAdapter("sql", "acme/sql", "3" * 40, "3" * 64),)},
         [("adapter sql", "", "acme/sql@333333333333")]),
    ],
)  # fmt: skip
def test_each_part_of_a_release_that_differs_is_a_line(
    change: dict[str, Any], found: list[tuple[str, str, str]]
) -> None:
    made = release_changes(R1, replace(R1, **change))
    assert [(each.subject, each.before, each.after) for each in made] == found


LONG = "{" + ", ".join(f'"option{number}": {number}' for number in range(9)) + "}"


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("a", "b", ("a", "b")),
        ("", "y" * 99, ("", "y" * 57 + "...")),
        ("x" * 70 + "1", "x" * 70 + "2", ("..." + "x" * 12 + "1", "..." + "x" * 12 + "2")),
        (LONG, LONG.replace("8}", "9}"), ('... "option8": 8}', '... "option8": 9}')),
        ("x" * 70, "x" * 71, ("..." + "x" * 12, "..." + "x" * 13)),
        ("a b", "a  b", ("a b (sha256 c8687a08)", "a b (sha256 6e12db73)")),
        ("\x1b", "\x07", ("? (sha256 77adfc95)", "? (sha256 ca358758)")),
    ],
)  # fmt: skip
def test_two_values_are_shown_where_they_differ(old: str, new: str, shown: tuple[str, str]) -> None:
    assert shown_pair("--option", old, new) == shown


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=200), st.text(max_size=3), st.text(max_size=3), st.text(max_size=200))
def test_two_different_values_never_look_alike(same: str, one: str, other: str, rest: str) -> None:
    old, new = same + one + rest, same + other + rest
    before, after = shown_pair("", old, new)
    assert (before != after) == (old != new)
    assert max(len(before), len(after)) <= LONGEST


SQL = ReleaseAdapter("sql", "acme/sql", "3" * 40, "3" * 64)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"snapshot": "4" * 64}, [("adapter sql: files", "3" * 12, "4" * 12)]),
        ({"checks": CHECKS}, [("adapter sql: checks", "", "1 check, 72c91c2f")]),
        ({"revision": "4" * 40, "snapshot": "4" * 64},
         [("adapter sql", "acme/sql@333333333333", "acme/sql@444444444444")]),
    ],
)  # fmt: skip
def test_each_part_of_an_adapter_that_differs_is_a_line(
    change: dict[str, Any], found: list[tuple[str, str, str]]
) -> None:
    before, after = (replace(R1, adapters=(each,)) for each in (SQL, replace(SQL, **change)))
    made = release_changes(before, after)
    assert [(each.subject, each.before, each.after) for each in made] == found


def test_a_model_that_does_not_serve_yet_has_nothing_to_differ_from() -> None:
    assert release_changes(None, R1) == ()


@pytest.mark.parametrize(
    "text", ["3GiB", "16GB", "1.5GiB", "1536MiB", "1024MiB", "600MiB", "2TiB", "1B", "123456789B"]
)
def test_a_size_is_said_as_a_person_wrote_it(text: str) -> None:
    assert written_size(parse_size(text)) == text


def test_a_release_says_its_memory_as_the_registry_wrote_it_also_after_it_was_kept() -> None:
    kept = Release.from_json(replace(R1, memory=parse_size("1536MiB")).as_json())
    assert kept.as_json()["memory"] == 1536 * 2**20
    found = release_changes(kept, replace(R1, memory=parse_size("3.0GiB")))
    assert found == (Change("memory", "1536MiB", "3.0GiB"),)


def test_the_same_memory_in_another_unit_is_the_same_release() -> None:
    one, other = (replace(R1, memory=parse_size(each)) for each in ("1536MiB", "1.5GiB"))
    assert one.same_as(other)
    assert release_changes(one, other) == ()
    assert "memory_written" not in other.as_json()


def test_equal_changes_of_several_hosts_are_one() -> None:
    both, one = Change("--a", "1", "2"), Change("engine", "x", "y")
    assert folded({"a": [both, one], "b": [both], "c": [both]}) == (
        both,
        replace(one, hosts=("a",)),
    )
    assert folded({"a": [both]}) == (both,)
    assert folded({}) == ()


OPEN = Host("gpu1", router_bind="0.0.0.0:80", router_tls_certificate="/c", router_tls_key="/k")
SHUT = replace(OPEN, router_require_keys=True, settings={"toolkit_firewall": True})
LOOPBACK = Host("gpu1")


def changes(before: Host, after: Host, **facts: Any) -> list[tuple[str, str, str, str]]:
    """Return what provisioning changes; hosts with a certificate have digest `d1`."""
    kept, wanted = (
        settings_of(each, "d1" if each.router_tls_certificate else "") for each in (before, after)
    )
    found = settings_changes(host(settings=kept, **{**NO_KEYS, **facts}), wanted)
    return [(each.subject, each.before, each.after, each.turns_off) for each in found]


SOME_ORIGINS = replace(LOOPBACK, settings={"router_cors_origins": ["https://a.org"]})
PLAIN = {"router_tls_certificate": "", "router_tls_key": ""}
NO_KEYS = {"router": RouterFacts(True, "0.0.0.0:80")}
WITH_KEYS = {"router": RouterFacts(True, "0.0.0.0:80", keys=2, locked=True)}
UNFENCED = {"fences": FENCES[:1]}


@pytest.mark.parametrize(
    ("before", "after", "facts", "found"),
    [
        (SHUT, {}, {}, []),
        (SHUT, PLAIN, {}, [("TLS", "https", "http, not encrypted", "tls")]),
        (LOOPBACK, {"router_tls_certificate": "/c"}, {}, [("TLS", "http, not encrypted", "https", "")]),
        (SHUT, {"settings": {}}, {}, [("toolkit_firewall", "on", "off", "firewall")]),
        (SHUT, {"settings": {"toolkit_firewall": False}}, {}, [("toolkit_firewall", "on", "off", "firewall")]),
        (OPEN, {"settings": {"toolkit_firewall": False}}, {}, []),
        (OPEN, {"settings": {"toolkit_firewall": True}}, {}, [("toolkit_firewall", "off", "on", "")]),
        (SHUT, {"router_require_keys": False}, {}, [("router_require_keys", "on", "off", "keys")]),
        (SHUT, {"router_require_keys": False}, WITH_KEYS, [("router_require_keys", "on", "off", "")]),
        (LOOPBACK, {"router_bind": "0.0.0.0:80"}, {},
         [("router_bind", "127.0.0.1:8080", "0.0.0.0:80", "loopback")]),
        (LOOPBACK, {"router_bind": "0.0.0.0:80"}, WITH_KEYS,
         [("router_bind", "127.0.0.1:8080", "0.0.0.0:80", "")]),
        (LOOPBACK, {"router_bind": "127.0.0.1:9"}, {}, [("router_bind", "127.0.0.1:8080", "127.0.0.1:9", "")]),
        (LOOPBACK, {"router_metrics_bind": ":9"}, WITH_KEYS,
         [("router_metrics_bind", "127.0.0.1:8405", ":9", "loopback")]),
        (LOOPBACK, {"accept_unfenced": True}, UNFENCED,
         [("toolkit_accept_unfenced", "off", "on", "fence")]),
        (LOOPBACK, {"accept_unfenced": True}, {}, [("toolkit_accept_unfenced", "off", "on", "")]),
        (replace(LOOPBACK, swarm_tls=True), {"swarm_tls": False}, {},
         [("toolkit_swarm_tls", "on", "off", "swarm-tls")]),
        (LOOPBACK, {"settings": {"router_cors_origins": ["*"]}}, WITH_KEYS,
         [("router_cors_origins", "", "*", "origins")]),
        (LOOPBACK, {"settings": {"router_cors_origins": ["https://a.org"]}}, {},
         [("router_cors_origins", "", "https://a.org", "")]),
        (SOME_ORIGINS, {"settings": {"router_cors_origins": ["*"]}}, {},
         [("router_cors_origins", "https://a.org", "*", "origins")]),
        (replace(LOOPBACK, settings={"router_cors_origins": ["*"]}), {"settings": {}}, {},
         [("router_cors_origins", "*", "", "")]),
        (LOOPBACK, {"user": "llm"}, {}, [("toolkit_user", "toolkit", "llm", "")]),
        (LOOPBACK, {"peers": ("10.0.0.2",)}, {}, [("relay", "", ":8090", ""), ("other hosts", "", "10.0.0.2", "")]),
        (LOOPBACK, {"settings": {"toolkit_time_servers": ["a", "b"], "toolkit_hang_seconds": 9}}, {},
         [("toolkit_time_servers", "", "a, b", ""), ("toolkit_hang_seconds", "", "9", "")]),
    ],
)  # fmt: skip
def test_each_setting_that_differs_is_a_line_and_says_what_it_turns_off(
    before: Host,
    after: dict[str, Any],
    facts: dict[str, Any],
    found: list[tuple[str, str, str, str]],
) -> None:
    assert changes(before, replace(before, **after), **facts) == found


def test_a_renewed_certificate_is_a_line() -> None:
    facts = host(settings=settings_of(OPEN, "d1"))
    found = settings_changes(facts, settings_of(OPEN, "d2"))
    assert found == (Change("certificate", "sha256 d1", "sha256 d2"),)


def test_a_host_of_an_older_toolkit_is_compared_with_what_its_router_shows() -> None:
    facts = host(router=RouterFacts(True, "127.0.0.1:8080", tls=True))
    rest = Change("other host settings", "", "not compared: an older toolkit provisioned this host")
    bare = replace(OPEN, **PLAIN)
    assert settings_changes(facts, settings_of(bare, "")) == (
        Change("TLS", "https", "http, not encrypted", "tls"),
        Change("router_bind", "127.0.0.1:8080", "0.0.0.0:80", "loopback"),
        rest,
    )
    kept = replace(facts, router=RouterFacts(True, "0.0.0.0:80", tls=True))
    assert settings_changes(kept, settings_of(OPEN, "d1")) == (rest,)


def test_a_host_that_was_never_provisioned_has_nothing_to_differ_from() -> None:
    assert settings_changes(host(converged="", settings=None), settings_of(OPEN, "d1")) == ()
