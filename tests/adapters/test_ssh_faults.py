"""What ssh, sudo and shells say, and what an operator is told."""

from __future__ import annotations

import pytest

from toolkit.adapters.hosts.ssh_faults import host_error
from toolkit.domain.hosts.fleet import Host

HOST = Host("gpu1", connection="ssh", address="10.0.0.5", ssh_options=("-o", "User=ops"))

CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key verification failed.
"""


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (
            "ops@10.0.0.5: Permission denied (publickey).",
            255,
            "it refuses our key (ops@10.0.0.5: Permission denied (publickey).)",
            "ssh-copy-id -o User=ops 10.0.0.5",
        ),
        (
            "sh: 1: exec: /usr/bin/python3: Permission denied",
            126,
            "it has no Python at the interpreter's place (sh: 1: exec: /usr/bin/python3: Permission denied)",
            "ssh -o User=ops 10.0.0.5 sudo apt-get install -y python3; "
            "or name another as ansible_python_interpreter in the fleet file",
        ),
        (
            CHANGED,
            255,
            "its host key changed: it was installed anew, or somebody stands between "
            "(@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @)",
            "ask who installed it; if it was: ssh-keygen -R 10.0.0.5",
        ),
        (
            "No ED25519 host key is known for 10.0.0.5 and you have requested strict checking.\n"
            "Host key verification failed.",
            255,
            "its host key is not known here "
            "(No ED25519 host key is known for 10.0.0.5 and you have requested strict checking.)",
            "compare its key and accept it: ssh -o User=ops 10.0.0.5 true",
        ),
        (
            "ssh: connect to host 10.0.0.5 port 22: Connection timed out",
            255,
            "it cannot be reached (ssh: connect to host 10.0.0.5 port 22: Connection timed out)",
            "look whether it is up and not behind a firewall: ping -c 3 10.0.0.5",
        ),
        (
            "ssh: connect to host 10.0.0.5 port 22: No route to host",
            255,
            "it cannot be reached (ssh: connect to host 10.0.0.5 port 22: No route to host)",
            "look whether it is up and not behind a firewall: ping -c 3 10.0.0.5",
        ),
        (
            "ssh: connect to host 10.0.0.5 port 22: Connection refused",
            255,
            "nothing listens for ssh there (ssh: connect to host 10.0.0.5 port 22: Connection refused)",
            "look whether sshd runs there and at which port (ansible_port): ssh -v -o User=ops 10.0.0.5 true",
        ),
        (
            "ssh: Could not resolve hostname gpu1: Name or service not known",
            255,
            "its name is not known (ssh: Could not resolve hostname gpu1: Name or service not known)",
            "give gpu1 its ansible_host in the fleet file",
        ),
        (
            "sudo: a password is required",
            1,
            "the login may not become root without a password (sudo: a password is required)",
            "add --ask-become-pass, or allow sudo without a password: ssh -t -o User=ops 10.0.0.5 "
            """'echo "$USER ALL=(ALL) NOPASSWD: ALL" | sudo tee /etc/sudoers.d/"$USER"'""",
        ),
        (
            "sh: 1: exec: sudo: not found",
            127,
            "the login is not root and there is no sudo (sh: 1: exec: sudo: not found)",
            "install sudo on 10.0.0.5 as root, or log in as root (ansible_user: root)",
        ),
        (
            "sudo: /usr/bin/python3: command not found",
            1,
            "it has no Python at the interpreter's place (sudo: /usr/bin/python3: command not found)",
            "ssh -o User=ops 10.0.0.5 sudo apt-get install -y python3; "
            "or name another as ansible_python_interpreter in the fleet file",
        ),
        (
            "",
            127,
            "it has no Python at the interpreter's place: /usr/bin/python3",
            "ssh -o User=ops 10.0.0.5 sudo apt-get install -y python3; "
            "or name another as ansible_python_interpreter in the fleet file",
        ),
        (
            "tar: observe.py: Cannot write: No space left on device\ntar: Exiting with failure status",
            2,
            "its disk is full (tar: observe.py: Cannot write: No space left on device)",
            "ssh -o User=ops 10.0.0.5 df -h /var/lib/toolkit /tmp",
        ),
        (
            "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt",
            1,
            "sudo refuses the password of the login (Sorry, try again.)",
            "give gpu1 another ansible_become_password, or add --ask-become-pass",
        ),
        (
            "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.5 port 22",
            255,
            "its sshd takes no further connections now "
            "(kex_exchange_identification: Connection closed by remote host)",
            "look at what connects to 10.0.0.5, or raise MaxStartups in its sshd_config",
        ),
        ("bash: fork: no more\nsomething else", 1, "something else", "ssh -o User=ops 10.0.0.5 sudo -n true"),
        (
            "",
            255,
            "the connection to it was lost",
            "look whether it is up and not behind a firewall: ping -c 3 10.0.0.5",
        ),
        ("", 1, "no answer", "ssh -o User=ops 10.0.0.5 sudo -n true"),
    ],
)  # fmt: skip
def test_each_failure_has_its_cause_and_what_to_do(
    words: str, code: int, message: str, hint: str
) -> None:
    error = host_error(HOST, words, code)
    assert (error.message, error.hint) == (f"gpu1: {message}", hint)


def test_the_key_is_forgotten_where_it_is_kept() -> None:
    host = Host("gpu1", address="10.0.0.5", ssh_options=("-o", "UserKnownHostsFile=/etc/keys"))
    hint = host_error(host, CHANGED, 255).hint
    assert hint == "ask who installed it; if it was: ssh-keygen -f /etc/keys -R 10.0.0.5"


@pytest.mark.parametrize(
    ("port", "said", "name"),
    [
        ("Port=2222", "", "'[10.0.0.5]:2222'"),
        ("Port=22", "", "10.0.0.5"),
        # of the user's own configuration
        ("User=ops", "Host key for [bastion]:2200 has changed and you have", "'[bastion]:2200'"),
        ("User=ops", "Host key for 10.0.0.5 has changed and you have requested", "10.0.0.5"),
    ],
)
def test_the_key_is_forgotten_under_the_name_that_ssh_has_for_it(
    port: str, said: str, name: str
) -> None:
    host = Host("gpu1", address="10.0.0.5", ssh_options=("-o", port))
    error = host_error(host, f"{CHANGED}{said}\n", 255)
    assert error.hint == f"ask who installed it; if it was: ssh-keygen -R {name}"


def test_a_home_with_a_long_path_is_named() -> None:
    error = host_error(HOST, "ControlPath too long ('/x/y' >= 108 bytes)", 255)
    assert error.message.startswith("gpu1: the path of the toolkit's home is too long for ssh")
    assert error.hint == "export TOOLKIT_HOME=DIR, a directory with a shorter path"
