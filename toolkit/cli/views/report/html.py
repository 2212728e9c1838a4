"""HTML and SVG that cannot be injected: every text is escaped, unless this module made it."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

from toolkit.domain.excerpt import excerpt

_VOID = frozenset(("meta", "br", "rect", "line", "circle", "path", "use"))
# Characters of one text; a report is no place for the whole of a log.
_LONGEST = 300
_ENDLESS = re.compile(r"(\S{20})(?=\S{4})")


class Html(str):
    """Text that is HTML already. Only `tag` and `raw` make it."""

    __slots__ = ()


def raw(text: str) -> Html:
    """Return a constant of this package as HTML; never a text from elsewhere."""
    return Html(text)


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """Return an element. A child is HTML, a text that is escaped, None, or several of these.

    An attribute that is None or False is left out; `class_` is `class`, and `_` within a name is `-`.
    """
    given = "".join(
        f' {_name(key)}="{_escaped(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID and not children:
        return Html(f"<{name}{given}>" if name in ("meta", "br") else f"<{name}{given}/>")
    return Html(f"<{name}{given}>{joined(children)}</{name}>")


def joined(children: object) -> Html:
    """Return children one after the other."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, Iterable) and not isinstance(children, str):
        return Html("".join(map(joined, children)))
    # A word without an end must not make the page wider than its screen.
    parts = _ENDLESS.split(_plain(str(children)))
    return Html("<wbr>".join(html.escape(each, quote=True) for each in parts if each))


def _escaped(value: object) -> str:
    return html.escape(_plain(str(value)), quote=True)


def _plain(text: str) -> str:
    """Return a text without characters that are no text: of control, of direction, half of a pair."""
    text = excerpt(text, _LONGEST)
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_character, text))


def _character(each: str) -> str:
    if each in "\n\t\r":
        return " "
    # A sign of direction could make a name look like another one.
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(each) in ("Cc", "Cf", "Cs") else each


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
