"""The rules for a registry's serving options and variables of vLLM: a fault, or nothing.

The table of the engine's version says which names exist and what values they take. `vllm_allowed.py`,
`vllm_permissions.py` and `vllm_reserved.py` say which of them a registry may set: freely, with a permission of its
version, or never.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import Any

from toolkit.planning.engines import vllm_allowed, vllm_permissions, vllm_values
from toolkit.planning.engines.vllm_reserved import ENGINE_ENV, RESERVED_FLAGS
from toolkit.planning.engines.vllm_table import Table, newest_table, table_of
from toolkit.planning.engines.vllm_values import OptionFault

# The start of the variables that are the engine's own: it knows all of them.
_OWN = "VLLM_"


def flag_fault(
    version: str, name: str, value: Any, permitted: Collection[str] = ()
) -> OptionFault | None:
    """Return the fault of the serving option `name: value` for the engine of `version`.

    `name` may have underscores, and a path of keys after a dot. `permitted` are the names that the version's permission
    holds, in the engine's spelling.
    """
    table = table_of(version)
    head, _, path = name.partition(".")
    flag = head.replace("_", "-")
    if flag in RESERVED_FLAGS:
        return OptionFault(f"serving option {name!r} is reserved", RESERVED_FLAGS[flag])
    option = table.flags.get(flag)
    if option is None:
        return _unknown_flag(table, name, flag)
    fault = vllm_values.keyed_fault(table, option, name, path, value)
    if fault:
        return fault
    if flag in permitted:
        return None
    reason = vllm_values.permission_reason(option, path, value)
    return _needs_permission(f"serving option {name!r}", flag, reason) if reason else None


def variable_fault(
    version: str, name: str, value: str, permitted: Collection[str] = ()
) -> OptionFault | None:
    """Return the fault of the variable `name: value` for the engine of `version`; see `flag_fault`."""
    table = table_of(version)
    if name in ENGINE_ENV:
        return OptionFault(f"environment variable {name} is reserved", ENGINE_ENV[name])
    option = table.variables.get(name)
    if option is None and name.startswith(_OWN):
        return _unknown(table, f"variable {name}", name, table.variables)
    if option is not None:
        fault = vllm_values.variable_fault(option, value)
        if fault:
            return fault
    if name in permitted:
        return None
    reason = vllm_permissions.VARIABLES.get(name, vllm_permissions.UNJUDGED)
    if name in _free_variables():
        reason = vllm_values.variable_reason(name, value)
    return _needs_permission(f"environment variable {name}", name, reason) if reason else None


def permission_fault(version: str, name: str) -> OptionFault | None:
    """Return the fault of `name` under a version's `permission.options`."""
    table = table_of(version)
    reason = RESERVED_FLAGS.get(name, ENGINE_ENV.get(name, ""))
    if reason:
        return OptionFault(f"{name!r} is reserved, and no permission opens it", reason)
    if name.isupper():
        if name.startswith(_OWN) and name not in table.variables:
            return _unknown(table, f"variable {name}", name, table.variables)
        needless = name in _free_variables() and name not in vllm_permissions.VARIABLE_VALUES
    else:
        if name not in table.flags:
            return _unknown_flag(table, name, name)
        needless = not vllm_values.may_need_permission(table.flags[name])
    if needless:
        return OptionFault(f"{name!r} needs no permission", "remove it from the list")
    return None


def _free_variables() -> Collection[str]:
    library = (names.split() for names in vllm_allowed.LIBRARY_VARIABLES.values())
    return vllm_allowed.VARIABLES.union(*library)


def _needs_permission(subject: str, name: str, reason: str) -> OptionFault:
    return OptionFault(
        f"{subject} needs a permission: {reason}",
        f"leave it out, or allow it in the version: permission: {{options: [{name}], reason: ...}}",
    )


def _unknown_flag(table: Table, name: str, flag: str) -> OptionFault:
    subject = f"flag {name!r}"
    if flag in table.spellings:
        return OptionFault(_lacks(table, subject), f"did you mean {table.spellings[flag]!r}?")
    for start, other in (("no-", ""), ("disable-", "enable-"), ("enable-", "disable-")):
        opposite = table.flags.get(other + flag.removeprefix(start))
        if flag.startswith(start) and opposite is not None and opposite.kind == "switch":
            return OptionFault(_lacks(table, subject), f"write `{opposite.name}: false`")
    return _unknown(table, subject, flag, table.flags)


def _unknown(table: Table, subject: str, name: str, known: Iterable[str]) -> OptionFault:
    newest = newest_table()
    if name in newest.flags or name in newest.variables:
        return OptionFault(_lacks(table, subject), f"vLLM {newest.minor} has it")
    # Prefer a name that begins with the given one, which the engine would complete, to names that look alike.
    begun = [each for each in known if each.startswith(name)] if len(name) > 2 else []
    near = begun[:1] or difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else "`vllm serve --help` lists the names"
    return OptionFault(_lacks(table, subject), hint)


def _lacks(table: Table, subject: str) -> str:
    return f"vLLM {table.minor} has no {subject}"
