"""A playbook on a host that says nothing: a task that takes long goes on, a host that hangs is given up."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toolkit.adapters.ansible import silence
from toolkit.adapters.ansible.converge import RealConverge
from toolkit.adapters.ansible.silence import Silence
from toolkit.adapters.hosts import ssh
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

PLAYBOOK = """\
- name: Play
  hosts: all
  gather_facts: false
  tasks:
    - name: Look
      ansible.builtin.command: "true"
      changed_when: false
"""


@pytest.fixture
def place() -> Iterator[Path]:
    # Short: Ansible puts sockets below it.
    made = Path(tempfile.mkdtemp(prefix="tka-"))
    yield made
    shutil.rmtree(made)


@pytest.mark.timeout(120)
def test_a_host_that_hangs_in_a_playbook_is_given_up(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SECONDS", 1.0)
    monkeypatch.setattr(ssh, "RUN_SECONDS", 1.0)
    program = place / "ssh"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(place), prepend=":")
    (place / "books").mkdir()
    (place / "books/look.yml").write_text(PLAYBOOK)
    converge = RealConverge(place / "books", place / "run")
    host = Host("gpu1", "ssh", "10.0.0.5", python=sys.executable)
    with pytest.raises(HostError, match=r"^gpu1: it did not answer within 1 s"):
        converge.run("look", host, {}, lambda _: None)
    assert list((place / "run").glob("play-*")) == []


def asked(answers: list[HostError | None]) -> tuple[Silence, list[str]]:
    """Return a silence and what became of it, once the host was asked for each of `answers`."""
    told, known, over = list[str](), Silence(), threading.Event()

    def ask(_: Callable[[float], None]) -> None:
        told.append("asked")
        # On a busy machine it may be asked again before the playbook ends.
        answer = answers.pop(0) if answers else None
        if not answers:
            over.set()
        if answer:
            raise answer

    def end() -> None:
        told.append("ended")
        over.set()

    with known.watched(ask, end):
        assert over.wait(60)
    return known, told


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SECONDS", 0.0)
    monkeypatch.setattr(silence, "_TICK_SECONDS", 0.01)


@pytest.mark.usefixtures("at_once")
def test_a_host_that_answers_is_asked_again_and_goes_on() -> None:
    known, told = asked([None, None, None])
    assert (known.fault, set(told)) == (None, {"asked"})


@pytest.mark.usefixtures("at_once")
def test_a_host_that_stops_answering_ends_its_playbook() -> None:
    known, told = asked([None, HostError("gone"), None])
    assert (str(known.fault), told) == ("gone", ["asked", "asked", "ended"])


def test_the_end_of_a_playbook_ends_the_question() -> None:
    known = Silence()
    with known.watched(lambda _: None, lambda: None):
        pass
    with pytest.raises(HostError, match="its playbook has ended"):
        known._sleep(600)
