"""Acting where another process is, in bounded time, and what listens on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pace import Pace
from toolkit.hostside import inside, listeners, perimeter

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


@pytest.fixture
def other() -> Iterator[int]:
    """A process of another user, in namespaces of its own."""
    argv = ["unshare", "--net", "--mount", "setpriv", f"--reuid={NOBODY}", "--clear-groups"]
    program = "import time; print('up', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [*argv, sys.executable, "-I", "-c", program], stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None and started.stdout.readline() == "up\n"
        yield started.pid
        started.kill()


def act(pid: int, function: Any, seconds: float = 10.0) -> Any:
    return inside.Act(pid, NOBODY, NOBODY, function).end(time.monotonic() + seconds)


def place() -> dict[str, Any]:
    return {
        "user": os.geteuid(),
        "groups": os.getgroups(),
        "net": str(Path("/proc/thread-self/ns/net").readlink()),
        "mnt": str(Path("/proc/thread-self/ns/mnt").readlink()),
    }


@needs_root
def test_it_is_in_the_other_s_namespaces_and_its_user(other: int) -> None:
    found = act(other, place)
    assert (found["user"], found["groups"]) == (NOBODY, [])
    for space in ("net", "mnt"):
        assert found[space] == str(Path(f"/proc/{other}/ns/{space}").readlink())
        assert found[space] != str(Path(f"/proc/self/ns/{space}").readlink())


@needs_root
def test_what_cannot_leave_there_does_not(other: int) -> None:
    # A network of its own has no way anywhere.
    assert act(other, lambda: {"said": perimeter._sending("192.0.2.1", 53)()}) == {"said": "no way"}


@needs_root
@pytest.mark.parametrize(
    ("function", "seconds", "words"),
    [
        (lambda: 1 / 0, 60.0, "ZeroDivisionError: division by zero"),
        (lambda: os._exit(1), 60.0, "it ended without an answer"),
        (lambda: time.sleep(60), 1.0, "it took too long"),
    ],
)
def test_one_that_fails_says_why_and_one_that_hangs_is_ended(
    other: int, function: Any, seconds: float, words: str, pace: Pace
) -> None:
    begun = pace()
    with pytest.raises(inside.NotInside, match=words):
        act(other, function, seconds)
    assert pace() - begun < 5


@needs_root
def test_a_process_that_is_gone_is_said_so() -> None:
    with pytest.raises(inside.NotInside, match="FileNotFoundError"):
        act(2**22 + 1, place)


def test_a_listener_is_listed_with_its_user_and_program() -> None:
    with (
        socket.create_server(("127.0.0.3", 0)) as one,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets,
    ):
        packets.bind(("127.0.0.3", 0))
        found = listeners.listeners()
        wanted = [("tcp", one), ("tcp", six), ("udp", packets)]
        for protocol, each in wanted:
            address, port = each.getsockname()[:2]
            [mine] = [
                one
                for one in found
                if (one["protocol"], one["address"], one["port"]) == (protocol, address, port)
            ]
            assert mine["user"] == ("root" if os.geteuid() == 0 else mine["user"])
            assert mine["program"] != ""


def test_a_descriptor_that_closes_meanwhile_hides_no_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed = os.listdir

    def with_a_closed_one(place: Any) -> list[str]:
        return [*(["999999"] if str(place).endswith("/fd") else []), *listed(place)]

    monkeypatch.setattr(os, "listdir", with_a_closed_one)
    with socket.create_server(("127.0.0.3", 0)) as one:
        address, port = one.getsockname()
        [mine] = [
            each
            for each in listeners.listeners()
            if (each["address"], each["port"]) == (address, port)
        ]
    assert mine["program"] != ""


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("0100007F:1F90", "127.0.0.1", 8080),
        ("00000000:0016", "0.0.0.0", 22),
        ("00000000000000000000000000000000:0016", "::", 22),
        ("00000000000000000000000001000000:1F90", "::1", 8080),
        ("0000000000000000FFFF00000100007F:1F90", "127.0.0.1", 8080),
    ],
)
def test_addresses_of_the_kernel_are_read(text: str, address: str, port: int) -> None:
    assert listeners._address(text) == (address, port)


def test_own_addresses_are_those_at_which_somebody_can_listen() -> None:
    for each in listeners.own_addresses():
        assert not each.startswith("127.")
        try:
            socket.create_server((each, 0)).close()
        except OSError:
            # Other tests give this machine an address for a moment.
            assert each not in listeners.own_addresses()


def test_resolvers_are_read_and_the_one_without_a_line_is_tried_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "# a comment\nnameserver 10.0.0.53\nnameserver\nnameserver fe80::1%eth0\nsearch x\n"
    monkeypatch.setattr(perimeter, "read_text", lambda _: text)
    assert perimeter._servers() == ["10.0.0.53", "fe80::1", "127.0.0.1"]
    monkeypatch.setattr(perimeter, "read_text", lambda _: None)
    assert perimeter._servers() == ["127.0.0.1"]


@needs_root
def test_any_answer_of_a_resolver_came_through_and_silence_is_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(perimeter, "_PATIENCE", 0.2)
    ask = perimeter._asking("127.0.0.3")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.3", 53))
        assert ask() == "no answer"
        question, _ = resolver.recvfrom(512)
        assert b"\x11toolkit-perimeter\x07invalid\0" in question
        monkeypatch.setattr(perimeter, "_PATIENCE", 60.0)

        def answer() -> None:
            resolver.sendto(b"no such name", resolver.recvfrom(512)[1])

        answering = threading.Thread(target=answer)
        answering.start()
        assert ask() == "through"
        answering.join()
    assert ask() == "no way"


def test_a_refusal_of_somebody_is_an_answer_too() -> None:
    with socket.create_server(("127.0.0.3", 0)) as listener:
        address, port = listener.getsockname()
        assert perimeter._connecting(address, port)() == "through"
    assert perimeter._connecting(address, port)() == "through"
    assert perimeter._opening("/run/toolkit-nobody.sock")() == "no way"
