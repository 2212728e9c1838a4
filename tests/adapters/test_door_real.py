"""The role's own way with the operator's certificate, on this machine with real Ansible, HAProxy and supervisord."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from demo.lab import end_supervisor, free_port
from tests.adapters.test_certificate import make
from tests.system.waiting import until
from toolkit.adapters.ansible.converge import RealConverge
from toolkit.adapters.ansible.playbooks import playbook_directory, provision_digest
from toolkit.domain.hosts.fleet import Host

pytestmark = pytest.mark.system


@pytest.fixture
def place() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="toolkit-door-", dir="/var/tmp"))
    root.chmod(0o755)
    yield root
    end_supervisor(root)
    shutil.rmtree(root)


def converge(
    playbook: str, books: Path, host: Host, scratch: Path, seen: list[str]
) -> tuple[str, ...]:
    """Run a playbook; `seen` gets what Ansible wrote meanwhile into its private files."""

    def look(_: str) -> None:
        # os.walk passes over directories that go meanwhile, which Path.rglob does not.
        for directory, _, names in os.walk(scratch):
            for name in names:
                with suppress(OSError):
                    seen.append(Path(directory, name).read_bytes().decode(errors="replace"))

    variables = {"toolkit_init": "supervisord", "provision_digest": provision_digest(host)}
    return RealConverge(books, scratch).run(playbook, host, variables, look)


@pytest.fixture
def books(place: Path) -> Path:
    """The playbooks, and one of the router's role alone: the others have nothing to do with the door."""
    made = place / "books"
    made.mkdir()
    for each in playbook_directory().iterdir():
        (made / each.name).symlink_to(each)
    provision = (made / "provision.yml").read_text()
    look = provision[provision.index("  pre_tasks:") : provision.index("  roles:")]
    role = "  roles: [{role: router, vars: {router_seen: '{{ host_seen.paths }}'}}]\n"
    head = "- name: Door\n  hosts: all\n  gather_facts: false\n"
    (made / "door.yml").write_text(head + look + role)
    return made


def presented(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10).strip()


def test_a_certificate_is_brought_kept_to_the_user_and_renewed(place: Path, books: Path) -> None:
    port, seen = free_port(18700), list[str]()
    certified = make(place, "door")
    host = replace(
        certified,
        name="localhost",
        root=str(place),
        router_bind=f"127.0.0.1:{port}",
        router_metrics_bind=f"127.0.0.1:{free_port(port + 1)}",
    )
    converge("provision", books, host, place / "run", seen)
    assert presented(port) == Path(host.router_tls_certificate).read_text().strip()
    directory = place / "router"
    pair = sorted(directory.glob("tls-*"))
    # Root's, and readable for the router's group alone.
    seen_pair = [path.stat() for path in pair]
    assert [each.st_mode & 0o777 for each in seen_pair] == [0o640, 0o640]
    assert {each.st_uid for each in seen_pair} == {0}
    assert {path.owner() for path in pair} == {directory.owner()}
    secret = Path(host.router_tls_key).read_text().splitlines()[1]
    assert seen and not any(secret in text for text in seen)
    # again: nothing to do
    assert converge("door", books, host, place / "run", seen) == ()

    make(place, "door")
    # a program of a router that an older toolkit set up
    (directory / "usage.lua").write_text("")
    changed = converge("door", books, host, place / "run", seen)
    assert "Reload the router" in changed
    assert not (directory / "usage.lua").exists()
    # The former worker may take connections until a busy machine lets it leave its port.
    renewed = Path(host.router_tls_certificate).read_text().strip()
    until(lambda: presented(port), 60, lambda certificate: certificate == renewed)
    sealed = json.loads((place / "seals/base.json").read_text())
    for path in directory.glob("tls-*"):
        assert sealed[str(path)] == [hashlib.sha256(path.read_bytes()).hexdigest()]
    # the former pair is gone
    assert len(list(directory.glob("tls-*"))) == 2
    assert not set(directory.glob("tls-*")) & set(pair)
