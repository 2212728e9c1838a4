"""Remove secrets from texts that are kept or sent: keys of the router, tokens of the Hub, passwords in addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable

from toolkit.domain.excerpt import brief

_MOST_WORDS = 200
_MOST_TEXT = 400
_HIDDEN = "***"
_NAMES = "(?:password|passwd|passphrase|token|secret|(?:api|access|secret|private)[-_]?key)"
# A text in quotes ends where its quote closes, with the text otherwise: its end may have been cut off.
_QUOTED = r"""(?:"(?:[^"\\]|\\.?)*(?:"|$)|'(?:[^'\\]|\\.?)*(?:'|$))"""
# No form may take more than a moment for 64 KiB of anything.
_FORMS = (
    # A key of this router, and tokens of the Hub and of others, by the form that their makers give them.
    re.compile(r"()\b(?:tk-|hf_|sk-|gh[pousr]_|xox[a-z]-)[A-Za-z0-9_-]{12,}"),
    # A password may have an @ of its own; the last one stands before the host.
    re.compile(r"(://)[^\s/:]*:[^\s/]*(?=@)"),
    re.compile(r"""(?i)((?:bearer|authorization["']?: *["']?basic) +)\S+"""),
    re.compile(rf"""(?i)({_NAMES}=)(?:{_QUOTED}[^\s&]*|[^\s&]+)"""),
    re.compile(rf"""(?i)({_NAMES}["'] ?: ?){_QUOTED}"""),
)


def without_secrets(text: str, most: int = _MOST_TEXT) -> str:
    """Return `text` as one line for a terminal, without what looks like a secret, cut at `most` characters."""
    text = "".join(each if each.isprintable() else " " for each in text)
    for form in _FORMS:
        text = form.sub(rf"\g<1>{_HIDDEN}", text)
    return brief(text, most)


def words_without_secrets(words: Iterable[str]) -> list[str]:
    """Return the words of a command line without secrets, and no more of them than anybody types."""
    return [without_secrets(each) for each in list(words)[:_MOST_WORDS]]
