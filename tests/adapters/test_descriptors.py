"""A fleet may have more hosts than a session's usual limit of open files allows."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import resource, sys
from pathlib import Path
soft, hard, hosts = map(int, sys.argv[1:])
from toolkit.adapters.hosts.client import Clients
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import ToolkitError
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
clients = Clients(Path("/nonexistent"))
try:
    for number in range(hosts):
        clients.of(Host(f"gpu{number}", "ssh", f"10.0.0.{number}"))
except ToolkitError as error:
    print(error.message, error.hint, sep="; ")
else:
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "hosts", "said"),
    [
        (1024, 4096, 100, "1024"),
        (1024, 4096, 155, "4096"),
        (1024, 4096, 500, "4096"),
        (
            1024, 2048, 500,
            "249 hosts need 2056 open files, and this user may open 2048; raise the limit of this session, as root: "
            "prlimit --pid $$ --nofile=2056",
        ),
    ],
)  # fmt: skip
def test_the_limit_is_raised_as_far_as_hosts_need_it(
    soft: int, hard: int, hosts: int, said: str
) -> None:
    argv = [sys.executable, "-c", ASK, str(soft), str(hard), str(hosts)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == said
