"""Errors of ssh, sudo and a shell, in words that name the cause and the next command to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from toolkit.adapters.hosts.refusals import REFUSED
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

_PATTERN = re.IGNORECASE | re.MULTILINE


def host_error(host: Host, words: str, code: int = 0) -> HostError:
    """Return the error for `words` on standard error, of a command on `host` that ended with `code`.

    Unknown words are passed on unchanged.
    """
    said = words.strip()
    if changed := re.search("REMOTE HOST IDENTIFICATION HAS CHANGED", said, _PATTERN):
        return HostError(
            f"{host.name}: its host key changed: it was installed anew, or somebody stands between "
            f"({_decisive(said, changed[0])})",
            hint=_forget_key(host, said),
        )
    for pattern, cause, hint in _CAUSES:
        if re.search(pattern, said, _PATTERN):
            return HostError(f"{host.name}: {cause} ({_decisive(said, pattern)})", hint=hint(host))
    if code == 127:
        return HostError(f"{host.name}: {_NO_PYTHON}: {host.python}", hint=_install_python(host))
    if code == 255 and not said:
        # Only the master of a shared connection knows why it ended.
        return HostError(f"{host.name}: the connection to it was lost", hint=_look_at_link(host))
    lines = said.splitlines()
    return HostError(f"{host.name}: {lines[-1] if lines else 'no answer'}", hint=reach_hint(host))


def reach_hint(host: Host) -> str:
    """Return the command that shows whether the login to `host` works."""
    return f"{_ssh(host)} sudo -n true"


def _decisive(said: str, pattern: str) -> str:
    return next(
        (line.strip() for line in said.splitlines() if re.search(pattern, line, _PATTERN)),
        said.splitlines()[-1].strip(),
    )


def _ssh(host: Host, *more: str) -> str:
    return shlex.join(["ssh", *more, *host.ssh_options, host.address])


def _forget_key(host: Host, said: str) -> str:
    """Return the command that forgets the key, under the name that ssh has for the host."""
    files = [each.partition("=")[2] for each in host.ssh_options if "UserKnownHostsFile=" in each]
    ports = [each.partition("=")[2] for each in host.ssh_options if each.startswith("Port=")]
    # The user's own configuration of ssh may say otherwise, and ssh tells.
    told = re.search(r"^Host key for (\S+) has changed", said, _PATTERN)
    at_port = f"[{host.address}]:{ports[0]}" if ports and ports[0] != "22" else host.address
    name = told[1] if told else at_port
    words = ["ssh-keygen", *(["-f", files[0]] if files else []), "-R", name]
    return f"ask who installed it; if it was: {shlex.join(words)}"


def _accept_key(host: Host) -> str:
    return f"compare its key and accept it: {_ssh(host)} true"


def _copy_key(host: Host) -> str:
    options = [each for each in host.ssh_options if "BatchMode" not in each]
    return shlex.join(["ssh-copy-id", *options, host.address])


def _allow_sudo(host: Host) -> str:
    return (
        f"add --ask-become-pass, or allow sudo without a password: {_ssh(host, '-t')} "
        + shlex.quote('echo "$USER ALL=(ALL) NOPASSWD: ALL" | sudo tee /etc/sudoers.d/"$USER"')
    )


def _give_password(host: Host) -> str:
    return f"give {host.name} another ansible_become_password, or add --ask-become-pass"


def _install_sudo(host: Host) -> str:
    return f"install sudo on {host.address} as root, or log in as root (ansible_user: root)"


def _install_python(host: Host) -> str:
    return (
        f"{_ssh(host)} sudo apt-get install -y python3; "
        "or name another as ansible_python_interpreter in the fleet file"
    )


def _name_address(host: Host) -> str:
    return f"give {host.name} its ansible_host in the fleet file"


def _start_sshd(host: Host) -> str:
    return f"look whether sshd runs there and at which port (ansible_port): {_ssh(host, '-v')} true"


def _free_connections(host: Host) -> str:
    return f"look at what connects to {host.address}, or raise MaxStartups in its sshd_config"


def _look_at_link(host: Host) -> str:
    return f"look whether it is up and not behind a firewall: ping -c 3 {shlex.quote(host.address)}"


def _free_disk(host: Host) -> str:
    return f"{_ssh(host)} df -h {shlex.quote(host.root)} /tmp"


def _shorter_home(_: Host) -> str:
    return "export TOOLKIT_HOME=DIR, a directory with a shorter path"


_NO_PYTHON = "it has no Python at the interpreter's place"
# Words on standard error -> cause, and the hint. The first match wins.
_CAUSES: tuple[tuple[str, str, Callable[[Host], str]], ...] = (
    (
        r"No \S+ host key is known|Host key verification failed",
        "its host key is not known here",
        _accept_key,
    ),
    (r"Permission denied \(|Too many authentication failures", "it refuses our key", _copy_key),
    ("Could not resolve hostname", "its name is not known", _name_address),
    (REFUSED, "its sshd takes no further connections now", _free_connections),
    ("Connection refused", "nothing listens for ssh there", _start_sshd),
    (
        "timed out|No route to host|Network is unreachable|not responding|Connection closed",
        "it cannot be reached",
        _look_at_link,
    ),
    (
        r"sudo: not found|sudo: command not found|exec: sudo",
        "the login is not root and there is no sudo",
        _install_sudo,
    ),
    (
        "incorrect password attempt|no password was provided|Sorry, try again",
        "sudo refuses the password of the login",
        _give_password,
    ),
    (
        "a password is required|not in the sudoers|may not run sudo|not allowed to execute|a terminal is required",
        "the login may not become root without a password",
        _allow_sudo,
    ),
    (
        r"python[0-9.]*: (command )?not found|python[0-9.]*: No such file|python[0-9.]*: Permission denied",
        _NO_PYTHON,
        _install_python,
    ),
    (
        "ControlPath too long|too long for Unix domain socket",
        "the path of the toolkit's home is too long for ssh",
        _shorter_home,
    ),
    ("No space left on device", "its disk is full", _free_disk),
    ("Read-only file system", "its disk takes no writes", _free_disk),
)  # fmt: skip
