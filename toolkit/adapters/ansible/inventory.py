"""Read an inventory with Ansible's own programs: every format, ranges, scripts, `group_vars/` and `host_vars/`.

`ansible-inventory` gives the variables as they are written. Those that are templates or vaulted, of the variables that
the toolkit reads, are then evaluated by `ansible` in one task that runs on this machine.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from toolkit.adapters.ansible.program import ProgramEnd, run_program
from toolkit.adapters.ansible.secret_pipe import secret_pipe
from toolkit.domain.excerpt import excerpt
from toolkit.domain.outside import parse_mapping
from toolkit.domain.secret import Secret
from toolkit.errors import InputError

Wanted = Callable[[str], bool]
# An inventory of a thousand hosts with a hundred variables each has 3 MB.
MOST_BYTES = 2**25
# The inventory scripts of clouds take seconds.
MOST_SECONDS = 60.0
# The system takes 128 KiB as one argument.
_QUESTION = 50_000
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_RESULT = re.compile(r"^localhost \| [A-Z]+!? => ", re.MULTILINE)
# The words before the reason in the failure of a task.
_OF_TASK = "Error while resolving value for 'msg': "
_NOTHING_PARSED = re.compile(r"Completely failed to parse inventory source (.+)")
_NOT_PARSED = re.compile(
    r"\[WARNING\]: Failed to parse inventory with '(\w+)' plugin: (?:Failed to parse inventory: )?(.*)"
)
# The plugin `auto` says so of each YAML file that configures no plugin.
_NO_PLUGIN = "no root 'plugin' key"
_YAML = (".yaml", ".yml", ".json")
_VAULTED = "__ansible_vault"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"[A-Za-z0-9_.:-]+")


def read_inventory(
    path: Path,
    wanted: Wanted,
    *,
    vault_password: Secret | None = None,
    seconds: float = MOST_SECONDS,
) -> dict[str, dict[str, Any]]:
    """Return the variables of each host at `path`, by its name, in Ansible's order of groups.

    Of the `wanted` variables, templates are evaluated and vaulted values decrypted; others are as they are written.
    They are decrypted with `vault_password`, and with what Ansible's own settings name. Raises InputError with
    Ansible's words where it cannot read the inventory within `seconds`.
    """
    _check_files(path)
    run = partial(_ansible, path, vault_password, seconds)
    ended = run("inventory", "--list")
    if ended.code:
        raise _unreadable(path, ended)
    try:
        listed = parse_mapping(ended.output, MOST_BYTES)
        hosts = _in_order(listed)
    except ValueError as error:
        raise InputError(
            f"{path}: Ansible reads it as what is no inventory: {error}",
            hint=f"ansible-inventory -i {path} --list",
        ) from None
    return _evaluated(path, hosts, wanted, run)


def _ansible(
    path: Path, password: Secret | None, seconds: float, entry: str, *words: str
) -> ProgramEnd:
    argv = [sys.executable, "-P", "-m", "ansible", entry, "-i", str(path), *words]
    try:
        with _vault_words(password) as more:
            return run_program(
                [*argv, *more], _environment(), most_bytes=MOST_BYTES, seconds=seconds
            )
    except TimeoutError:
        hint = f"look at what it waits for: ansible-inventory -i {path} --list"
        raise InputError(
            f"{path}: Ansible has not read it within {seconds:g} seconds", hint=hint
        ) from None
    except ValueError:
        raise _too_large(path) from None


def _too_large(path: Path) -> InputError:
    return InputError(
        f"{path}: the inventory has more than {MOST_BYTES // 2**20} MiB",
        hint="name an inventory of the fleet alone",
    )


@contextmanager
def _vault_words(password: Secret | None) -> Iterator[list[str]]:
    if password is None:
        yield []
        return
    with (
        TemporaryDirectory(prefix="toolkit-") as private,
        secret_pipe(Path(private) / "vault", password.reveal()) as pipe,
    ):
        yield ["--vault-password-file", str(pipe)]


def _environment() -> dict[str, str]:
    """Return the caller's environment, which inventory scripts need, with output that can be read."""
    return {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_VERBOSITY": "0",
        # The evaluated variables are read as JSON.
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        # Ansible prints decrypted values here: no log and no callback may see them.
        "ANSIBLE_LOG_PATH": os.devnull,
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "0",
        # Without a terminal it could not ask; the toolkit does.
        "ANSIBLE_ASK_VAULT_PASS": "0",
        "ANSIBLE_BECOME_ASK_PASS": "0",
        "ANSIBLE_ASK_PASS": "0",
    }


def _check_files(path: Path) -> None:
    """Refuse an inventory that any user of this machine could change: its scripts run as this user.

    Refuse one that is larger than what Ansible may say of it, too: Ansible would read it whole into memory.
    """
    try:
        inside = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", hint="check the path and its permissions"
        ) from None
    for each in inside:
        try:
            found = each.stat()
        except OSError:
            continue
        mode = found.st_mode
        if stat.S_ISREG(mode) and found.st_size > MOST_BYTES:
            raise _too_large(each)
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise InputError(
                f"{each}: every user of this machine may write to it, and an inventory can run programs",
                hint=f"chmod o-w {each}",
            )


def _in_order(listed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the variables of all hosts, group by group. Raises ValueError where the form is another."""
    meta = listed.get("_meta")
    variables = meta.get("hostvars") if isinstance(meta, dict) else None
    if not isinstance(variables, dict):
        raise ValueError("no variables of hosts")
    found: dict[str, dict[str, Any]] = {}
    for name in _members(listed):
        of_host = variables.get(name, {})
        if not isinstance(of_host, dict):
            raise ValueError(f"the variables of {excerpt(name)} are no mapping")
        found[name] = of_host
    return found


def _members(listed: Mapping[str, Any]) -> Iterator[str]:
    groups, seen = ["all"], {"all"}
    for group in groups:
        parts = listed.get(group, {})
        if not isinstance(parts, dict):
            raise ValueError(f"the group {excerpt(group)} is no mapping")
        hosts, children = parts.get("hosts", []), parts.get("children", [])
        if not isinstance(hosts, list) or not isinstance(children, list):
            raise ValueError(f"the members of {excerpt(group)} are no list")
        yield from (name for name in hosts if isinstance(name, str))
        for child in children:
            if isinstance(child, str) and child not in seen:
                seen.add(child)
                groups.append(child)


def _evaluated(
    path: Path, hosts: dict[str, dict[str, Any]], wanted: Wanted, run: Callable[..., ProgramEnd]
) -> dict[str, dict[str, Any]]:
    open_ = {
        name: [each for each, value in variables.items() if wanted(each) and _is_open(value)]
        for name, variables in hosts.items()
    }
    open_ = {name: found for name, found in open_.items() if found}
    if not open_:
        return hosts
    answers: dict[str, dict[str, Any]] = {}
    for question in _questions(open_):
        answers |= _answers(path, run("adhoc", "localhost", "-m", "debug", "-a", question))
    return {name: {**variables, **answers.get(name, {})} for name, variables in hosts.items()}


def _answers(path: Path, ended: ProgramEnd) -> dict[str, dict[str, Any]]:
    try:
        answer = parse_mapping(_RESULT.split(ended.output.decode(), maxsplit=1)[1], MOST_BYTES)[
            "msg"
        ]
    except (ValueError, LookupError):
        raise _unreadable(path, ended) from None
    if ended.code or not isinstance(answer, dict):
        words = str(answer).rpartition(_OF_TASK)[2]
        what = f"{path}: Ansible cannot evaluate its templates: {words}"
        raise InputError(what, hint=_hint(path, words))
    return answer


def _is_open(value: Any) -> bool:
    """Whether Ansible has yet to evaluate or decrypt the value or a part of it."""
    if isinstance(value, dict):
        return _VAULTED in value or any(map(_is_open, value.values()))
    if isinstance(value, list):
        return any(map(_is_open, value))
    return isinstance(value, str) and _TEMPLATE.search(value) is not None


def _questions(open_: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield the arguments of tasks whose results have the values; they have names and no value."""
    parts: list[str] = []
    for name, variables in open_.items():
        if not _HOST.fullmatch(name):
            continue
        parts.append(f"'{name}': {{{', '.join(_entry(name, each) for each in variables)}}}")
        if sum(map(len, parts)) > _QUESTION:
            yield _question(parts)
            parts = []
    if parts:
        yield _question(parts)


def _question(parts: list[str]) -> str:
    return json.dumps({"msg": "{{ {" + ", ".join(parts) + "} }}"})


def _entry(host: str, variable: str) -> str:
    assert _NAME.fullmatch(variable), variable
    return f"'{variable}': hostvars['{host}']['{variable}']"


def _unreadable(path: Path, ended: ProgramEnd) -> InputError:
    """Return the error with the first of Ansible's errors; the lines after it repeat its cause at length."""
    lines = [line.strip() for line in ended.errors.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("[ERROR]", "ERROR"))] or lines[-1:]
    words = re.sub(r"^\[?ERROR\]?:? *", "", errors[0]) if errors else f"it ended with {ended.code}"
    if found := _NOTHING_PARSED.match(words):
        words = _cause(Path(found[1]), lines) or words
    return InputError(f"{path}: Ansible cannot read it: {words}", hint=_hint(path, words))


def _cause(file: Path, lines: list[str]) -> str:
    """Return why the plugin that the file was written for did not read it; empty where Ansible does not say.

    Each of its plugins has tried, and told of it in a warning.
    """
    causes = {found[1]: found[2] for line in lines if (found := _NOT_PARSED.match(line))}
    meant = ["script", "auto", "yaml"] if file.suffix in _YAML else ["script"]
    said = [causes[each] for each in (*meant, "ini") if each in causes]
    return next((each for each in said if _NO_PLUGIN not in each), "")


def _hint(path: Path, words: str) -> str:
    if "vault" in words.lower() or "decrypt" in words.lower():
        return "give the password: --ask-vault-pass, or its file as ANSIBLE_VAULT_PASSWORD_FILE"
    return f"look at all it says: ansible-inventory -i {path} --list"
