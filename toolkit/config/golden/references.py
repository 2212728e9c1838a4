"""The references within a JSON Schema: each must lead to a schema, and none in a circle. Its patterns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

from toolkit.config.registry.fields import refuse, short

_REFERENCES = ("$ref", "$dynamicRef")
# The keywords whose schemas are asked of the same value. A circle of them alone has no end for any value.
_SAME_LIST = ("allOf", "anyOf", "oneOf")
_SAME_ONE = ("not", "if", "then", "else")
_SAME_NAMED = ("dependentSchemas",)


def check_references(schema: Mapping[str, Any]) -> None:
    """Refuse a valid schema with a reference that no answer can be held to, as the matcher of answers resolves it."""
    walk = _Walk(schema)
    walk.run()
    try:
        TopologicalSorter(walk.same).prepare()
    except CycleError as error:
        circle = error.args[1]
        name = next(walk.names[each] for each in pairwise(reversed(circle)) if each in walk.names)
        raise refuse(
            f"the schema refers to {short(name)} in a circle, so the check of an answer never ends",
            "refer to it below `properties` or `items`",
        ) from None


def patterns_in(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the regular expressions of a schema that `check_references` lets through."""
    walk = _Walk(schema)
    walk.run()
    return tuple(walk.patterns)


class _Walk:
    """Visits every schema within a schema; `same` has, by identity, those that are asked of the same value."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        self._draft = DRAFT202012
        root = DRAFT202012.create_resource(schema)
        base = root.id() or ""
        # An empty registry, as that of the matcher: a reference to elsewhere is never fetched.
        try:
            registry: Registry[Any] = Registry().with_resource(base, root).crawl()
        except ValueError as error:
            raise refuse(f"no JSON Schema: an `$id`: {error}", "see json-schema.org") from None
        self._left: list[tuple[Any, Any]] = [(schema, registry.resolver(base))]
        self._targets: list[tuple[Any, Any, str]] = []
        self._seen: set[int] = set()
        self.same: dict[int, list[int]] = {}
        self.patterns: dict[str, None] = {}
        # The references, by the schema that has them and the one that they lead to.
        self.names: dict[tuple[int, int], str] = {}

    def run(self) -> None:
        """Visit all schemas by their places, and then the targets of references that have none of these places."""
        while self._left or self._targets:
            if self._left:
                self._visit(*self._left.pop())
            else:
                contents, resolver, name = self._targets.pop()
                if isinstance(contents, Mapping) and id(contents) not in self._seen:
                    check_schema(contents, f"the schema refers to {short(name)}, which is ")
                self._left.append((contents, resolver))

    def _visit(self, contents: Any, resolver: Any) -> None:
        if not isinstance(contents, Mapping) or id(contents) in self._seen:
            return
        self._seen.add(id(contents))
        same = self.same[id(contents)] = [id(each) for each in _of_same_value(contents)]
        self.patterns |= dict.fromkeys(_patterns(contents))
        for key in _REFERENCES:
            if isinstance(contents.get(key), str):
                found = self._resolved(key, contents[key], resolver)
                same.append(id(found.contents))
                self.names[id(contents), id(found.contents)] = contents[key]
                self._targets.append((found.contents, found.resolver, contents[key]))
        for each in self._draft.create_resource(contents).subresources():
            self._left.append((each.contents, resolver.in_subresource(each)))

    def _resolved(self, key: str, reference: str, resolver: Any) -> Any:
        from referencing.exceptions import Unresolvable

        try:
            found = resolver.lookup(reference)
        except (Unresolvable, ValueError, TypeError, AttributeError):
            # A pointer into a list by a word, or into a text, is a ValueError or TypeError there.
            found = None
        if found is None and not reference.startswith("#"):
            raise refuse(
                f"the schema refers to {short(reference)} ({key}), which is never fetched",
                "write it into the schema, and refer to it by `#/$defs/...`",
            )
        if found is None or not isinstance(found.contents, Mapping | bool):
            raise refuse(
                f"the schema refers to {short(reference)} ({key}), where it has no schema",
                "write one below `$defs`; within a part that has an `$id`, `#` is that part",
            )
        return found


def check_schema(schema: Any, before: str = "") -> None:
    """Refuse what is no JSON Schema; the message begins with `before`."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise refuse(
            f"{before}no JSON Schema: {error.message[:200]}", "see json-schema.org"
        ) from None


def _patterns(schema: Mapping[str, Any]) -> Iterator[str]:
    if "pattern" in schema:
        yield schema["pattern"]
    yield from schema.get("patternProperties", {})


def _of_same_value(schema: Mapping[str, Any]) -> Iterator[Any]:
    for key in _SAME_LIST:
        yield from schema.get(key, ())
    for key in _SAME_ONE:
        if key in schema:
            yield schema[key]
    for key in _SAME_NAMED:
        yield from schema.get(key, {}).values()
