"""Read an inventory that is one plain YAML file, with the place of each value.

This takes a millisecond, and Ansible takes half a second. It reads a file only where Ansible reads the same from it;
`None` says that the file is beyond it: variables in files beside it, ranges, templates, vaulted values, other formats.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.config.inventory.host_variables import HOST_NAME
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.config.yaml_text import Where, YamlText

MAX_BYTES = 2**20
EXAMPLE = "all: {hosts: {localhost: {ansible_connection: local}}}"
_SUFFIXES = (".yaml", ".yml")
_BESIDE = ("group_vars", "host_vars")
# Text beyond plain values, which Ansible alone reads: a vault, templates, tags, anchors, aliases and merges.
_RICHER = re.compile(
    r"\A\$ANSIBLE_VAULT;|\{\{|\{%|\{#|![A-Za-z]|(?m:[:\-\[{,]\s*[&*][A-Za-z0-9_]+\s*(?:$|[,\]}{]))|<<:"
)
_WORDS_OF_YAML_1_1 = frozenset(
    word for plain in ("yes", "no", "on", "off") for word in (plain, plain.title(), plain.upper())
)


@dataclass(frozen=True, slots=True)
class PlainInventory:
    """The variables of each host by name, in the file's order, and where each value stands."""

    document: YamlText
    hosts: Mapping[str, Mapping[str, Any]]
    places: Mapping[str, Mapping[str, Where]]

    def fault(self, host: str, variable: str, words: str, hint: str) -> InputError:
        """Return the error about a variable of a host, or about the host where the variable is empty."""
        where = self.places[host][variable]
        return self.document.fault(where, words, hint=hint)


def read_plain(path: Path) -> PlainInventory | None:
    """Return the inventory at `path`, None where only Ansible can read it.

    Raises InputError with file, line and column where it is not an inventory in YAML, and where it is no file.
    """
    if _is_beyond(path):
        return None
    from toolkit.config.text_file import read_text
    from toolkit.config.yaml_text import parse_yaml

    text = read_text(path, limit=MAX_BYTES, hint="name an inventory with --fleet")
    if _RICHER.search(text):
        return None
    document = parse_yaml(path, text)
    if not isinstance(document.data, dict):
        raise InputError(f"{path}: not an Ansible inventory", hint=EXAMPLE)
    if "plugin" in document.data:
        return None
    found = _Reading(document)
    found.read_groups((), {})
    if found.beyond or (len(document.data) > 1 and _at(document, ("all", "vars"))):
        return None
    return PlainInventory(
        document,
        {name: each.values(document) for name, each in found.hosts.items()},
        {name: {"": each.where, **each.variables} for name, each in found.hosts.items()},
    )


def is_host_list(path: Path) -> bool:
    """Whether a list of hosts, as in `gpu-1,gpu-2,`, stands in place of an inventory's file."""
    return "," in path.name and not path.exists()


def _is_beyond(path: Path) -> bool:
    if not path.exists():
        return is_host_list(path)
    if not path.is_file() and not path.is_dir():
        # Ansible would wait for a writer of a pipe.
        raise InputError(f"{path} is not a regular file", hint="name an inventory with --fleet")
    if any((path.parent / name).exists() for name in _BESIDE):
        return True
    if path.is_dir() or path.suffix not in _SUFFIXES:
        return True
    return path.is_file() and os.access(path, os.X_OK)


# A variable's name -> the place of its value in the file.
_Places = dict[str, "Where"]


@dataclass(slots=True)
class _Found:
    """A host of one or several groups. Its own variables win over those of any group."""

    where: Where
    of_groups: _Places = field(default_factory=dict)
    own: _Places = field(default_factory=dict)

    @property
    def variables(self) -> _Places:
        return {**self.of_groups, **self.own}

    def values(self, document: YamlText) -> dict[str, Any]:
        return {name: _at(document, where) for name, where in self.variables.items()}


@dataclass(slots=True)
class _Reading:
    """The hosts found so far. `beyond` says that Ansible's order of groups decides, or its words for true and false."""

    document: YamlText
    hosts: dict[str, _Found] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    beyond: bool = False

    def read_groups(self, where: Where, inherited: _Places) -> None:
        for group in self._entries(where, "groups"):
            if group in self.groups:
                self.beyond = True
            self.groups.add(group)
            parts = dict.fromkeys(self._entries((*where, group), f"the group {group}"))
            if unknown := sorted(parts.keys() - {"hosts", "vars", "children"}):
                raise self.document.fault(
                    (*where, group, unknown[0]),
                    f"the group {group} has {unknown[0]!r}",
                    hint="a group has hosts, vars and children",
                    at_key=True,
                )
            own = self._places((*where, group, "vars"), f"vars of {group}")
            variables = {**inherited, **own}
            for name in self._entries((*where, group, "hosts"), f"hosts of {group}"):
                self._read_host(name, (*where, group, "hosts", name), variables)
            self.read_groups((*where, group, "children"), variables)

    def _read_host(self, name: str, place: Where, variables: _Places) -> None:
        if "[" in name:
            self.beyond = True
        elif not HOST_NAME.fullmatch(name):
            raise self.document.fault(place, f"{name!r} is no host's name", at_key=True)
        first = name not in self.hosts
        each = self.hosts.setdefault(name, _Found(place))
        own = self._places(place, name)
        if not first and (self._differ(each.of_groups, variables) or self._differ(each.own, own)):
            self.beyond = True
        each.of_groups.update(variables)
        each.own.update(own)

    def _differ(self, former: _Places, new: _Places) -> bool:
        return any(
            name in former and _at(self.document, former[name]) != _at(self.document, where)
            for name, where in new.items()
        )

    def _places(self, where: Where, what: str) -> _Places:
        places = {name: (*where, name) for name in self._entries(where, what)}
        values = [_at(self.document, place) for place in places.values()]
        if "ansible_group_priority" in places or any(
            isinstance(value, str) and value in _WORDS_OF_YAML_1_1 for value in values
        ):
            self.beyond = True
        return places

    def _entries(self, where: Where, what: str) -> Iterator[str]:
        value = _at(self.document, where)
        if value is None:
            return
        if not isinstance(value, dict):
            raise self.document.fault(where, f"{what} must be a mapping, name: ...", hint=EXAMPLE)
        yield from value


def _at(document: YamlText, where: Where) -> Any:
    value = document.data
    for key in where:
        value = value.get(key) if isinstance(value, dict) else None
    return value
