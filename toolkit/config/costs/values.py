"""Read single values of a YAML file: mappings, amounts, days. A value that is none is an error with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import Any

from toolkit.config.yaml_text import Where, YamlText
from toolkit.errors import InputError

_MOST = Decimal(10) ** 12
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Values:
    """The values of `document`. Every method takes the path of keys of the value that it reads."""

    def __init__(self, document: YamlText, hint: str) -> None:
        self.document, self._hint = document, hint

    def value(self, where: Where) -> Any:
        """Return the value as YAML has it."""
        found = self.document.data
        for key in where:
            found = found[key]
        return found

    def mapping(self, where: Where, fields: Collection[str] = ()) -> dict[str, Any]:
        """Return a mapping; with `fields`, any other key of it is a fault."""
        found = self.value(where)
        if not isinstance(found, dict):
            raise self.fault(where, "expected a mapping (`key: value` lines)", self._hint)
        for name in found:
            if fields and name not in fields:
                raise self.unknown((*where, name), "field", name, fields, at_key=True)
        return found

    def sequence(self, where: Where) -> list[Any]:
        """Return a list."""
        found = self.value(where)
        if not isinstance(found, list):
            raise self.fault(where, "expected a list (lines that begin with `-`)", self._hint)
        return found

    def amount(self, where: Where, *, least: Decimal = Decimal(0)) -> Decimal:
        """Return a number from `least` on, with the digits that stand in the file."""
        found = self.value(where)
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            raise self.fault(where, f"{str(found)[:40]!r} is no number", "write it like 2.50")
        # The shortest decimal number that reads as this float is the one that was written.
        number = Decimal(repr(found))
        if number < 0:
            raise self.fault(where, f"{number} is negative", f"write at least {least}")
        if not least <= number <= _MOST:
            raise self.fault(where, f"{number} is not between {least} and {_MOST:,}")
        return number

    def whole(self, where: Where, least: int, most: int) -> int:
        """Return a whole number from `least` to `most`."""
        found = self.value(where)
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            raise self.fault(
                where, f"{str(found)[:40]!r} is no whole number from {least} to {most}"
            )
        return found

    def day(self, where: Where) -> date:
        """Return a day."""
        found = str(self.value(where))
        try:
            if not _DAY.fullmatch(found):
                raise ValueError
            return date.fromisoformat(found)
        except ValueError:
            hint = "write it like 2026-11-20"
            raise self.fault(where, f"{found[:40]!r} is no date", hint) from None

    def text(self, where: Where, form: re.Pattern[str], what: str) -> str:
        """Return a text of a form."""
        found = self.value(where)
        if not isinstance(found, str) or not form.fullmatch(found):
            raise self.fault(where, f"{str(found)[:60]!r} is not {what}")
        return found

    def unknown(
        self, where: Where, noun: str, name: Any, known: Collection[str], *, at_key: bool = False
    ) -> InputError:
        """Return the error about a name that is none of the known ones."""
        # Names are taken for the one that they differ from in capitals alone.
        text, same = str(name), {each.lower(): each for each in known}
        near = difflib.get_close_matches(text, known, n=3, cutoff=0.5)
        if text.lower() in same:
            near = [same[text.lower()]]
        shown = f"known: {', '.join(known)}" if len(known) <= 12 else self._hint
        hint = f"did you mean {' or '.join(near)}?" if near else shown
        return self.fault(where, f"no {noun} {str(name)[:60]!r}", hint, at_key=at_key)

    def fault(
        self, where: Where, message: str, hint: str = "", *, at_key: bool = False
    ) -> InputError:
        """Return the error about a value, with file, line and column."""
        name = ".".join(_plain(each) for each in where if isinstance(each, str))
        words = f"{name}: {message}" if name else message
        return self.document.fault(where, words, hint=hint or self._hint, at_key=at_key)


def _plain(key: str) -> str:
    """Return a key as a message shows it: any key may stand in the file."""
    return key if key.isascii() and key.isprintable() and len(key) <= 60 else ascii(key)[:60]
